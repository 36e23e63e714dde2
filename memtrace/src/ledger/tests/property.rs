//! The ledger against the model, and against anything.

use std::collections::BTreeMap;
use std::time::Duration;

use memtrace_common::{
    Op,
    event::{Alloc, Break, Fork, Free, Header, Map, Pairs, Realloc, Remap, Unmap},
    op::Class,
    state::{LostFree, LostKey},
    young,
};
use proptest::prelude::*;

use super::{
    SECOND, empty, header, ledger,
    world::{PAGE, PROCESSES, STACKS, Sent, Site, Step, Truth, World},
};
use crate::{
    decode::Event,
    ledger::{Ledger, Snapshot},
    profile::Amount,
};

const MIN_AGE_NS: u64 = 10 * SECOND;

/// In some runs processes live long, in others they end soon.
pub(super) fn steps(count: usize) -> impl Strategy<Value = Vec<Step>> {
    (21..32_u8).prop_flat_map(move |actions| proptest::collection::vec(step(actions), 1..count))
}

fn step(actions: u8) -> impl Strategy<Value = Step> {
    (
        0..actions,
        0..PROCESSES,
        0..4_u32,
        any::<u16>(),
        any::<u16>(),
        0..STACKS,
        any::<bool>(),
    )
        .prop_map(|(action, program, thread, pick, amount, stack, lose)| Step {
            action,
            program,
            thread,
            pick,
            amount,
            stack,
            lose,
        })
}

/// The rows of a snapshot in the form of the model. The only location of a stack is its number.
pub(super) fn rows(snapshot: &Snapshot) -> BTreeMap<Site, Truth> {
    let mut rows = BTreeMap::new();
    for site in &snapshot.sites {
        let stack = site
            .stack
            .map(|index| u64::from(snapshot.stacks[index].locations[0].module));
        let truth = Truth {
            allocated: site.allocated,
            live: site.live,
            aged: site.aged,
            oldest_ns: u64::try_from(site.oldest.unwrap_or_default().as_nanos()).unwrap(),
            at_exit: site.at_exit,
        };
        assert_eq!(site.oldest.is_some(), site.live.count > 0);
        assert!(
            rows.insert((site.op, stack, site.group), truth).is_none(),
            "two rows for one site"
        );
    }
    rows
}

pub(super) fn snapshot(ledger: &Ledger, now_ns: u64, min_age_ns: u64) -> Snapshot {
    ledger.snapshot(0, now_ns, Duration::from_nanos(min_age_ns))
}

/// Memory that was live when its process ended.
fn left(snapshot: &Snapshot) -> u64 {
    let memory = snapshot.sites.iter().filter(|site| site.op.class().is_memory());
    memory.map(|site| site.at_exit.bytes).sum()
}

fn compare(ledger: &Ledger, world: &World) {
    let snapshot = snapshot(ledger, world.now_ns, MIN_AGE_NS);
    let mut truth = world.truth(MIN_AGE_NS);
    truth.retain(|_, truth| truth.allocated != Amount::default());
    assert_eq!(rows(&snapshot), truth);
    check_sums(&snapshot);
}

/// Totals are the sums of the sites.
fn check_sums(snapshot: &Snapshot) {
    let (mut live, mut allocated) = (Amount::default(), Amount::default());
    for site in snapshot.sites.iter().filter(|site| site.op.class().is_memory()) {
        live.add(site.live);
        allocated.add(site.allocated);
    }
    assert_eq!((snapshot.totals.live, snapshot.totals.allocated), (live, allocated));
    for &(class, amount) in &snapshot.totals.live_by_class {
        let mut sum = Amount::default();
        for site in snapshot.sites.iter().filter(|site| site.op.class() == class) {
            sum.add(site.live);
        }
        assert_eq!(sum, amount, "{class:?}");
    }
    assert_eq!(snapshot.totals.live_by_class.len(), Class::ALL.len());
    check_processes(snapshot, live, allocated);
}

/// Totals are the sums of the processes.
fn check_processes(snapshot: &Snapshot, live: Amount, allocated: Amount) {
    let (mut live_of_all, mut allocated_of_all) = (Amount::default(), snapshot.processes_dropped.allocated);
    if snapshot.alive == 0 {
        live_of_all.add(snapshot.processes_dropped.at_exit);
    }
    for process in &snapshot.processes {
        live_of_all.add(process.live);
        allocated_of_all.add(process.allocated);
        if snapshot.alive == 0 {
            live_of_all.add(process.at_exit);
        }
    }
    assert_eq!(live_of_all, live);
    // Each is cut off at the largest number.
    assert_eq!(allocated_of_all.count, allocated.count);
}

/// What the sites say is what the tables of blocks and ranges hold: at age 0 everything is aged.
fn check_tables(ledger: &Ledger) -> Snapshot {
    let snapshot = snapshot(ledger, u64::MAX, 0);
    for site in &snapshot.sites {
        assert_eq!(site.live, site.aged, "{site:?}");
    }
    check_sums(&snapshot);
    snapshot
}

fn random_header() -> impl Strategy<Value = Header> {
    (0..4_u32, 0..3_u32, 1..8_u32, 0..8192_u16, 0..100_u64, 0..Op::ALL.len()).prop_map(
        |(other, tid, incarnation, flags, time_ns, op)| {
            // Most programs have a pid that is always the same.
            let pid = if other == 0 { 4 } else { incarnation % 3 };
            Header {
                flags,
                op: Op::ALL[op] as u8,
                ..header(pid, tid, incarnation, time_ns)
            }
        },
    )
}

/// Few addresses, and the ends of what there is.
fn word() -> impl Strategy<Value = u64> {
    prop_oneof![
        8 => (0..12_u64).prop_map(|page| page * PAGE),
        2 => 0..20_u64,
        1 => Just(u64::MAX),
        1 => (0..3 * PAGE).prop_map(|below| u64::MAX - below),
    ]
}

fn random_event() -> impl Strategy<Value = Event<'static>> {
    (0..18_u8, random_header(), word(), word(), word(), word(), 0..5_u64).prop_map(
        |(kind, header, address, size, old, old_size, stack)| {
            let free = Free { header, address };
            let unmap = Unmap { header, address, size };
            match kind {
                0 | 1 => Event::Alloc(Alloc {
                    header,
                    address,
                    size,
                    stack,
                }),
                2 => Event::Free(free),
                3 => Event::ReallocBegin(free),
                4 => Event::ReallocEnd(Realloc {
                    header,
                    old,
                    address,
                    size,
                    stack,
                }),
                5 => Event::Map(Map {
                    header,
                    address,
                    size,
                    stack,
                }),
                6 => Event::UnmapBegin(unmap),
                7 => Event::UnmapFailed(unmap),
                8 => Event::RemapBegin(unmap),
                9 => Event::RemapEnd(Remap {
                    header,
                    old,
                    old_size,
                    address,
                    size,
                    stack,
                }),
                10 => Event::Break(Break { header, address, stack }),
                11 => Event::Exec(super::program(header)),
                12 => Event::Join(super::program(header)),
                13 => Event::Exit(header),
                14 => Event::Pairs(Pairs {
                    header,
                    stack,
                    count: old_size,
                    bytes: size,
                    class: u32::try_from(old % 300).unwrap(),
                    reserved: 0,
                    lifetimes: [u32::try_from(address % 7).unwrap(); young::LIFETIMES],
                }),
                _ => Event::Fork(Fork {
                    header,
                    child: u32::try_from(address % 4).unwrap(),
                    child_incarnation: u32::try_from(size % 9).unwrap(),
                }),
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Nothing is lost: at each step everything is exact, and nothing counts as odd that is not.
    #[test]
    fn equals_the_model_at_each_step(steps in steps(160)) {
        let mut ledger = empty();
        let mut world = World::new(false, &mut ledger);
        let mut peak = 0;
        for step in steps {
            world.step(&mut ledger, step);
            compare(&ledger, &world);
            let snapshot = snapshot(&ledger, world.now_ns, 0);
            let apart: u64 = if snapshot.alive == 0 { left(&snapshot) } else { 0 };
            peak = peak.max(snapshot.totals.live.bytes - apart);
            prop_assert_eq!(snapshot.totals.peak_live_bytes, peak);
            prop_assert_eq!(&snapshot.processes, &world.processes());
            prop_assert_eq!((snapshot.tally.strays, snapshot.tally.inherited_frees), (0, 0));
            prop_assert_eq!(snapshot.tally.unmatched_frees, world.unmatched);
            prop_assert_eq!(snapshot.tally.unmapped_unknown, world.unknown);
            prop_assert_eq!(snapshot.tally.gone_with_exec, world.gone);
            prop_assert_eq!(snapshot.tally.conflicts, 0);
            ledger.sample(world.now_ns);
        }
    }

    /// Frees and begins find the ring full at random and are remembered: once they are applied, everything is exact.
    #[test]
    fn lost_frees_do_not_become_leaks(steps in steps(160)) {
        let mut ledger = empty();
        let mut world = World::new(true, &mut ledger);
        for step in steps {
            world.step(&mut ledger, step);
            if world.is_settled() {
                compare(&ledger, &world);
            } else {
                check_tables(&ledger);
            }
        }
        world.land(&mut ledger);
        world.collect(&mut ledger);
        prop_assert!(world.is_settled());
        compare(&ledger, &world);
    }

    /// Batches are only faster.
    #[test]
    fn a_batch_is_its_events_one_after_the_other(steps in steps(160)) {
        let mut one_by_one = empty();
        let mut world = World::new(false, &mut one_by_one);
        for step in steps {
            world.step(&mut one_by_one, step);
        }
        let mut batch = empty();
        World::new(false, &mut batch);
        for sent in world.sent.chunk_by(|one, next| matches!((one, next), (Sent::Event(_), Sent::Event(_)))) {
            let events: Vec<Event<'_>> = sent
                .iter()
                .filter_map(|sent| if let Sent::Event(event) = sent { Some(*event) } else { None })
                .collect();
            if events.is_empty() {
                for sent in sent {
                    sent.apply(&mut batch);
                }
            }
            batch.apply_all(&events);
        }
        compare(&batch, &world);
        prop_assert_eq!(
            snapshot(&batch, world.now_ns, 0).tally,
            snapshot(&one_by_one, world.now_ns, 0).tally
        );
    }

    /// Any record may be missing or come twice.
    #[test]
    fn missing_events_make_nothing_negative(
        steps in steps(160), fates in proptest::collection::vec(0..6_u8, 160),
    ) {
        let mut scratch = empty();
        let mut world = World::new(false, &mut scratch);
        for step in steps {
            world.step(&mut scratch, step);
        }
        let mut ledger = ledger();
        for (sent, fate) in world.sent.iter().zip(fates.into_iter().cycle()) {
            for _ in 0..[0, 2, 1, 1, 1, 1][usize::from(fate)] {
                sent.apply(&mut ledger);
            }
            let snapshot = check_tables(&ledger);
            for site in &snapshot.sites {
                prop_assert!(site.live.bytes <= site.allocated.bytes, "{site:?}");
                if site.op.class() == Class::Heap {
                    prop_assert!(site.live.count <= site.allocated.count, "{site:?}");
                }
            }
            prop_assert!(snapshot.alive == 0 || snapshot.totals.live.bytes <= snapshot.totals.peak_live_bytes);
        }
    }

    /// Events that make no sense, with sizes that do not fit: no panic, and the sums stay those of the tables.
    #[test]
    fn nonsense_is_survived(
        events in proptest::collection::vec((random_event(), any::<bool>()), 1..120),
    ) {
        let mut ledger = ledger();
        for (event, lost) in events {
            ledger.apply(&event);
            if let (true, Event::UnmapBegin(unmap) | Event::RemapBegin(unmap)) = (lost, event) {
                let key = LostKey { address: unmap.address, incarnation: unmap.header.incarnation, reserved: 0 };
                ledger.apply_lost_free(key, LostFree { time_ns: 50, size: unmap.size });
            }
            ledger.sample(0);
            check_tables(&ledger);
        }
    }
}
