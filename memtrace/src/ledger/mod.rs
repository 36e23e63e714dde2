//! Events to sums: what is live, by site, and what was ever allocated.
//!
//! Pure: no I/O, no clock; time comes from the events. Each program of each process is known by its incarnation and owns its
//! blocks and ranges, by address, and the names of its stacks; it is dropped with all of them. What several have in common are
//! stacks, by content, and sites, in which their sums meet.
//!
//! Memory that was given to `realloc`, `munmap` or `mremap` is set aside at the call's begin, so that another thread can be
//! given its address meanwhile, and is dropped or restored at the call's end.
//!
//! Events may be missing, and nothing here may then panic or drift: every amount that is subtracted from a site is one
//! that was added to it, because it is kept with the block or range that it belongs to.

mod age;
mod aside;
mod blocks;
mod ended;
mod history;
mod identities;
mod inherit;
mod js_heaps;
mod js_shortages;
mod js_sites;
mod lifecycle;
mod limits;
mod live;
mod lost;
mod memory;
mod own;
mod pools;
mod process;
mod processes;
mod ranges;
mod regions;
mod sites;
mod slab;
mod snapshot;
mod spread;
mod stacks;
mod sums;
mod tally;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use memtrace_common::Op;
use rustc_hash::FxHashSet;

pub(crate) use self::snapshot::{ChosenStacks, totals};
use self::{
    aside::Aside,
    blocks::Taken,
    ended::Ended,
    history::{Moments, Sample, Sums},
    identities::Known,
    inherit::Copies,
    js_sites::JsSites,
    lifecycle::Kept,
    processes::Processes,
    sites::{Key, NO_STACK, Sites},
};
pub use self::{
    js_heaps::{JsHeaps, JsNews, JsTold},
    js_shortages::{JsShortageFacts, JsShortages},
    js_sites::{JsSampleSum, JsSiteFacts},
    limits::Limits,
    memory::{Extent, Memory, Owner, Range},
    snapshot::{ProcessFacts, ProcessesDropped, SiteFacts, Snapshot},
    stacks::{CallStack, Stacks},
    sums::{SiteKey, SiteSums},
    tally::Tally,
};
use crate::decode::Event;

/// Events that are looked up together: more than the processor can overlap, and few enough to stay in its first cache.
const TOGETHER: usize = 32;

/// Sites without a stack that there can be besides the others: one for each operation and group.
const BARE_SITES: usize = 4096;

/// The running sums. See the module's description.
#[derive(Debug)]
pub struct Ledger {
    /// The call stacks.
    pub stacks: Stacks,
    limits: Limits,
    sites: Sites,
    moments: Moments,
    /// Records that never came, as far as the ledger was told.
    lost: u64,
    /// Calls of [`Ledger::sample`].
    samples: u64,
    processes: Processes,
    /// The process that ended last, if none was alive then or since.
    last: Option<usize>,
    /// Processes that have ended and whose tables are kept for a while, oldest first, and what is in these tables.
    kept: VecDeque<Kept>,
    kept_blocks: usize,
    /// Those of which only facts are left.
    ended: Ended,
    /// Identities of stacks of all processes.
    identities: usize,
    /// Blocks and ranges that processes which live have got a copy of, and those of the last second.
    copied: usize,
    copies: Copies,
    tally: Tally,
    /// Heaps of JavaScript.
    pub js_heaps: JsHeaps,
    /// When V8 ran short of memory.
    pub js_shortages: JsShortages,
    js_sites: JsSites,
}

impl Ledger {
    /// An empty ledger.
    pub fn new(limits: Limits) -> Self {
        Self {
            stacks: Stacks::new(limits.stacks, limits.frames),
            limits,
            sites: Sites::default(),
            moments: Moments::default(),
            lost: 0,
            samples: 0,
            processes: Processes::default(),
            last: None,
            kept: VecDeque::new(),
            kept_blocks: 0,
            ended: Ended::new(limits.ended),
            identities: 0,
            copied: 0,
            copies: Copies::default(),
            tally: Tally::default(),
            js_heaps: JsHeaps::default(),
            js_shortages: JsShortages::default(),
            js_sites: JsSites::default(),
        }
    }

    /// Applies one event, in the order of the ring. Stacks go to [`Ledger::add_stack`], because their frames must be
    /// placed first.
    pub fn apply(&mut self, event: &Event<'_>) {
        match event {
            Event::Stack(_)
            | Event::Code(_)
            | Event::Image(_)
            | Event::Python(_)
            | Event::JavaScript(_)
            | Event::JavaScriptCode(_) => {}
            Event::Alloc(alloc) => self.alloc(alloc),
            Event::Weighted(weighted) => self.weighted(weighted),
            Event::Pairs(pairs) => self.pairs(pairs),
            Event::Free(free) => self.free(free),
            Event::ReallocBegin(free) => self.realloc_begin(free),
            Event::ReallocEnd(realloc) => self.realloc_end(realloc),
            Event::Map(map) => self.map(map),
            Event::UnmapBegin(unmap) | Event::RemapBegin(unmap) => self.unmap_begin(unmap),
            Event::UnmapFailed(unmap) => self.unmap_failed(unmap),
            Event::RemapEnd(remap) => self.remap_end(remap),
            Event::Break(new) => self.set_program_break(new),
            Event::Exec(program) => self.program(program, true),
            Event::Join(program) => self.program(program, false),
            Event::Fork(fork) => self.fork(fork),
            Event::Exit(header) => self.exit(header),
            Event::JsAllocated(record) => self.js_heaps.allocated(record),
            Event::JsCollected(record) => self.js_heaps.collected(record),
            Event::JsSampled(record) => self.js_sampled(record),
            Event::JsSurvived(record) => self.js_survived(record),
            Event::JsShortage(record) => self.js_shortage(record),
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
            Event::Weighted(weighted) => (&weighted.alloc.header, weighted.alloc.address),
            Event::Free(free) | Event::ReallocBegin(free) => (&free.header, free.address),
            Event::ReallocEnd(realloc) => (&realloc.header, realloc.address),
            _ => return false,
        };
        match self.processes.current() {
            Some(process) if process.is_of(header) => process.live.get(address).is_some(),
            _ => self.is_known_elsewhere(header.incarnation, address),
        }
    }

    /// The same for a process that the last event was not about. Apart, so that the usual case stays short.
    #[inline(never)]
    fn is_known_elsewhere(&self, incarnation: u32, address: u64) -> bool {
        let place = self.processes.find(incarnation);
        place.is_some_and(|place| self.processes[place].live.get(address).is_some())
    }

    /// Keeps a stack under the identity that events of a program name it by, from now on. `check` is the identity's second
    /// value. Equal stacks of several programs are one.
    pub fn add_stack(&mut self, pid: u32, incarnation: u32, id: u64, check: u64, stack: CallStack) {
        let Some(process) = self.find(pid, incarnation, 0) else {
            return;
        };
        let identities = &mut self.processes[process].identities;
        if let Some(known) = identities.get(id) {
            self.stacks.collisions += u64::from(known.check != check);
            return;
        }
        if self.identities >= self.limits.identities {
            self.stacks.overflow += 1;
            return;
        }
        if let Some(stack) = self.stacks.number(stack) {
            identities.insert(id, Known { check, stack });
            self.identities += 1;
        }
    }

    /// Events of a program count in this group from now on, and so do those of the processes that it will fork and of the
    /// program that will replace it. At first the group is 0, or that of the parent. `false` when the program is not
    /// known, or has ended.
    pub fn set_group(&mut self, incarnation: u32, group: u32) -> bool {
        let Some(place) = self.processes.find(incarnation) else {
            return false;
        };
        let process = &mut self.processes[place];
        if process.state != process::State::Alive {
            return false;
        }
        if process.group != group {
            process.group = group;
            process.identities.forget_sites();
        }
        true
    }

    /// Makes a program known that was there when observation began, and where its program break was (avma), if it had one.
    pub fn seed(&mut self, pid: u32, incarnation: u32, program_break: Option<u64>) {
        if let Some(process) = self.find(pid, incarnation, 0) {
            self.processes[process].regions.program_break = program_break;
        }
    }

    /// The programs that a snapshot would list.
    pub fn listed(&self) -> FxHashSet<u32> {
        let living = self.processes.iter().map(|process| process.incarnation);
        living.chain(self.ended.iter().map(|facts| facts.incarnation)).collect()
    }

    /// Whether a program is known, or was.
    pub fn knows(&self, incarnation: u32) -> bool {
        self.processes.find(incarnation).is_some() || self.processes.is_gone(incarnation)
    }

    /// Where the blocks are of which a free may come (avma), of all processes.
    pub fn addresses(&self) -> impl Iterator<Item = u64> {
        self.processes.iter().flat_map(|process| {
            let aside = process.blocks_aside.iter();
            let aside = aside.filter_map(|taken| match taken {
                Taken::Block(block) => Some(block.address),
                Taken::Unknown(_) => None,
            });
            process.live.iter().map(|block| block.address).chain(aside)
        })
    }

    /// Blocks may be freed unseen from now on: of those that were live it is not known any more. Mappings stay. After a look at the
    /// allocator, what was seen in it was live for that moment only, and is no peak.
    pub fn forget_blocks(&mut self, after_look: bool) {
        self.sites.take_back_peak(after_look);
        for process in self.processes.iter_mut().filter(|process| process.has_live()) {
            for block in std::mem::take(&mut process.live).iter() {
                self.sites.forget(block.site, block.amount(), &mut process.own);
            }
            process.blocks_aside = Aside::default();
            process.not_kept_live = 0;
            let own = &mut process.own;
            if after_look {
                own.peak_live_bytes = own.peak_before;
            } else {
                own.peak_before = own.peak_live_bytes;
            }
        }
    }

    /// How many processes are alive.
    pub fn processes(&self) -> usize {
        self.processes.alive()
    }

    /// So many records never came, from the start up to now. It changes no sum: moments say how many it were.
    pub const fn set_lost(&mut self, lost: u64) {
        self.lost = lost;
    }

    /// Notes the live bytes of every site at a moment, in nanoseconds of kernel time, and gives back memory that a peak or
    /// ended processes have left behind.
    pub fn sample(&mut self, now_ns: u64) {
        let sites = &mut self.sites;
        if let Sample::Note(index) = self.moments.sample(now_ns, || sites.thin()) {
            sites.note(index);
            self.moments.note(Sums {
                live_bytes: sites.live_bytes,
                allocated_bytes: sites.memory_sums().1.bytes,
                lost: self.lost,
            });
        }
        self.drop_kept();
        let mut aside = 0;
        for process in self.processes.iter_mut() {
            process.live.compact();
            aside += process.blocks_aside.len() + process.ranges_aside.len();
        }
        if aside > aside::ALL {
            for process in self.processes.iter_mut() {
                process.blocks_aside.keep(aside::FEW);
                process.ranges_aside.keep(aside::FEW);
            }
        }
    }

    /// The site of an event.
    #[inline]
    fn site(&mut self, process: usize, op: Op, id: u64) -> u32 {
        match self.processes[process].identities.site(op, id) {
            Some(site) => site,
            None => self.new_site(process, op, id),
        }
    }

    /// The site of an event whose program has not asked for it before. One whose stack is not known has none: the stack may
    /// still come, when its first record was damaged.
    #[inline(never)]
    fn new_site(&mut self, place: usize, op: Op, id: u64) -> u32 {
        let process = &self.processes[place];
        let bare = Key {
            op,
            stack: NO_STACK,
            group: process.group,
        };
        let site = match process.identities.get(id) {
            _ if id == 0 => self.bare_site(bare),
            None => return self.bare_site(bare),
            Some(Known { stack, .. }) => {
                let key = Key { stack, ..bare };
                if let Some(site) = self.sites.find(key) {
                    site
                } else if self.sites.len() < self.stacks.most_sites() {
                    self.sites.index(key)
                } else {
                    self.stacks.overflow += 1;
                    self.bare_site(bare)
                }
            }
        };
        self.processes[place].identities.remember(op, id, site);
        site
    }

    /// The site of what has no stack. There may be as many groups as processes, so they are one when there are too many.
    fn bare_site(&mut self, key: Key) -> u32 {
        match self.sites.find(key) {
            Some(site) => site,
            None if self.sites.len() < self.stacks.most_sites().saturating_add(BARE_SITES) => self.sites.index(key),
            None => self.sites.index(Key { group: 0, ..key }),
        }
    }
}
