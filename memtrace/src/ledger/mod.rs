//! Events to sums: what is live, by site, and what was ever allocated.
//!
//! Pure: no I/O, no clock; time comes from the events. Blocks and ranges are keyed by process incarnation and address.
//! Memory that was given to `realloc`, `munmap` or `mremap` is set aside at the call's begin, so that another thread can be
//! given its address meanwhile, and is dropped or restored at the call's end.

mod history;
mod live;
mod regions;
mod sites;
mod snapshot;
mod stacks;

use memtrace_common::{
    Op,
    event::{Alloc, Break, Free, Header, Map, Realloc, Remap, Unmap, flag},
    op::Class,
    state::{LostFree, LostKey},
};
use rustc_hash::FxHashMap;

use self::{
    history::{Moments, Sample},
    live::{Block, Live},
    regions::{Region, Regions, page_end},
    sites::Sites,
};
pub use self::{
    snapshot::{SiteFacts, Snapshot},
    stacks::Stacks,
};
use crate::{decode::Event, process::Location, profile::Amount};

/// Bounds of the ledger's memory.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Distinct stacks kept; about 100 bytes and 12 a frame each.
    pub stacks: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { stacks: 1 << 20 }
    }
}

/// What could not be paired.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Tally {
    /// Frees of blocks that were not known.
    pub unmatched_frees: u64,
    /// Allocations at an address, or mappings over a range, that was still live.
    pub conflicts: u64,
    /// Frees that found the ring full and were applied late.
    pub recovered_frees: u64,
    /// Unmappings of ranges that were not known: mapped before attach, or by an allocator for itself.
    pub unmapped_unknown: u64,
    /// Blocks and mappings that went with a program that was replaced by `exec`.
    pub gone_with_exec: Amount,
}

/// One program of one process.
#[derive(Debug, Default)]
struct Process {
    pid: u32,
    incarnation: u32,
    live: Live,
    regions: Regions,
}

/// What a thread's call in flight has set aside.
#[derive(Debug)]
enum Aside {
    Block(Block),
    Ranges(Vec<Region>),
}

/// The running sums. See the module's description.
#[derive(Debug)]
pub struct Ledger {
    /// The call stacks.
    pub stacks: Stacks,
    sites: Sites,
    moments: Moments,
    /// Newest last; almost always one.
    processes: Vec<Process>,
    aside: FxHashMap<(u32, u32), Aside>,
    tally: Tally,
}

impl Ledger {
    /// An empty ledger.
    pub fn new(limits: Limits) -> Self {
        Self {
            stacks: Stacks::new(limits.stacks),
            sites: Sites::default(),
            moments: Moments::default(),
            processes: Vec::new(),
            aside: FxHashMap::default(),
            tally: Tally::default(),
        }
    }

    /// Applies one event, in the order of the ring. Stacks go to [`Ledger::add_stack`], because their frames must be
    /// placed first.
    pub fn apply(&mut self, event: &Event<'_>) {
        match event {
            Event::Stack(_) => {}
            Event::Alloc(alloc) => self.alloc(alloc),
            Event::Free(free) => self.free(free),
            Event::ReallocBegin(free) => self.realloc_begin(free),
            Event::ReallocEnd(realloc) => self.realloc_end(realloc),
            Event::Map(map) => self.map(map),
            Event::UnmapBegin(unmap) | Event::RemapBegin(unmap) => self.unmap_begin(unmap),
            Event::UnmapFailed(unmap) => self.restore(&unmap.header),
            Event::RemapEnd(remap) => self.remap_end(remap),
            Event::Break(new) => self.set_program_break(new),
            Event::Exec(header) => self.exec(header),
        }
    }

    /// Keeps a stack under the identity that events name it by.
    pub fn add_stack(&mut self, id: u64, check: u64, locations: Vec<Location>) {
        self.stacks.insert(id, check, locations);
    }

    /// Tells where the program break was when observation began.
    pub fn seed_break(&mut self, pid: u32, incarnation: u32, program_break: u64) {
        self.process(pid, incarnation).regions.program_break = Some(program_break);
    }

    /// Applies a free that found the ring full: what was allocated before it is no longer live, what was allocated since
    /// stays. To be called after the ring was drained, so that the allocation it belongs to has been seen.
    pub fn apply_lost_free(&mut self, key: LostKey, free: LostFree) {
        let Some(index) = self
            .processes
            .iter()
            .position(|process| process.incarnation == key.incarnation)
        else {
            return;
        };
        let process = &mut self.processes[index];
        if free.size == 0 {
            if process
                .live
                .get(key.address)
                .is_some_and(|block| block.time_ns < free.time_ns)
                && let Some(block) = process.live.remove(key.address)
            {
                self.sites.subtract(block.site, block.size);
                self.tally.recovered_frees += 1;
            }
        } else {
            let out = self.cut(index, key.address, page_end(key.address, free.size), free.time_ns);
            self.tally.recovered_frees += u64::from(!out.is_empty());
        }
    }

    /// Notes the live bytes of every site at a moment.
    pub fn sample(&mut self, now_ns: u64) {
        let sites = &mut self.sites;
        if let Sample::Note(index) = self
            .moments
            .sample(now_ns, || sites.iter_mut().for_each(|site| site.history.thin()))
        {
            for site in self.sites.iter_mut() {
                site.history.note(index, site.live.bytes);
            }
        }
    }

    fn index(&mut self, pid: u32, incarnation: u32) -> usize {
        let found = self
            .processes
            .iter()
            .rposition(|process| process.incarnation == incarnation && process.pid == pid);
        found.unwrap_or_else(|| {
            self.processes.push(Process {
                pid,
                incarnation,
                ..Process::default()
            });
            self.processes.len() - 1
        })
    }

    fn process(&mut self, pid: u32, incarnation: u32) -> &mut Process {
        let index = self.index(pid, incarnation);
        &mut self.processes[index]
    }

    fn alloc(&mut self, alloc: &Alloc) {
        let site = self.site(&alloc.header, alloc.stack);
        self.insert(
            &alloc.header,
            Block::new(alloc.address, alloc.size, alloc.header.time_ns, site),
        );
    }

    /// The site of an event. A stack that was not kept is none.
    fn site(&mut self, header: &Header, stack: u64) -> u32 {
        let op = Op::from_u8(header.op).unwrap_or(Op::Malloc);
        self.sites.index(op, stack)
    }

    fn insert(&mut self, header: &Header, block: Block) {
        self.sites.allocate(block.site, block.size);
        if let Some(old) = self.process(header.pid, header.incarnation).live.insert(block) {
            self.tally.conflicts += 1;
            self.sites.subtract(old.site, old.size);
        }
    }

    fn free(&mut self, free: &Free) {
        match self
            .process(free.header.pid, free.header.incarnation)
            .live
            .remove(free.address)
        {
            Some(block) => self.sites.subtract(block.site, block.size),
            None => self.tally.unmatched_frees += 1,
        }
    }

    fn realloc_begin(&mut self, begin: &Free) {
        let key = (begin.header.incarnation, begin.header.tid);
        // A call whose end was lost, or that never ended, is taken for done.
        self.aside.remove(&key);
        match self
            .process(begin.header.pid, begin.header.incarnation)
            .live
            .remove(begin.address)
        {
            Some(block) => {
                self.sites.subtract(block.site, block.size);
                self.aside.insert(key, Aside::Block(block));
            }
            None => self.tally.unmatched_frees += 1,
        }
    }

    fn realloc_end(&mut self, end: &Realloc) {
        let header = &end.header;
        if header.flags & flag::FAILED != 0 {
            // A begin that was lost took nothing out, and the BPF side has withdrawn what it remembered of it.
            self.restore(header);
            return;
        }
        self.aside.remove(&(header.incarnation, header.tid));
        if header.flags & flag::FREED != 0 {
            return;
        }
        if header.flags & flag::BEGIN_LOST != 0 && end.old == end.address {
            // Resized in place: the old block is replaced here, and the remembered free will find a younger one.
            if let Some(block) = self.process(header.pid, header.incarnation).live.remove(end.old) {
                self.sites.subtract(block.site, block.size);
            }
        }
        let site = self.site(header, end.stack);
        self.insert(header, Block::new(end.address, end.size, header.time_ns, site));
    }

    /// Puts back what the thread's call has set aside: it failed.
    fn restore(&mut self, header: &Header) {
        match self.aside.remove(&(header.incarnation, header.tid)) {
            Some(Aside::Block(block)) => {
                self.sites.add(block.site, block.size, 1);
                if let Some(old) = self.process(header.pid, header.incarnation).live.insert(block) {
                    self.tally.conflicts += 1;
                    self.sites.subtract(old.site, old.size);
                }
            }
            Some(Aside::Ranges(ranges)) => {
                for range in ranges {
                    self.put(header, range);
                }
            }
            None => {}
        }
    }

    fn map(&mut self, map: &Map) {
        let site = self.site(&map.header, map.stack);
        let region = Region::new(map.address, map.size, map.header.time_ns, site);
        let index = self.index(map.header.pid, map.header.incarnation);
        let replaced = self.cut(index, region.start, region.end, u64::MAX);
        if map.header.flags & flag::FIXED == 0 && !replaced.is_empty() {
            self.tally.conflicts += 1;
        }
        self.sites.allocate(site, region.bytes());
        self.processes[index].regions.insert(region);
    }

    /// Puts a range back that was live before.
    fn put(&mut self, header: &Header, range: Region) {
        let index = self.index(header.pid, header.incarnation);
        if !self.cut(index, range.start, range.end, u64::MAX).is_empty() {
            self.tally.conflicts += 1;
        }
        self.sites.add(range.site, range.bytes(), 1);
        for _joint in 0..self.processes[index].regions.restore(range) {
            self.sites.subtract(range.site, 0);
        }
    }

    /// Takes out what lies in a range and is older than `before_ns`.
    fn cut(&mut self, process: usize, start: u64, end: u64, before_ns: u64) -> Vec<Region> {
        let cuts = self.processes[process].regions.cut(start, end, before_ns);
        for cut in &cuts {
            self.sites.subtract(cut.out.site, cut.out.bytes());
            // What is left of it is one mapping still, or two.
            self.sites.add(cut.out.site, 0, cut.pieces);
        }
        cuts.into_iter().map(|cut| cut.out).collect()
    }

    fn unmap_begin(&mut self, unmap: &Unmap) {
        let header = &unmap.header;
        self.aside.remove(&(header.incarnation, header.tid));
        let index = self.index(header.pid, header.incarnation);
        let out = self.cut(index, unmap.address, page_end(unmap.address, unmap.size), u64::MAX);
        if out.is_empty() {
            self.tally.unmapped_unknown += 1;
        } else {
            self.aside.insert((header.incarnation, header.tid), Aside::Ranges(out));
        }
    }

    fn remap_end(&mut self, remap: &Remap) {
        let header = &remap.header;
        if header.flags & flag::FAILED != 0 {
            self.restore(header);
            return;
        }
        // A file or a reservation stays what it was when it is moved.
        let mut op = Op::Mremap;
        if let Some(Aside::Ranges(ranges)) = self.aside.remove(&(header.incarnation, header.tid))
            && let Some(first) = ranges.first()
            && !self.sites.op(first.site).class().is_memory()
        {
            op = self.sites.op(first.site);
        }
        let site = self.sites.index(op, remap.stack);
        let region = Region::new(remap.address, remap.size, header.time_ns, site);
        let index = self.index(header.pid, header.incarnation);
        // MREMAP_FIXED replaces; a begin that was lost left the old range there.
        self.cut(index, region.start, region.end, u64::MAX);
        self.sites.allocate(site, region.bytes());
        self.processes[index].regions.insert(region);
    }

    fn set_program_break(&mut self, new: &Break) {
        let header = &new.header;
        let index = self.index(header.pid, header.incarnation);
        let Some(old) = self.processes[index].regions.program_break.replace(new.address) else {
            return;
        };
        if new.address < old {
            self.cut(index, new.address, old, u64::MAX);
        } else if new.address > old && header.flags & flag::NESTED == 0 {
            let site = self.sites.index(Op::Brk, new.stack);
            let region = Region::exact(old, new.address, header.time_ns, site);
            self.cut(index, region.start, region.end, u64::MAX);
            self.sites.allocate(site, region.bytes());
            self.processes[index].regions.insert(region);
        }
    }

    /// The programs that the process ran before are gone, with all they had.
    fn exec(&mut self, header: &Header) {
        let older = |process: &Process| process.pid == header.pid && process.incarnation < header.incarnation;
        for process in self.processes.extract_if(.., |process| older(process)) {
            let blocks = process.live.iter().map(|block| (block.site, block.size));
            let ranges = process.regions.iter().map(|region| (region.site, region.bytes()));
            for (site, bytes) in blocks.chain(ranges) {
                self.sites.subtract(site, bytes);
                if self.sites.op(site).class() != Class::File {
                    self.tally.gone_with_exec.bytes += bytes;
                    self.tally.gone_with_exec.count += 1;
                }
            }
        }
        self.aside
            .retain(|(incarnation, _), _| *incarnation >= header.incarnation);
        self.index(header.pid, header.incarnation);
    }
}
