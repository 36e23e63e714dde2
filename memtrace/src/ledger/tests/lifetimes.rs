//! Rules for how processes come and go.

use std::time::Duration;

use memtrace_common::{
    Op,
    event::{Header, Map, flag},
    state::{LostFree, LostKey},
};

use super::{
    SECOND, add_stacks,
    events::{BASE, live, malloc, of_op, snapshot},
    fork::{facts, fork, free_by, malloc_by, of},
    header, ledger, program,
    world::PAGE,
};
use crate::{
    decode::Event,
    ledger::{Ledger, Limits},
    profile::Amount,
};

fn exit(pid: u32, time_ns: u64) -> Event<'static> {
    Event::Exit(of(pid, time_ns, Op::Malloc, 0))
}

fn join(pid: u32, incarnation: u32, time_ns: u64) -> Event<'static> {
    Event::Join(program(header(pid, pid, incarnation, time_ns)))
}

fn exec(pid: u32, incarnation: u32, flags: u16, time_ns: u64) -> Event<'static> {
    Event::Exec(program(Header {
        flags,
        ..header(pid, pid, incarnation, time_ns)
    }))
}

fn run(events: impl IntoIterator<Item = Event<'static>>) -> Ledger {
    let mut ledger = ledger();
    events.into_iter().for_each(|event| ledger.apply(&event));
    ledger
}

#[test]
fn what_a_lone_process_leaves_stays_live() {
    let mut ledger = run([malloc(1, SECOND, 0x10, 100), exit(1, 2 * SECOND)]);
    ledger.sample(3 * SECOND);
    let snapshot = snapshot(&ledger);
    let site = of_op(&snapshot, Op::Malloc)[0];
    assert_eq!((site.live.bytes, site.at_exit.bytes), (100, 0));
    assert_eq!(site.oldest, Some(Duration::from_secs(99)));
    let process = facts(&snapshot, 1);
    assert_eq!((process.live.bytes, process.ended_ns), (100, Some(2 * SECOND)));
    assert_eq!((snapshot.alive, ledger.processes()), (0, 0));
}

#[test]
fn what_others_leave_is_apart_until_all_have_ended() {
    let file = Event::Map(Map {
        header: of(2, 6 * SECOND, Op::MmapFile, 0),
        address: BASE,
        size: PAGE,
        stack: 0,
    });
    let mut ledger = run([malloc(1, SECOND, 0x10, 100), malloc_by(2, 5 * SECOND, 0x10, 7), file]);
    let peak = snapshot(&ledger).totals.peak_live_bytes;
    ledger.apply(&exit(2, 7 * SECOND));
    let then = snapshot(&ledger);
    assert_eq!(live(&ledger), (100, 1));
    assert_eq!(facts(&then, 2).at_exit, Amount { bytes: 7, count: 1 });
    assert_eq!(facts(&then, 2).live, Amount::default());
    let left = then.sites.iter().find(|site| site.at_exit.bytes == 7).unwrap();
    assert_eq!((left.live.count, left.oldest), (0, None));
    assert_eq!(left.exit_oldest, Some(Duration::from_secs(95)));
    assert_eq!(of_op(&then, Op::MmapFile)[0].at_exit.bytes, PAGE);
    ledger.apply(&exit(1, 8 * SECOND));
    let end = snapshot(&ledger);
    assert_eq!((live(&ledger), end.totals.peak_live_bytes), ((107, 2), peak));
    let left = end.sites.iter().find(|site| site.at_exit.bytes == 7).unwrap();
    assert_eq!((left.live.count, left.aged.count), (1, 1));
    assert_eq!(left.oldest, Some(Duration::from_secs(95)));
    assert_eq!(of_op(&end, Op::MmapFile)[0].live.bytes, PAGE);
    // Somebody else comes.
    ledger.apply(&join(3, 3, 9 * SECOND));
    assert_eq!(live(&ledger), (0, 0));
    assert_eq!(facts(&snapshot(&ledger), 1).at_exit.bytes, 100);
}

#[test]
fn nothing_brings_a_process_back() {
    let mut ledger = run([malloc(1, 1, 0x10, 100), malloc_by(2, 1, 0x10, 7), exit(2, 2)]);
    let late = [
        malloc_by(2, 3, 0x20, 5),
        free_by(2, 3, 0x10, 0),
        exit(2, 4),
        join(2, 2, 5),
        exec(2, 2, 0, 5),
        fork(2, 7, 6),
        fork(1, 2, 6),
    ];
    for round in 0..2 {
        for event in &late {
            ledger.apply(event);
        }
        add_stacks(&mut ledger, 2, 2);
        assert!(!ledger.set_group(2, 1));
        ledger.end(2, 9);
        assert_eq!((live(&ledger), ledger.processes()), ((100, 1), 1), "{round}");
        assert_eq!(facts(&snapshot(&ledger), 2).at_exit.bytes, 7);
        // From now on little is known of it.
        (0..10).for_each(|now_ns| ledger.sample(now_ns));
    }
    assert!(snapshot(&ledger).tally.strays > 12);
    assert_eq!(snapshot(&ledger).tally.unmatched_frees, 0);
    // An event with the number of one process and the pid of another.
    let strays = snapshot(&ledger).tally.strays;
    let mut event = malloc(1, 1, 0x50, 1);
    if let Event::Alloc(alloc) = &mut event {
        alloc.header.pid = 77;
    }
    ledger.apply(&event);
    assert_eq!((live(&ledger), snapshot(&ledger).tally.strays), ((100, 1), strays + 1));
}

#[test]
fn a_process_may_be_found_to_have_ended() {
    let mut ledger = run([malloc(1, 1, 0x10, 100), malloc_by(2, 1, 0x10, 7)]);
    ledger.end(2, 50);
    ledger.end(3, 50);
    assert_eq!(facts(&snapshot(&ledger), 2).ended_ns, Some(50));
    assert_eq!(live(&ledger), (100, 1));
}

#[test]
fn a_pid_that_is_used_again_is_another_process() {
    for ended in [true, false] {
        let mut ledger = run([malloc(1, 1, 0x10, 100), malloc_by(2, 1, 0x10, 7)]);
        if ended {
            ledger.apply(&exit(2, 2));
        }
        // If not, its end was missed.
        ledger.apply(&join(2, 9, 3));
        let snapshot = snapshot(&ledger);
        assert_eq!(snapshot.tally.gone_with_exec, Amount::default());
        assert_eq!(facts(&snapshot, 2).at_exit.bytes, 7);
        assert_eq!(
            (facts(&snapshot, 9).started_ns, facts(&snapshot, 9).allocated.count),
            (3, 0)
        );
        assert_eq!((live(&ledger), ledger.processes()), ((100, 1), 2));
    }
    // So it is when the program began that nobody traced.
    let ledger = run([malloc_by(2, 1, 0x10, 7), exec(2, 9, flag::JOINED, 3)]);
    assert_eq!(facts(&snapshot(&ledger), 2).at_exit.bytes, 7);
    // The numbers of programs need not grow.
    let ledger = run([malloc_by(4, 1, 0x10, 7), exec(4, 1 << 31, 0, 3), exec(4, 2, 0, 4)]);
    assert_eq!((ledger.processes(), snapshot(&ledger).tally.strays), (2, 0));
}

#[test]
fn events_count_in_the_group_of_their_process() {
    let mut ledger = run([malloc(1, 1, 0x10, 1)]);
    assert!(ledger.set_group(1, 5) && !ledger.set_group(2, 5));
    ledger.apply(&malloc(1, 2, 0x20, 10));
    ledger.apply(&fork(1, 2, 3));
    ledger.apply(&malloc_by(2, 4, 0x30, 100));
    ledger.apply(&exec(2, 9, 0, 5));
    let mut event = malloc_by(2, 6, 0x30, 1000);
    if let Event::Alloc(alloc) = &mut event {
        alloc.header.incarnation = 9;
    }
    ledger.apply(&event);
    // What is freed counts where it was allocated.
    ledger.apply(&free_by(1, 7, 0x10, 0));
    let snapshot = snapshot(&ledger);
    let mut groups: Vec<_> = snapshot
        .sites
        .iter()
        .map(|site| (site.group, site.allocated.bytes, site.live.bytes))
        .collect();
    groups.sort_unstable();
    assert_eq!(groups, [(0, 1, 0), (5, 10, 10), (5, 1100, 1000)]);
    assert!(snapshot.processes.iter().all(|process| process.group == 5));
}

#[test]
fn a_lost_free_reaches_what_a_process_has_left() {
    let lost = |ledger: &mut Ledger, address, size| {
        let key = LostKey {
            address,
            incarnation: 2,
            reserved: 0,
        };
        ledger.apply_lost_free(key, LostFree { time_ns: 5, size });
    };
    let map = Event::Map(Map {
        header: of(2, 1, Op::Mmap, 0),
        address: BASE,
        size: 3 * PAGE,
        stack: 0,
    });
    let mut ledger = run([malloc(1, 1, 0x10, 100), malloc_by(2, 1, 0x10, 7), map, exit(2, 9)]);
    ledger.sample(10);
    lost(&mut ledger, 0x10, 0);
    lost(&mut ledger, BASE + PAGE, PAGE);
    let then = snapshot(&ledger);
    let at_exit = Amount {
        bytes: 2 * PAGE,
        count: 2,
    };
    assert_eq!((facts(&then, 2).at_exit, then.tally.recovered_frees), (at_exit, 2));
    assert_eq!(of_op(&then, Op::Mmap)[0].at_exit, at_exit);
    // Not for ever.
    (0..10).for_each(|now_ns| ledger.sample(now_ns));
    lost(&mut ledger, BASE, PAGE);
    assert_eq!(
        (
            facts(&snapshot(&ledger), 2).at_exit,
            snapshot(&ledger).tally.outdated_frees
        ),
        (at_exit, 1)
    );
}

#[test]
fn blocks_of_a_process_are_bounded() {
    let mut ledger = Ledger::new(Limits {
        blocks_per_process: 2,
        ..Limits::default()
    });
    for address in 1..5 {
        ledger.apply(&malloc(1, 1, 0x10 * address, 1));
    }
    ledger.apply(&malloc_by(2, 1, 0x10, 1));
    assert_eq!((live(&ledger), snapshot(&ledger).tally.not_kept), ((3, 3), 2));
    assert_eq!(facts(&snapshot(&ledger), 1).not_kept, 2);
    for address in 1..6 {
        ledger.apply(&free_by(1, 2, 0x10 * address, 0));
    }
    // Two of them were of blocks that were not kept.
    assert_eq!((live(&ledger), snapshot(&ledger).tally.unmatched_frees), ((1, 1), 1));
}

#[test]
fn a_lost_free_of_the_oldest_makes_the_rest_younger() {
    let mut ledger = run([
        malloc(1, SECOND, 0x10, 100),
        malloc_by(2, 10 * SECOND, 0x10, 7),
        malloc_by(2, 40 * SECOND, 0x20, 7),
        exit(2, 50 * SECOND),
    ]);
    let oldest = |ledger: &Ledger| {
        let sites = snapshot(ledger).sites;
        sites.iter().find_map(|site| site.exit_oldest)
    };
    assert_eq!(oldest(&ledger), Some(Duration::from_secs(90)));
    let key = LostKey {
        address: 0x10,
        incarnation: 2,
        reserved: 0,
    };
    let time_ns = 20 * SECOND;
    ledger.apply_lost_free(key, LostFree { time_ns, size: 0 });
    assert_eq!(oldest(&ledger), Some(Duration::from_mins(1)));
    (0..10).for_each(|now_ns| ledger.sample(now_ns));
    assert_eq!(oldest(&ledger), Some(Duration::from_mins(1)));
}
