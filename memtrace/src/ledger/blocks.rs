//! Events of the allocator: blocks.

use memtrace_common::{
    Op,
    event::{Alloc, Free, Header, Realloc, flag},
};

use super::{
    Ledger,
    live::{Added, Block},
};

impl Ledger {
    pub(super) fn alloc(&mut self, alloc: &Alloc) {
        self.add_block(&alloc.header, alloc.address, alloc.size, alloc.stack);
    }

    pub(super) fn free(&mut self, free: &Free) {
        match self.process(&free.header).live.remove(free.address) {
            Some(block) => self.sites.subtract(block.site, block.size, 1),
            None => self.tally.unmatched_frees += 1,
        }
    }

    /// Sets the block aside: from now on another thread may be given its address.
    pub(super) fn realloc_begin(&mut self, begin: &Free) {
        let block = self.process(&begin.header).live.remove(begin.address);
        match block {
            Some(block) => self.sites.subtract(block.site, block.size, 1),
            None => self.tally.unmatched_frees += 1,
        }
        self.blocks_aside.begin(&begin.header, begin.address, block);
    }

    /// Commits or takes back.
    ///
    /// An end whose begin was lost finds nothing set aside for it; the BPF side has remembered the begin as a lost free
    /// with its time, and has withdrawn that if the call failed. Whether `old` is still the block that was given
    /// to `realloc` cannot be told here: since the begin, whose time this record does not have, another thread may
    /// have been given the address. So it is left to the lost free, which frees what is older than the begin and
    /// nothing else. Only a block that was resized in place is certain to be the old one.
    pub(super) fn realloc_end(&mut self, end: &Realloc) {
        let header = &end.header;
        let has = |bit: u16| header.flags & bit != 0;
        let aside = self.blocks_aside.end(header, end.old);
        let aside = if has(flag::BEGIN_LOST) { None } else { aside };
        if has(flag::FAILED) {
            match aside {
                Some(Some(block)) => self.restore_block(header, block),
                // Counted at the begin, but nothing was freed.
                Some(None) => self.tally.unmatched_frees = self.tally.unmatched_frees.saturating_sub(1),
                None => {}
            }
            return;
        }
        if has(flag::FREED) {
            return;
        }
        if has(flag::BEGIN_LOST)
            && end.old == end.address
            && let Some(block) = self.process(header).live.remove(end.old)
        {
            self.sites.subtract(block.site, block.size, 1);
        }
        self.add_block(header, end.address, end.size, end.stack);
    }

    fn add_block(&mut self, header: &Header, address: u64, size: u64, stack: u64) {
        let op = Op::from_u8(header.op).unwrap_or(Op::Malloc);
        let site = self.site(op, stack);
        match self
            .process(header)
            .live
            .insert(Block::new(address, size, header.time_ns, site))
        {
            Added::New => {}
            // First out, then in: both together were never live.
            Added::Replaced(old) => {
                self.tally.conflicts += 1;
                self.sites.subtract(old.site, old.size, 1);
            }
            Added::Full => {
                self.tally.not_kept += 1;
                return;
            }
        }
        self.sites.allocate(site, size);
    }

    /// Puts a block back as it was: the call failed.
    fn restore_block(&mut self, header: &Header, block: Block) {
        let live = &mut self.process(header).live;
        if live.get(block.address).is_some() {
            // Given out since the begin: then it was not this block that the call failed to move.
            self.tally.conflicts += 1;
            return;
        }
        match live.insert(block) {
            Added::New | Added::Replaced(_) => self.sites.add(block.site, block.size, 1),
            Added::Full => self.tally.not_kept += 1,
        }
    }
}
