//! Programs, an allocator and a kernel, kept the naive way: what the ledger must come to.

mod heap;
mod mapping;

use std::collections::{BTreeMap, BTreeSet};

use memtrace_common::{
    Op,
    event::{Header, Unmap},
    state::{LostFree, LostKey},
};

use super::{SECOND, header};
use crate::{decode::Event, ledger::Ledger, profile::Amount};

pub(super) const PAGE: u64 = 4096;
/// Few addresses, so that they are used again and again.
const SLOTS: u64 = 24;
const HEAP: u64 = 0x5000;
const PAGES: u64 = 24;
const MAPPED: u64 = 0x100_0000;
const BREAK: u64 = 0x10_0000;
/// Nothing is ever allocated here.
const UNKNOWN: u64 = 0xf000;
/// The model keeps a cell for each page, and for each so many bytes below the program break.
const BREAK_CELL: u64 = 16;
/// Stacks 1 to 3 are kept, 0 is none, and 4 never arrives.
pub(super) const STACKS: u64 = 5;

/// A site: operation and stack.
type Place = (Op, u64);

/// One thing that a program does, in numbers that any values make sense of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    pub(super) action: u8,
    pub(super) program: usize,
    pub(super) thread: u32,
    pub(super) pick: u16,
    pub(super) amount: u16,
    pub(super) stack: u64,
    /// The record finds the ring full, if the world is lossy and a loss is remembered.
    pub(super) lose: bool,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    size: u64,
    place: Place,
    time_ns: u64,
}

/// A page, or a piece below the program break.
#[derive(Clone, Copy, Debug)]
struct Cell {
    mapping: u64,
    width: u64,
    bytes: u64,
    place: Place,
    time_ns: u64,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Outcome {
    Moved,
    InPlace,
    Failed,
    Freed,
}

/// A call between its begin and its end.
#[derive(Clone, Debug)]
enum Flight {
    Realloc {
        old: u64,
        size: u64,
        outcome: Outcome,
        block: Option<Known>,
        lost: bool,
    },
    /// Only one that fails has an end.
    Unmap {
        start: u64,
        size: u64,
        cells: BTreeMap<u64, Cell>,
        lost: bool,
    },
    Remap {
        old: u64,
        old_size: u64,
        size: u64,
        outcome: Outcome,
        cells: BTreeMap<u64, Cell>,
        blocked: BTreeSet<u64>,
        lost: bool,
    },
}

impl Flight {
    const fn begin_was_lost(&self) -> bool {
        match self {
            Self::Realloc { lost, .. } | Self::Unmap { lost, .. } | Self::Remap { lost, .. } => *lost,
        }
    }
}

#[derive(Debug)]
struct Program {
    pid: u32,
    incarnation: u32,
    blocks: BTreeMap<u64, Known>,
    cells: BTreeMap<u64, Cell>,
    last_break: Option<u64>,
    flights: BTreeMap<u32, Flight>,
}

/// What the model says of a site.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Truth {
    pub(super) allocated: Amount,
    pub(super) live: Amount,
    pub(super) aged: Amount,
    pub(super) oldest_ns: u64,
}

/// Two programs with the same addresses.
#[derive(Debug)]
pub(super) struct World {
    programs: Vec<Program>,
    pub(super) now_ns: u64,
    incarnations: u32,
    mappings: u64,
    lossy: bool,
    lost: BTreeMap<(u32, u64), LostFree>,
    allocated: BTreeMap<Place, Amount>,
    pub(super) unmatched: u64,
    pub(super) unknown: u64,
    pub(super) gone: Amount,
    /// Every event that was sent.
    pub(super) sent: Vec<Event<'static>>,
}

impl World {
    pub(super) fn new(lossy: bool, ledger: &mut Ledger) -> Self {
        let mut world = Self {
            programs: Vec::new(),
            now_ns: SECOND,
            incarnations: 0,
            mappings: 0,
            lossy,
            lost: BTreeMap::new(),
            allocated: BTreeMap::new(),
            unmatched: 0,
            unknown: 0,
            gone: Amount::default(),
            sent: Vec::new(),
        };
        for pid in [100, 200] {
            world.incarnations += 1;
            world.programs.push(Program {
                pid,
                incarnation: world.incarnations,
                blocks: BTreeMap::new(),
                cells: BTreeMap::new(),
                last_break: Some(BREAK),
                flights: BTreeMap::new(),
            });
            ledger.seed_break(pid, world.incarnations, BREAK);
        }
        world
    }

    /// Whether the ledger has been told everything, so that it must know everything.
    pub(super) fn is_settled(&self) -> bool {
        self.lost.is_empty() && !self.begin_lost_in_flight()
    }

    fn begin_lost_in_flight(&self) -> bool {
        let flights = self.programs.iter().flat_map(|program| program.flights.values());
        flights.into_iter().any(Flight::begin_was_lost)
    }

    /// What the kernel remembered is applied, unless a call it belongs to may still fail.
    pub(super) fn collect(&mut self, ledger: &mut Ledger) {
        if self.begin_lost_in_flight() {
            return;
        }
        for ((incarnation, address), free) in std::mem::take(&mut self.lost) {
            let key = LostKey {
                address,
                incarnation,
                reserved: 0,
            };
            ledger.apply_lost_free(key, free);
        }
    }

    /// Lets every call in flight end.
    pub(super) fn land(&mut self, ledger: &mut Ledger) {
        for program in 0..self.programs.len() {
            for thread in 0..4 {
                if self.programs[program].flights.contains_key(&thread) {
                    self.now_ns += SECOND;
                    let step = Step {
                        action: 0,
                        program,
                        thread,
                        pick: 0,
                        amount: 0,
                        stack: 0,
                        lose: false,
                    };
                    self.end(ledger, step);
                }
            }
        }
    }

    pub(super) fn step(&mut self, ledger: &mut Ledger, step: Step) {
        self.now_ns += SECOND;
        if self.programs[step.program].flights.contains_key(&step.thread) {
            return self.end(ledger, step);
        }
        match step.action {
            0..=3 => self.malloc(ledger, step),
            4..=5 => self.free(ledger, step),
            6..=8 => self.realloc(ledger, step),
            9..=10 => self.mmap(ledger, step),
            11..=12 => self.munmap(ledger, step),
            13..=14 => self.mremap(ledger, step),
            15 => self.brk(ledger, step),
            16 => self.collect(ledger),
            // Rare, or nothing would live long.
            _ if step.pick.is_multiple_of(8) => self.exec(ledger, step),
            _ => {}
        }
    }

    /// What each site has.
    pub(super) fn truth(&self, min_age_ns: u64) -> BTreeMap<(Op, Option<u64>), Truth> {
        let mut all: BTreeMap<(Op, Option<u64>), Truth> = BTreeMap::new();
        let kept = |(op, stack): Place| (op, (1..4).contains(&stack).then_some(stack));
        for (&place, &amount) in &self.allocated {
            all.entry(kept(place)).or_default().allocated.add(amount);
        }
        let mut live = |place, bytes, count, time_ns: u64| {
            let truth = all.entry(kept(place)).or_default();
            let age = self.now_ns - time_ns;
            truth.live.add(Amount { bytes, count });
            truth.oldest_ns = truth.oldest_ns.max(age);
            if age >= min_age_ns {
                truth.aged.add(Amount { bytes, count });
            }
        };
        for program in &self.programs {
            for block in program.blocks.values() {
                live(block.place, block.size, 1, block.time_ns);
            }
            for (cell, first) in runs(&program.cells) {
                live(cell.place, cell.bytes, u64::from(first), cell.time_ns);
            }
        }
        all
    }

    fn send(&mut self, ledger: &mut Ledger, event: Event<'static>) {
        ledger.apply(&event);
        self.sent.push(event);
    }

    fn header(&self, step: Step, op: Op, flags: u16) -> Header {
        let program = &self.programs[step.program];
        Header {
            op: op as u8,
            flags,
            ..header(program.pid, step.thread, program.incarnation, self.now_ns)
        }
    }

    /// Whether a begin or free is lost, and remembered. One that is remembered for the address already is not
    /// overwritten: the map has one place for each address.
    fn lose(&mut self, step: Step, address: u64, size: u64) -> bool {
        let key = (self.programs[step.program].incarnation, address);
        let lose = self.lossy && step.lose && (size == 0 || !self.lost.contains_key(&key));
        if lose {
            let time_ns = self.now_ns;
            self.lost.insert(key, LostFree { time_ns, size });
        }
        lose
    }

    fn forget(&mut self, step: Step, address: u64) {
        self.lost.remove(&(self.programs[step.program].incarnation, address));
    }

    fn allocate(&mut self, place: Place, bytes: u64) {
        self.allocated.entry(place).or_default().add(Amount { bytes, count: 1 });
    }

    fn end(&mut self, ledger: &mut Ledger, step: Step) {
        match self.programs[step.program].flights.remove(&step.thread) {
            Some(Flight::Realloc {
                old,
                size,
                outcome,
                block,
                lost,
            }) => self.realloc_end(ledger, step, old, size, outcome, block, lost),
            Some(Flight::Unmap {
                start,
                size,
                cells,
                lost,
            }) => {
                self.unknown -= u64::from(cells.is_empty() && !lost);
                self.programs[step.program].cells.extend(cells);
                if lost {
                    return self.forget(step, start);
                }
                let header = self.header(step, Op::Munmap, 0);
                self.send(
                    ledger,
                    Event::UnmapFailed(Unmap {
                        header,
                        address: start,
                        size,
                    }),
                );
            }
            Some(flight @ Flight::Remap { .. }) => self.mremap_end(ledger, step, flight),
            None => {}
        }
    }

    fn exec(&mut self, ledger: &mut Ledger, step: Step) {
        self.incarnations += 1;
        let program = &mut self.programs[step.program];
        program.incarnation = self.incarnations;
        program.last_break = None;
        program.flights.clear();
        for block in std::mem::take(&mut program.blocks).into_values() {
            self.gone.add(Amount {
                bytes: block.size,
                count: 1,
            });
        }
        for (cell, first) in runs(&std::mem::take(&mut program.cells)) {
            if cell.place.0.class().is_memory() {
                self.gone.add(Amount {
                    bytes: cell.bytes,
                    count: u64::from(first),
                });
            }
        }
        let event = Event::Exec(self.header(step, Op::Malloc, 0));
        self.send(ledger, event);
    }
}

/// Each cell, and whether it starts a piece of a mapping.
fn runs(cells: &BTreeMap<u64, Cell>) -> impl Iterator<Item = (Cell, bool)> {
    let mut before: Option<(u64, u64)> = None;
    cells.iter().map(move |(&start, &cell)| {
        let first = before != Some((start, cell.mapping));
        before = Some((start + cell.width, cell.mapping));
        (cell, first)
    })
}

/// The operation of a mapping that `mremap` made of another.
fn moved_op(old: Option<&Cell>) -> Op {
    match old {
        Some(cell) if !cell.place.0.class().is_memory() => cell.place.0,
        _ => Op::Mremap,
    }
}

fn pages(start: u64, count: u64) -> impl Iterator<Item = u64> {
    (0..count).map(move |page| start + page * PAGE)
}

fn pick(from: &[u64], pick: u16) -> Option<u64> {
    from.get(usize::from(pick).checked_rem(from.len())?).copied()
}
