//! Events by way of the kernel's table of young blocks, kept the naive way, come to the same as without it.

use std::collections::BTreeMap;

use memtrace_common::{
    Op,
    event::{Alloc, Free, Header, Pairs, Program, Realloc, flag},
    young,
};
use proptest::prelude::*;

use super::{
    SECOND, empty, header,
    property::{rows, snapshot, steps},
    world::{Sent, Step, World},
};
use crate::{
    decode::Event,
    ledger::{Ledger, ProcessFacts, Snapshot},
};

/// The action that changes a group.
const SET_GROUP: u8 = 18;

/// Blocks that wait, by slot: few, so that they meet.
#[derive(Default)]
struct Table {
    slots: BTreeMap<u64, Alloc>,
    /// What calls of threads hold, by incarnation and thread.
    held: BTreeMap<(u32, u32), Alloc>,
    pairs: BTreeMap<(u32, u64, u8, u32), Pairs>,
    /// What goes into the ring.
    out: Vec<Sent>,
    /// Whether a call that held one has not ended.
    given_up: bool,
    width: u64,
}

impl Table {
    fn slot(&self, address: u64, incarnation: u32) -> u64 {
        (address / 16 + u64::from(incarnation)) % self.width
    }

    fn send(&mut self, event: Event<'static>) {
        self.out.push(Sent::Event(event));
    }

    fn keep(&mut self, alloc: Alloc) {
        let slot = self.slot(alloc.address, alloc.header.incarnation);
        if let Some(old) = self.slots.insert(slot, alloc) {
            self.send(Event::Alloc(old));
        }
    }

    fn take(&mut self, free: &Free) -> Option<Alloc> {
        let slot = self.slot(free.address, free.header.incarnation);
        let kept = self.slots.get(&slot)?;
        let same = (kept.address, kept.header.incarnation) == (free.address, free.header.incarnation);
        if same { self.slots.remove(&slot) } else { None }
    }

    fn count(&mut self, alloc: &Alloc, end: &Header) {
        let Header { incarnation, op, .. } = alloc.header;
        let class = u32::from(young::size_class(alloc.size));
        let pairs = self
            .pairs
            .entry((incarnation, alloc.stack, op, class))
            .or_insert(Pairs {
                header: alloc.header,
                stack: alloc.stack,
                count: 0,
                bytes: 0,
                class,
                reserved: 0,
                lifetimes: [0; young::LIFETIMES],
            });
        pairs.header.time_ns = end.time_ns;
        pairs.count += 1;
        pairs.bytes += alloc.size;
        pairs.lifetimes[usize::from(young::lifetime_class(end.time_ns - alloc.header.time_ns))] += 1;
    }

    /// Before a record that tells of a process.
    fn sweep(&mut self, of: impl Fn(u32) -> bool, sums: bool) {
        let all = std::mem::take(&mut self.slots);
        for (slot, alloc) in all {
            if of(alloc.header.incarnation) {
                self.send(Event::Alloc(alloc));
            } else {
                self.slots.insert(slot, alloc);
            }
        }
        if sums {
            for (key, pairs) in std::mem::take(&mut self.pairs) {
                if of(key.0) {
                    self.send(Event::Pairs(pairs));
                } else {
                    self.pairs.insert(key, pairs);
                }
            }
        }
    }

    fn realloc_end(&mut self, end: &Realloc) {
        let thread = (end.header.incarnation, end.header.tid);
        let Some(old) = self.held.remove(&thread) else {
            return self.send(Event::ReallocEnd(*end));
        };
        if end.header.flags & flag::FAILED != 0 {
            return self.keep(old);
        }
        self.count(&old, &end.header);
        if end.header.flags & flag::FREED == 0 {
            self.keep(Alloc {
                header: end.header,
                address: end.address,
                size: end.size,
                stack: end.stack,
            });
        }
    }

    /// Calls in flight end with their program: the blocks count as freed.
    fn give_up(&mut self, end: &Header) {
        for (thread, held) in std::mem::take(&mut self.held) {
            if held.header.pid == end.pid {
                self.given_up = true;
                self.count(&held, end);
            } else {
                self.held.insert(thread, held);
            }
        }
    }

    fn pass(&mut self, sent: Sent) {
        match sent {
            Sent::Event(Event::Alloc(alloc)) => self.keep(alloc),
            Sent::Event(Event::Free(free)) => match self.take(&free) {
                Some(alloc) => self.count(&alloc, &free.header),
                None => self.out.push(sent),
            },
            Sent::Event(Event::ReallocBegin(free)) => match self.take(&free) {
                Some(alloc) => {
                    self.held.insert((free.header.incarnation, free.header.tid), alloc);
                }
                None => self.out.push(sent),
            },
            Sent::Event(Event::ReallocEnd(end)) => self.realloc_end(&end),
            Sent::Event(Event::Fork(fork)) => {
                self.sweep(|incarnation| incarnation == fork.header.incarnation, false);
                self.out.push(sent);
            }
            Sent::Event(Event::Exec(Program { header, .. }) | Event::Exit(header)) => {
                self.give_up(&header);
                // Which program it was is not said; the others do no harm.
                self.sweep(|_| true, true);
                self.out.push(sent);
            }
            _ => self.out.push(sent),
        }
    }
}

/// All but the peaks, which do not know of blocks that were never sent.
fn without_peaks(snapshot: &Snapshot) -> Vec<ProcessFacts> {
    let facts = snapshot.processes.iter().cloned();
    facts
        .map(|facts| ProcessFacts {
            peak_live_bytes: 0,
            ..facts
        })
        .collect()
}

/// Sizes and lifetimes of all sites, in one order.
fn spreads(snapshot: &Snapshot) -> Vec<String> {
    let mut all: Vec<_> = snapshot
        .sites
        .iter()
        .map(|site| format!("{:?} {:?}", site.op, site.spread))
        .collect();
    all.sort();
    all
}

/// Lets every call end and sends what waits.
fn through(steps: Vec<Step>, width: u64) -> (Ledger, Ledger, World, bool) {
    let mut direct = empty();
    let mut world = World::new(false, &mut direct);
    // A program gets its group when it begins, before it has pairs.
    for step in steps.into_iter().filter(|step| step.action != SET_GROUP) {
        world.step(&mut direct, step);
    }
    world.land(&mut direct);
    let mut table = Table {
        width,
        ..Table::default()
    };
    for &sent in &world.sent {
        table.pass(sent);
    }
    table.sweep(|_| true, true);
    let mut by_table = empty();
    World::new(false, &mut by_table);
    for sent in &table.out {
        sent.apply(&mut by_table);
    }
    (direct, by_table, world, table.given_up)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn the_table_changes_no_sum(steps in steps(200), width in 1..16_u64) {
        let (direct, by_table, world, given_up) = through(steps, width);
        let (direct, by_table) = [&direct, &by_table].map(|ledger| snapshot(ledger, world.now_ns, 0)).into();
        prop_assert_eq!(rows(&direct), rows(&by_table));
        if !given_up {
            prop_assert_eq!(spreads(&direct), spreads(&by_table));
        }
        prop_assert_eq!(without_peaks(&direct), without_peaks(&by_table));
        prop_assert_eq!(direct.tally, by_table.tally);
        prop_assert!(by_table.totals.peak_live_bytes <= direct.totals.peak_live_bytes);
    }
}

#[test]
fn sums_come_to_their_site() {
    let mut ledger = super::ledger();
    let mut pairs = Pairs {
        header: Header {
            op: Op::Calloc as u8,
            ..header(1, 0, 1, SECOND)
        },
        stack: 2,
        count: 5,
        bytes: 500,
        class: young::size_class(100).into(),
        reserved: 0,
        lifetimes: [0; young::LIFETIMES],
    };
    pairs.lifetimes[3] = 5;
    ledger.apply(&Event::Pairs(pairs));
    let alloc = Alloc {
        header: Header {
            time_ns: 2 * SECOND,
            ..pairs.header
        },
        address: 64,
        size: 100,
        stack: 2,
    };
    ledger.apply(&Event::Alloc(alloc));
    let snapshot = snapshot(&ledger, 3 * SECOND, 0);
    let [site] = &*snapshot.sites else {
        panic!("{:?}", snapshot.sites)
    };
    assert_eq!((site.allocated.bytes, site.allocated.count), (600, 6));
    assert_eq!((site.live.bytes, site.live.count), (100, 1));
    let spread = &site.spread;
    assert_eq!(
        spread.temporary.map(|amount| (amount.bytes, amount.count)),
        Some((500, 5))
    );
    assert_eq!(spread.sizes, [(96, 6)]);
    assert_eq!(spread.lifetimes.iter().map(|(_, count)| count).sum::<u64>(), 5);
    assert_eq!(snapshot.totals.peak_live_bytes, 100);
    assert_eq!(snapshot.processes[0].allocated.count, 6);
}
