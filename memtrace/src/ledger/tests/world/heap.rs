//! The allocator.

use memtrace_common::{
    Op,
    event::{Alloc, Free, Realloc, flag},
};

use super::{Flight, HEAP, Known, Outcome, Place, SLOTS, Step, UNKNOWN, World, pick};
use crate::{
    decode::Event,
    ledger::{Ledger, tests::SECOND},
};

impl World {
    /// A heap address that nobody has.
    pub(super) fn vacant(&self, step: Step) -> Option<u64> {
        let program = &self.programs[step.program];
        let blocked = |address: &u64| {
            program.blocks.contains_key(address)
                || program.flights.values().any(|flight| {
                    matches!(flight, Flight::Realloc { old, outcome: Outcome::InPlace | Outcome::Failed, .. } if old == address)
                })
        };
        let vacant: Vec<u64> = (0..SLOTS)
            .map(|slot| HEAP + 16 * slot)
            .filter(|address| !blocked(address))
            .collect();
        pick(&vacant, step.pick)
    }

    pub(super) fn malloc(&mut self, ledger: &mut Ledger, step: Step) {
        let op = [Op::Malloc, Op::Calloc, Op::PosixMemalign][usize::from(step.amount % 3)];
        let Some(address) = self.vacant(step) else { return };
        self.add_block(step, address, u64::from(step.amount), self.place(step, op));
        let event = Event::Alloc(Alloc {
            header: self.header(step, op, 0),
            address,
            size: u64::from(step.amount),
            stack: step.stack,
        });
        self.send(ledger, event);
    }

    pub(super) fn add_block(&mut self, step: Step, address: u64, size: u64, place: Place) {
        let time_ns = self.now_ns;
        self.allocate(step, place, size);
        let block = Known {
            size,
            place,
            time_ns,
            inherited: false,
        };
        assert!(self.programs[step.program].blocks.insert(address, block).is_none());
    }

    /// A block to give back; now and then one that nobody knows.
    pub(super) fn block(&self, step: Step) -> u64 {
        let blocks: Vec<u64> = self.programs[step.program].blocks.keys().copied().collect();
        match pick(&blocks, step.pick) {
            Some(address) if !step.amount.is_multiple_of(8) => address,
            _ => UNKNOWN,
        }
    }

    pub(super) fn free(&mut self, ledger: &mut Ledger, step: Step) {
        let address = self.block(step);
        let known = self.programs[step.program].blocks.remove(&address);
        if self.lose(step, address, 0) {
            return;
        }
        self.unmatched += u64::from(known.is_none());
        let event = Event::Free(Free {
            header: self.header(step, Op::Free, 0),
            address,
        });
        self.send(ledger, event);
    }

    pub(super) fn realloc(&mut self, ledger: &mut Ledger, step: Step) {
        use Outcome::{Failed, Freed, InPlace, Moved};
        let old = self.block(step);
        let mut outcome = [Moved, Moved, InPlace, Failed, Freed][usize::from(step.pick % 5)];
        if old == UNKNOWN && outcome == InPlace {
            outcome = Moved;
        }
        let block = self.programs[step.program].blocks.remove(&old);
        let lost = self.lose(step, old, 0);
        if !lost {
            self.unmatched += u64::from(block.is_none());
            let header = self.header(step, Op::Realloc, 0);
            self.send(ledger, Event::ReallocBegin(Free { header, address: old }));
        }
        let flight = Flight::Realloc {
            old,
            size: u64::from(step.amount) / 2,
            outcome,
            block,
            lost,
        };
        self.programs[step.program].flights.insert(step.thread, flight);
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one variant")]
    pub(super) fn realloc_end(
        &mut self,
        ledger: &mut Ledger,
        step: Step,
        old: u64,
        size: u64,
        outcome: Outcome,
        block: Option<Known>,
        lost: bool,
    ) {
        let mut flags = if lost { flag::BEGIN_LOST } else { 0 };
        let mut address = 0;
        let place = self.place(step, Op::Realloc);
        match outcome {
            Outcome::Failed => {
                flags |= flag::FAILED;
                if lost {
                    self.forget(step, old);
                } else {
                    self.unmatched -= u64::from(block.is_none());
                }
                self.programs[step.program]
                    .blocks
                    .extend(block.map(|block| (old, block)));
            }
            Outcome::Freed => flags |= flag::FREED,
            Outcome::InPlace => {
                address = old;
                self.add_block(step, address, size, place);
            }
            Outcome::Moved => {
                // When the heap is full, from somewhere else.
                address = self.vacant(step).unwrap_or(HEAP + 0x1000 + self.now_ns / SECOND * 16);
                self.add_block(step, address, size, place);
            }
        }
        let event = Event::ReallocEnd(Realloc {
            header: self.header(step, Op::Realloc, flags),
            old,
            address,
            size,
            stack: step.stack,
        });
        self.send(ledger, event);
    }
}
