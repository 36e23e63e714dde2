//! The mapping calls.

use std::collections::{BTreeMap, BTreeSet};

use memtrace_common::{
    Op,
    event::{Break, Map, Remap, Unmap, flag},
};

use super::{BREAK, BREAK_CELL, Cell, Flight, MAPPED, Outcome, PAGE, PAGES, Place, Step, World, moved_op, pages, pick};
use crate::{decode::Event, ledger::Ledger};

impl World {
    /// Pages that a call in flight holds on to.
    pub(super) fn blocked(&self, step: Step) -> BTreeSet<u64> {
        let flights = self.programs[step.program].flights.values();
        flights
            .flat_map(|flight| match flight {
                Flight::Unmap { cells, .. } => cells.keys().copied().collect(),
                Flight::Remap { blocked, .. } => blocked.clone(),
                Flight::Realloc { .. } => BTreeSet::new(),
            })
            .collect()
    }

    /// Where `count` pages are, none of which is in use or held.
    pub(super) fn vacant_pages(&self, step: Step, count: u64, but: &BTreeSet<u64>) -> Option<u64> {
        let blocked = self.blocked(step);
        let cells = &self.programs[step.program].cells;
        let fits = |start: &u64| {
            pages(*start, count)
                .all(|page| !cells.contains_key(&page) && !blocked.contains(&page) && !but.contains(&page))
        };
        let starts: Vec<u64> = pages(MAPPED, PAGES).filter(fits).collect();
        pick(&starts, step.pick)
    }

    /// A new mapping, which replaces what is there.
    pub(super) fn add_cells(&mut self, step: Step, start: u64, size: u64, width: u64, place: Place) {
        self.mappings += 1;
        self.allocate(step, place, size);
        let mut at = 0;
        while at < size {
            let cell = Cell {
                mapping: self.mappings,
                width,
                bytes: width.min(size - at),
                place,
                time_ns: self.now_ns,
                inherited: false,
            };
            self.programs[step.program].cells.insert(start + at, cell);
            at += width;
        }
    }

    pub(super) fn mmap(&mut self, ledger: &mut Ledger, step: Step) {
        let ops = [Op::Mmap, Op::MmapFile, Op::MmapReserve];
        let op = ops[if self.lossy { 0 } else { usize::from(step.amount % 3) }];
        let count = 1 + u64::from(step.amount % 4);
        let size = count * PAGE - u64::from(step.amount) % PAGE;
        let fixed = step.pick.is_multiple_of(3);
        let start = if fixed {
            let start = MAPPED + PAGE * (u64::from(step.pick) / 3 % PAGES);
            let blocked = self.blocked(step);
            pages(start, count)
                .all(|page| !blocked.contains(&page))
                .then_some(start)
        } else {
            self.vacant_pages(step, count, &BTreeSet::new())
        };
        let Some(start) = start else { return };
        self.add_cells(step, start, size, PAGE, self.place(step, op));
        let event = Event::Map(Map {
            header: self.header(step, op, if fixed { flag::FIXED } else { 0 }),
            address: start,
            size,
            stack: step.stack,
        });
        self.send(ledger, event);
    }

    /// Takes the cells of a range out.
    pub(super) fn take(&mut self, step: Step, start: u64, end: u64) -> BTreeMap<u64, Cell> {
        let cells = &mut self.programs[step.program].cells;
        cells.extract_if(start..end, |_, _| true).collect()
    }

    pub(super) fn munmap(&mut self, ledger: &mut Ledger, step: Step) {
        let count = 1 + u64::from(step.amount % 6);
        let start = MAPPED + PAGE * (u64::from(step.pick) % PAGES);
        let size = count * PAGE - u64::from(step.amount) % PAGE;
        let blocked = self.blocked(step);
        if pages(start, count).any(|page| blocked.contains(&page)) {
            return;
        }
        let cells = self.take(step, start, start + count * PAGE);
        let lost = self.lose(step, start, size);
        if !lost {
            self.unknown += u64::from(cells.is_empty());
            let header = self.header(step, Op::Munmap, 0);
            self.send(
                ledger,
                Event::UnmapBegin(Unmap {
                    header,
                    address: start,
                    size,
                }),
            );
        }
        if step.stack == 0 {
            let flight = Flight::Unmap {
                start,
                size,
                cells,
                lost,
            };
            self.programs[step.program].flights.insert(step.thread, flight);
        }
    }

    pub(super) fn mremap(&mut self, ledger: &mut Ledger, step: Step) {
        use Outcome::{Failed, Freed, InPlace, Moved};
        let (old_count, count) = (1 + u64::from(step.amount % 3), 1 + u64::from(step.amount / 3 % 4));
        let (old_size, size) = (old_count * PAGE, count * PAGE - u64::from(step.amount) % PAGE);
        let old = MAPPED + PAGE * (u64::from(step.pick) % PAGES);
        // `Freed` stands for a move that keeps the old range.
        let mut outcome = [Moved, Moved, InPlace, Failed, Freed][usize::from(step.pick % 5)];
        let blocked = self.blocked(step);
        let known = &self.programs[step.program].cells;
        if pages(old, old_count.max(count)).any(|page| blocked.contains(&page)) {
            return;
        }
        if outcome == InPlace
            && pages(old + old_size, count.saturating_sub(old_count)).any(|page| known.contains_key(&page))
        {
            outcome = Moved;
        }
        if outcome == Freed {
            let Some(to) = self.vacant_pages(step, count, &pages(old, old_count).collect()) else {
                return;
            };
            let place = self.place(step, moved_op(known.get(&old)));
            self.add_cells(step, to, size, PAGE, place);
            return self.send_remap(ledger, step, flag::KEEP_OLD, [old, old_size, to, size]);
        }
        let cells = self.take(step, old, old + old_size);
        let lost = self.lose(step, old, old_size);
        if !lost {
            self.unknown += u64::from(cells.is_empty());
            let header = self.header(step, Op::Mremap, 0);
            self.send(
                ledger,
                Event::RemapBegin(Unmap {
                    header,
                    address: old,
                    size: old_size,
                }),
            );
        }
        let blocked = match outcome {
            Moved | Freed => BTreeSet::new(),
            InPlace | Failed => pages(old, old_count.max(count)).collect(),
        };
        let flight = Flight::Remap {
            old,
            old_size,
            size,
            outcome,
            cells,
            blocked,
            lost,
        };
        self.programs[step.program].flights.insert(step.thread, flight);
    }

    pub(super) fn send_remap(&mut self, ledger: &mut Ledger, step: Step, flags: u16, arguments: [u64; 4]) {
        let [old, old_size, address, size] = arguments;
        let event = Event::RemapEnd(Remap {
            header: self.header(step, Op::Mremap, flags),
            old,
            old_size,
            address,
            size,
            stack: step.stack,
        });
        self.send(ledger, event);
    }

    pub(super) fn mremap_end(&mut self, ledger: &mut Ledger, step: Step, flight: Flight) {
        let Flight::Remap {
            old,
            old_size,
            size,
            outcome,
            cells,
            lost,
            ..
        } = flight
        else {
            return;
        };
        let flags = if lost { flag::BEGIN_LOST } else { 0 };
        let place = self.place(step, moved_op(cells.get(&old)));
        let to = match outcome {
            Outcome::InPlace => Some(old),
            // When there is no room, somewhere else: its old place was free for others since the begin.
            Outcome::Moved | Outcome::Freed => {
                let vacant = self.vacant_pages(step, size.div_ceil(PAGE), &BTreeSet::new());
                Some(vacant.unwrap_or(MAPPED + PAGE * (100 + self.mappings * 8)))
            }
            Outcome::Failed => None,
        };
        let known = !cells.is_empty();
        if let Some(to) = to {
            self.add_cells(step, to, size, PAGE, place);
            return self.send_remap(ledger, step, flags, [old, old_size, to, size]);
        }
        self.programs[step.program].cells.extend(cells);
        if lost {
            self.forget(step, old);
        } else {
            self.unknown -= u64::from(!known);
        }
        self.send_remap(ledger, step, flags | flag::FAILED, [old, old_size, 0, size]);
    }

    pub(super) fn brk(&mut self, ledger: &mut Ledger, step: Step) {
        let new = BREAK + BREAK_CELL * (u64::from(step.amount) % 64);
        let nested = step.pick.is_multiple_of(3);
        let old = self.programs[step.program].last_break.replace(new);
        match old {
            Some(old) if new < old => {
                self.take(step, new, old);
            }
            Some(old) if new > old && !nested => {
                self.add_cells(step, old, new - old, BREAK_CELL, self.place(step, Op::Brk));
            }
            _ => {}
        }
        let event = Event::Break(Break {
            header: self.header(step, Op::Brk, if nested { flag::NESTED } else { 0 }),
            address: new,
            stack: step.stack,
        });
        self.send(ledger, event);
    }
}
