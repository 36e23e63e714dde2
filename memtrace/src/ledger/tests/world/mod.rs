//! Programs, an allocator and a kernel, kept the naive way: what the ledger must come to.

mod heap;
mod life;
mod mapping;
mod truth;

use std::collections::{BTreeMap, BTreeSet};

use memtrace_common::{
    Op,
    event::{Header, Unmap},
    state::{LostFree, LostKey},
};

use self::life::Life;
pub(super) use self::truth::{Site, Truth};
use super::{SECOND, add_stacks, header};
use crate::{
    decode::Event,
    ledger::{Ledger, ProcessFacts},
    profile::Amount,
};

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

/// Processes that there can be at once.
pub(super) const PROCESSES: usize = 4;

/// A site: operation, stack and group.
type Place = (Op, u64, u32);

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
    /// The parent's.
    inherited: bool,
}

/// A page, or a piece below the program break.
#[derive(Clone, Copy, Debug)]
struct Cell {
    mapping: u64,
    width: u64,
    bytes: u64,
    place: Place,
    time_ns: u64,
    /// The parent's.
    inherited: bool,
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
    life: Life,
    group: u32,
    parent: Option<u32>,
    started_ns: u64,
    ended_ns: Option<u64>,
    allocated: Amount,
    peak: u64,
    blocks: BTreeMap<u64, Known>,
    cells: BTreeMap<u64, Cell>,
    last_break: Option<u64>,
    flights: BTreeMap<u32, Flight>,
}

/// What the ledger is told.
#[derive(Clone, Copy, Debug)]
pub(super) enum Sent {
    Event(Event<'static>),
    /// The stacks of a program: pid and incarnation.
    Stacks(u32, u32),
    /// The group of an incarnation.
    Group(u32, u32),
}

impl Sent {
    pub(super) fn apply(&self, ledger: &mut Ledger) {
        match *self {
            Self::Event(event) => ledger.apply(&event),
            Self::Stacks(pid, incarnation) => add_stacks(ledger, pid, incarnation),
            Self::Group(incarnation, group) => {
                ledger.set_group(incarnation, group);
            }
        }
    }
}

/// A few processes with the same addresses, one of them at first.
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
    /// Blocks and pieces of mappings that were live when their process ended: site, bytes, 1 if it is a piece, time.
    left: Vec<(Place, Amount, u64)>,
    /// What is to be known of programs that are over.
    over: Vec<ProcessFacts>,
    /// Everything that was sent.
    pub(super) sent: Vec<Sent>,
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
            left: Vec::new(),
            over: Vec::new(),
            sent: Vec::new(),
        };
        for pid in 100..104 {
            let life = if pid == 100 { Life::Alive } else { Life::Over };
            let mut program = Program::new(pid, life);
            if life == Life::Alive {
                world.incarnations += 1;
                program.incarnation = world.incarnations;
                program.last_break = Some(BREAK);
                ledger.seed(pid, world.incarnations, Some(BREAK));
                add_stacks(ledger, pid, world.incarnations);
            }
            world.programs.push(program);
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
        self.act(ledger, step);
        self.note_peaks();
    }

    fn act(&mut self, ledger: &mut Ledger, step: Step) {
        if self.programs[step.program].life != Life::Alive {
            return self.join(ledger, step);
        }
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
            17 => self.fork(ledger, step),
            18 => self.set_group(ledger, step),
            // Rare, or nothing would live long.
            19 if step.pick.is_multiple_of(8) => self.exec(ledger, step),
            20.. if step.pick.is_multiple_of(2) => self.exit(ledger, step),
            _ => {}
        }
    }

    fn send(&mut self, ledger: &mut Ledger, event: Event<'static>) {
        self.tell(ledger, Sent::Event(event));
    }

    fn tell(&mut self, ledger: &mut Ledger, sent: Sent) {
        sent.apply(ledger);
        self.sent.push(sent);
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

    fn place(&self, step: Step, op: Op) -> Place {
        (op, step.stack, self.programs[step.program].group)
    }

    fn allocate(&mut self, step: Step, place: Place, bytes: u64) {
        let amount = Amount { bytes, count: 1 };
        self.allocated.entry(place).or_default().add(amount);
        if place.0.class().is_memory() {
            self.programs[step.program].allocated.add(amount);
        }
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
