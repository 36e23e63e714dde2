//! Events to sums: what is live, by site, and what was ever allocated.
//!
//! Pure: no I/O, no clock; time comes from the events. Blocks and ranges are keyed by process incarnation and address.
//! Memory that was given to `realloc`, `munmap` or `mremap` is set aside at the call's begin, so that another thread can be
//! given its address meanwhile, and is dropped or restored at the call's end.
//!
//! Events may be missing, and nothing here may then panic or drift: every amount that is subtracted from a site is one
//! that was added to it, because it is kept with the block or range that it belongs to.

mod aside;
mod blocks;
mod history;
mod live;
mod lost;
mod ranges;
mod regions;
mod sites;
mod slab;
mod snapshot;
mod stacks;
mod tally;
#[cfg(test)]
mod tests;

use memtrace_common::{Op, event::Header};

use self::{
    aside::Aside,
    history::{Moments, Sample},
    live::{Block, Live},
    regions::{Region, Regions},
    sites::{Key, Sites},
};
pub use self::{
    snapshot::{SiteFacts, Snapshot},
    stacks::{CallStack, Stacks},
    tally::Tally,
};
use crate::decode::Event;

/// Events that are looked up together: more than the processor can overlap, and few enough to stay in its first cache.
const TOGETHER: usize = 32;

/// Bounds of the ledger's memory.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Distinct stacks kept; about 100 bytes each, and up to 1 KiB for the history of each of its sites.
    pub stacks: usize,
    /// Frames kept of all of them together, 16 bytes each. A report has to copy them.
    pub frames: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            stacks: 1 << 20,
            // 256 MiB; a million stacks of the greatest depth would take 2 GiB.
            frames: 1 << 24,
        }
    }
}

/// One program of one process.
#[derive(Debug, Default)]
struct Process {
    pid: u32,
    incarnation: u32,
    live: Live,
    regions: Regions,
}

/// The running sums. See the module's description.
#[derive(Debug)]
pub struct Ledger {
    /// The call stacks.
    pub stacks: Stacks,
    sites: Sites,
    moments: Moments,
    /// Almost always one.
    processes: Vec<Process>,
    /// Which of them the last event was about.
    current: usize,
    /// What was given to `realloc`; `None` for a block that is not known.
    blocks_aside: Aside<Option<Block>>,
    /// What was given to `munmap` or `mremap`; `None` for a range that is not known.
    ranges_aside: Aside<Option<Vec<Region>>>,
    tally: Tally,
}

impl Ledger {
    /// An empty ledger.
    pub fn new(limits: Limits) -> Self {
        Self {
            stacks: Stacks::new(limits.stacks, limits.frames),
            sites: Sites::default(),
            moments: Moments::default(),
            processes: Vec::new(),
            current: 0,
            blocks_aside: Aside::default(),
            ranges_aside: Aside::default(),
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
            Event::UnmapFailed(unmap) => self.unmap_failed(unmap),
            Event::RemapEnd(remap) => self.remap_end(remap),
            Event::Break(new) => self.set_program_break(new),
            // The new program's table replaces the old one's.
            Event::Exec(header) => {
                self.index(header);
            }
        }
    }

    /// Applies events, in the order of the ring: the same as [`Ledger::apply`] for each, but twice as fast when there are more
    /// blocks than the processor's caches hold.
    ///
    /// Where a block is kept takes three loads, one after the other, and each may have to wait for memory. Looked up
    /// for several events in a row, with nothing between that depends on the result, they wait together.
    pub fn apply_all(&mut self, events: &[Event<'_>]) {
        for events in events.chunks(TOGETHER) {
            let known = events.iter().filter(|event| self.is_known(event)).count();
            std::hint::black_box(known);
            for event in events {
                self.apply(event);
            }
        }
    }

    /// Whether an event is about a block that is live already.
    fn is_known(&self, event: &Event<'_>) -> bool {
        let (header, address) = match event {
            Event::Alloc(alloc) => (&alloc.header, alloc.address),
            Event::Free(free) | Event::ReallocBegin(free) => (&free.header, free.address),
            Event::ReallocEnd(realloc) => (&realloc.header, realloc.address),
            _ => return false,
        };
        let process = self.processes.get(self.current);
        process.is_some_and(|process| process.incarnation == header.incarnation && process.live.get(address).is_some())
    }

    /// Keeps a stack under the identity that events name it by. `check` is the identity's second value.
    pub fn add_stack(&mut self, id: u64, check: u64, stack: CallStack) {
        self.stacks.insert(id, check, stack);
    }

    /// Tells where the program break was when observation began (avma).
    pub fn seed_break(&mut self, pid: u32, incarnation: u32, program_break: u64) {
        let process = self.find(pid, incarnation);
        self.processes[process].regions.program_break = Some(program_break);
    }

    /// How many processes there are. They are looked for one by one, so whoever does not know where events come from
    /// should end before there are many.
    pub const fn processes(&self) -> usize {
        self.processes.len()
    }

    /// Notes the live bytes of every site at a moment, in nanoseconds of kernel time, and gives back memory that a peak
    /// has left behind.
    pub fn sample(&mut self, now_ns: u64) {
        let sites = &mut self.sites;
        if let Sample::Note(index) = self.moments.sample(now_ns, || sites.thin()) {
            sites.note(index);
        }
        for process in &mut self.processes {
            process.live.compact();
        }
    }

    /// The process an event is about, made when it is new.
    fn process(&mut self, header: &Header) -> &mut Process {
        let index = self.index(header);
        &mut self.processes[index]
    }

    fn index(&mut self, header: &Header) -> usize {
        match self.processes.get(self.current) {
            Some(process) if process.incarnation == header.incarnation && process.pid == header.pid => self.current,
            _ => self.find(header.pid, header.incarnation),
        }
    }

    #[cold]
    fn find(&mut self, pid: u32, incarnation: u32) -> usize {
        let found = self
            .processes
            .iter()
            .position(|process| process.incarnation == incarnation && process.pid == pid);
        self.current = found.unwrap_or_else(|| {
            self.replace_program(pid, incarnation);
            self.processes.push(Process {
                pid,
                incarnation,
                ..Process::default()
            });
            self.processes.len() - 1
        });
        self.current
    }

    /// The programs that a process ran before this incarnation are gone, with all they had. Found out by the first event
    /// of a new incarnation, so that it does not matter whether the record of the `exec` itself was lost.
    fn replace_program(&mut self, pid: u32, incarnation: u32) {
        // Incarnations are counted up and may wrap around: the newer one is less than half the circle ahead.
        let is_older =
            |process: &Process| process.pid == pid && incarnation.wrapping_sub(process.incarnation).cast_signed() > 0;
        for process in self.processes.extract_if(.., |process| is_older(process)) {
            let blocks = process.live.iter().map(|block| (block.site, block.size));
            let ranges = process.regions.iter().map(|region| (region.site, region.bytes()));
            for (site, bytes) in blocks.chain(ranges) {
                self.sites.subtract(site, bytes, 1);
                if self.sites.op(site).class().is_memory() {
                    let gone = &mut self.tally.gone_with_exec;
                    gone.bytes = gone.bytes.saturating_add(bytes);
                    gone.count += 1;
                }
            }
            self.blocks_aside.forget(process.incarnation);
            self.ranges_aside.forget(process.incarnation);
        }
    }

    /// The site of an event. A stack may come after an event that names it, when its first record was damaged, so a site is
    /// made for one that is not known yet; but not without bound.
    fn site(&mut self, op: Op, stack: u64) -> u32 {
        let full = self.stacks.is_full() || self.sites.len() >= self.stacks.most_sites();
        let key = Key { op, stack };
        if full && !self.sites.contains(key) && self.stacks.get(stack).is_none() {
            return self.sites.index(Key { op, stack: 0 });
        }
        self.sites.index(key)
    }
}
