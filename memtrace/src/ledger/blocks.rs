//! Events of the allocator: blocks.

use memtrace_common::{
    Op,
    event::{Alloc, Free, Header, Pairs, Realloc, Weighted, flag},
};

use super::{
    Ledger,
    live::{Added, Block},
};

/// What was given to `realloc`.
#[derive(Clone, Copy, Debug)]
pub(super) enum Taken {
    /// A block that is known.
    Block(Block),
    /// A block that is not.
    Unknown(Unknown),
}

/// Why a block is not known that is given back.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Unknown {
    /// It was allocated before attach, or its allocation was lost.
    Unmatched,
    /// It is perhaps the parent's: what the process has a copy of is not known.
    Inherited,
    /// It is perhaps one of those that were not kept.
    NotKept,
}

impl Ledger {
    pub(super) fn alloc(&mut self, alloc: &Alloc) {
        match self.index(&alloc.header) {
            Some(process) => self.add_block(process, alloc, 1),
            None => self.tally.lost(1, alloc.size),
        }
    }

    /// A block that stands for several.
    pub(super) fn weighted(&mut self, weighted: &Weighted) {
        let Weighted { alloc, weight, .. } = weighted;
        match self.index(&alloc.header) {
            Some(process) => self.add_block(process, alloc, *weight),
            None => self
                .tally
                .lost((*weight).into(), alloc.size.saturating_mul((*weight).into())),
        }
    }

    /// Blocks that have come and gone.
    pub(super) fn pairs(&mut self, pairs: &Pairs) {
        let Some(process) = self.index(&pairs.header) else {
            self.tally.lost(pairs.count, pairs.bytes);
            return;
        };
        let op = Op::from_u8(pairs.header.op).unwrap_or(Op::Malloc);
        let site = self.site(process, op, pairs.stack);
        self.sites.pass(site, pairs, &mut self.processes[process].own);
    }

    pub(super) fn free(&mut self, free: &Free) {
        let Some(process) = self.index(&free.header) else {
            return;
        };
        if let Some(block) = self.processes[process].live.remove(free.address) {
            self.end_block(process, block, &free.header);
        } else if free.header.flags & flag::PASSED_ON == 0 {
            self.count_unknown(process);
        }
    }

    /// Sets the block aside: from now on another thread may be given its address.
    pub(super) fn realloc_begin(&mut self, begin: &Free) {
        let Some(process) = self.index(&begin.header) else {
            return;
        };
        let taken = match self.processes[process].live.remove(begin.address) {
            Some(block) => {
                self.subtract_block(process, block);
                Taken::Block(block)
            }
            None => Taken::Unknown(self.count_unknown(process)),
        };
        let aside = &mut self.processes[process].blocks_aside;
        aside.begin(&begin.header, begin.address, taken);
    }

    /// Commits or takes back.
    ///
    /// An end whose begin was lost finds nothing set aside for it; the BPF side has remembered the begin as a lost free
    /// with its time, and has withdrawn that if the call failed. Whether `old` is still the block that was given
    /// to `realloc` cannot be told here: since the begin, whose time this record does not have, another thread may
    /// have been given the address. So it is left to the lost free, which frees what is older than the begin and
    /// nothing else. Only a block that was resized in place is certain to be the old one.
    ///
    /// What resizes in place or not at all has no begin, and looks the same.
    pub(super) fn realloc_end(&mut self, end: &Realloc) {
        let header = &end.header;
        let Some(process) = self.index(header) else { return };
        let has = |bit: u16| header.flags & bit != 0;
        let aside = self.processes[process].blocks_aside.end(header, end.old);
        let aside = if has(flag::BEGIN_LOST) { None } else { aside };
        if has(flag::FAILED) {
            match aside {
                Some(Taken::Block(block)) => self.restore_block(process, block),
                // Counted at the begin, but nothing was freed.
                Some(Taken::Unknown(unknown)) => self.uncount_unknown(process, unknown),
                None => {}
            }
            return;
        }
        if let Some(Taken::Block(block)) = aside {
            self.note_lifetime(block, header);
        }
        if has(flag::FREED) {
            return;
        }
        if has(flag::BEGIN_LOST)
            && end.old == end.address
            && let Some(block) = self.processes[process].live.remove(end.old)
        {
            self.end_block(process, block, header);
        }
        let alloc = Alloc {
            header: *header,
            address: end.address,
            size: end.size,
            stack: end.stack,
        };
        self.add_block(process, &alloc, 1);
    }

    fn add_block(&mut self, process: usize, alloc: &Alloc, weight: u32) {
        let header = &alloc.header;
        let op = Op::from_u8(header.op).unwrap_or(Op::Malloc);
        let site = self.site(process, op, alloc.stack);
        let process = &mut self.processes[process];
        let block = Block::new(alloc.address, alloc.size, header.time_ns, site, weight);
        match process.live.insert(block, self.limits.blocks_per_process) {
            Added::New => {}
            // First out, then in: both together were never live.
            Added::Replaced(old) => {
                self.tally.conflicts += 1;
                self.sites.subtract(old.site, old.amount(), &mut process.own);
            }
            Added::Full => {
                process.not_keep();
                self.tally.not_kept += 1;
                return;
            }
        }
        self.sites.allocate(site, block.size, block.amount(), &mut process.own);
    }

    /// A block is freed.
    fn end_block(&mut self, process: usize, block: Block, header: &Header) {
        self.subtract_block(process, block);
        self.note_lifetime(block, header);
    }

    fn note_lifetime(&mut self, block: Block, end: &Header) {
        self.sites.note_lifetime(
            block.site,
            end.time_ns.saturating_sub(block.time_ns),
            block.amount().count,
        );
    }

    fn subtract_block(&mut self, process: usize, block: Block) {
        let own = &mut self.processes[process].own;
        self.sites.subtract(block.site, block.amount(), own);
    }

    /// Puts a block back as it was: the call failed.
    fn restore_block(&mut self, process: usize, block: Block) {
        let process = &mut self.processes[process];
        if process.live.get(block.address).is_some() {
            // Given out since the begin: then it was not this block that the call failed to move.
            self.tally.conflicts += 1;
            return;
        }
        match process.live.insert(block, self.limits.blocks_per_process) {
            Added::New | Added::Replaced(_) => self.sites.add(block.site, block.amount(), &mut process.own),
            Added::Full => {
                process.not_keep();
                self.tally.not_kept += 1;
            }
        }
    }

    /// A block is given back that is not known.
    fn count_unknown(&mut self, process: usize) -> Unknown {
        let process = &mut self.processes[process];
        if process.inherited_unknown {
            self.tally.inherited_frees += 1;
            Unknown::Inherited
        } else if process.not_kept_live > 0 {
            process.not_kept_live -= 1;
            Unknown::NotKept
        } else {
            self.tally.unmatched_frees += 1;
            Unknown::Unmatched
        }
    }

    /// It was not.
    fn uncount_unknown(&mut self, process: usize, unknown: Unknown) {
        match unknown {
            Unknown::Inherited => self.tally.inherited_frees -= 1,
            Unknown::NotKept => self.processes[process].not_kept_live += 1,
            Unknown::Unmatched => self.tally.unmatched_frees -= 1,
        }
    }
}
