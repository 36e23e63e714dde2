//! Rules for what a process has a copy of since it was forked.

use memtrace_common::{
    Op,
    event::{Alloc, Fork, Free, Header, Realloc, Unmap, flag},
};

use super::{
    events::{BASE, free, live, malloc, map, realloc_begin, realloc_end, snapshot},
    header, ledger,
    world::PAGE,
};
use crate::{
    decode::Event,
    ledger::{Ledger, Limits, ProcessFacts, Snapshot},
    profile::Amount,
};

/// Process 1 forks process 2 at this time.
const FORKED: u64 = 10;

pub(super) fn of(pid: u32, time_ns: u64, op: Op, flags: u16) -> Header {
    Header {
        op: op as u8,
        flags,
        ..header(pid, pid, pid, time_ns)
    }
}

pub(super) fn fork(parent: u32, child: u32, time_ns: u64) -> Event<'static> {
    Event::Fork(Fork {
        header: of(parent, time_ns, Op::Malloc, 0),
        child,
        child_incarnation: child,
    })
}

pub(super) fn malloc_by(pid: u32, time_ns: u64, address: u64, size: u64) -> Event<'static> {
    Event::Alloc(Alloc {
        header: of(pid, time_ns, Op::Malloc, 0),
        address,
        size,
        stack: 0,
    })
}

pub(super) fn free_by(pid: u32, time_ns: u64, address: u64, flags: u16) -> Event<'static> {
    Event::Free(Free {
        header: of(pid, time_ns, Op::Free, flags),
        address,
    })
}

pub(super) fn facts(snapshot: &Snapshot, incarnation: u32) -> &ProcessFacts {
    let mut all = snapshot.processes.iter();
    all.find(|facts| facts.incarnation == incarnation).unwrap()
}

fn inherited(ledger: &Ledger, incarnation: u32) -> (u64, u64) {
    let amount = facts(&snapshot(ledger), incarnation).inherited;
    (amount.bytes, amount.count)
}

/// A parent with two blocks and two mappings, and its child.
fn forked(limits: Limits) -> Ledger {
    let mut ledger = Ledger::new(limits);
    for event in [
        malloc(1, 1, 0x10, 100),
        malloc(1, 2, 0x20, 10),
        map(3, Op::Mmap, 0, BASE, 2 * PAGE),
        map(4, Op::MmapFile, 0, BASE + 8 * PAGE, PAGE),
        fork(1, 2, FORKED),
    ] {
        ledger.apply(&event);
    }
    ledger
}

#[test]
fn what_is_inherited_counts_for_nothing_and_may_be_given_back() {
    let mut ledger = forked(Limits::default());
    assert_eq!(live(&ledger), (110 + 2 * PAGE, 3));
    assert_eq!(inherited(&ledger, 2), (110 + 2 * PAGE, 3));
    ledger.apply(&free_by(2, 11, 0x10, 0));
    let unmap = Unmap {
        header: of(2, 12, Op::Munmap, 0),
        address: BASE,
        size: PAGE,
    };
    ledger.apply(&Event::UnmapBegin(unmap));
    assert_eq!(inherited(&ledger, 2), (10 + PAGE, 2));
    ledger.apply(&Event::UnmapFailed(unmap));
    assert_eq!(inherited(&ledger, 2), (10 + 2 * PAGE, 2));
    // The parent's own are still there.
    let snapshot = snapshot(&ledger);
    assert_eq!(live(&ledger), (110 + 2 * PAGE, 3));
    assert_eq!(
        (snapshot.tally.unmatched_frees, snapshot.tally.unmapped_unknown),
        (0, 0)
    );
    assert_eq!(snapshot.sites.len(), 3);
    let child = facts(&snapshot, 2);
    assert_eq!((child.parent, child.started_ns, child.live.count), (Some(1), FORKED, 0));
}

#[test]
fn a_realloc_of_what_is_inherited_makes_it_the_childs_own_unless_it_fails() {
    let mut ledger = forked(Limits::default());
    let realloc = |flags, address, size| {
        let begin = Free {
            header: of(2, 11, Op::Realloc, 0),
            address: 0x10,
        };
        let end = Realloc {
            header: of(2, 12, Op::Realloc, flags),
            old: 0x10,
            address,
            size,
            stack: 0,
        };
        [Event::ReallocBegin(begin), Event::ReallocEnd(end)]
    };
    for event in realloc(flag::FAILED, 0, 500) {
        ledger.apply(&event);
    }
    assert_eq!(inherited(&ledger, 2), (110 + 2 * PAGE, 3));
    for event in realloc(0, 0x30, 500) {
        ledger.apply(&event);
    }
    assert_eq!(inherited(&ledger, 2), (10 + 2 * PAGE, 2));
    assert_eq!(facts(&snapshot(&ledger), 2).live, Amount { bytes: 500, count: 1 });
    assert_eq!(snapshot(&ledger).tally.unmatched_frees, 0);
}

#[test]
fn a_grandchild_inherits_what_its_parent_had_inherited_and_its_own() {
    let mut ledger = forked(Limits::default());
    ledger.apply(&malloc_by(2, 11, 0x40, 7));
    ledger.apply(&fork(2, 3, 12));
    assert_eq!(inherited(&ledger, 3), (117 + 2 * PAGE, 4));
    // What its parent does then does not matter.
    ledger.apply(&free_by(2, 13, 0x40, 0));
    ledger.apply(&free_by(3, 14, 0x40, 0));
    assert_eq!(inherited(&ledger, 3), (110 + 2 * PAGE, 3));
    assert_eq!(snapshot(&ledger).tally.unmatched_frees, 0);
}

#[test]
fn an_exec_and_an_exit_drop_what_is_inherited() {
    let mut ledger = forked(Limits::default());
    ledger.apply(&fork(1, 3, FORKED));
    let exec = Header {
        incarnation: 9,
        ..of(2, 11, Op::Malloc, 0)
    };
    ledger.apply(&Event::Exec(super::program(exec)));
    ledger.apply(&Event::Exit(of(3, 12, Op::Malloc, 0)));
    let snapshot = snapshot(&ledger);
    assert_eq!(snapshot.tally.gone_with_exec, Amount::default());
    assert_eq!(facts(&snapshot, 9).parent, Some(1));
    for incarnation in [2, 3] {
        let facts = facts(&snapshot, incarnation);
        assert_eq!((facts.inherited, facts.at_exit), <(Amount, Amount)>::default());
    }
    assert_eq!((ledger.copied, live(&ledger)), (0, (110 + 2 * PAGE, 3)));
}

#[test]
fn a_parent_with_too_much_is_not_copied_and_its_childs_frees_are_not_unmatched() {
    let few = Limits {
        inherited_blocks: 3,
        ..Limits::default()
    };
    let full = Limits {
        inherited_total: 3,
        ..Limits::default()
    };
    for limits in [few, full] {
        let mut ledger = forked(limits);
        assert_eq!(inherited(&ledger, 2), (0, 0));
        assert!(facts(&snapshot(&ledger), 2).inherited_unknown);
        ledger.apply(&free_by(2, 11, 0x10, 0));
        ledger.apply(&free(11, 0x999));
        let tally = snapshot(&ledger).tally;
        assert_eq!((tally.inherited_frees, tally.unmatched_frees), (1, 1));
        // Its own children know as little.
        ledger.apply(&fork(2, 3, 12));
        ledger.apply(&free_by(3, 13, 0x10, 0));
        assert_eq!(snapshot(&ledger).tally.inherited_frees, 2);
    }
}

#[test]
fn copies_are_bounded_together_and_in_time() {
    let mut ledger = forked(Limits {
        inherited_total: 9,
        ..Limits::default()
    });
    let unknown = |ledger: &Ledger, child| facts(&snapshot(ledger), child).inherited_unknown;
    ledger.apply(&fork(1, 3, FORKED));
    ledger.apply(&fork(1, 4, FORKED));
    assert_eq!([3, 4].map(|child| unknown(&ledger, child)), [false, true]);
    for child in [2, 3] {
        ledger.apply(&Event::Exit(of(child, 12, Op::Malloc, 0)));
    }
    // There is room again, but not in this second.
    ledger.apply(&fork(1, 5, 13));
    ledger.apply(&fork(1, 6, 13 + super::SECOND));
    assert_eq!([5, 6].map(|child| unknown(&ledger, child)), [true, false]);
}

#[test]
fn a_child_that_is_heard_of_before_its_fork_is_not_known_to_have_anything() {
    let mut ledger = ledger();
    ledger.apply(&malloc(1, 1, 0x10, 100));
    ledger.apply(&malloc_by(2, 2, 0x20, 5));
    ledger.apply(&fork(1, 2, 3));
    let snapshot = snapshot(&ledger);
    let child = facts(&snapshot, 2);
    assert_eq!((child.parent, child.inherited_unknown), (Some(1), true));
    assert_eq!(child.live.count, 1);
}

#[test]
fn a_block_that_was_passed_on_is_freed_once() {
    let mut ledger = ledger();
    ledger.apply(&malloc(1, 1, 0x10, 100));
    ledger.apply(&free_by(1, 2, 0x10, flag::PASSED_ON));
    assert_eq!(live(&ledger), (0, 0));
    ledger.apply(&free_by(1, 3, 0x10, flag::PASSED_ON));
    assert_eq!(snapshot(&ledger).tally.unmatched_frees, 0);
    ledger.apply(&free_by(1, 4, 0x10, 0));
    assert_eq!(snapshot(&ledger).tally.unmatched_frees, 1);
}

#[test]
fn a_resize_gives_a_block_its_new_size() {
    let resize = |flags, size| {
        Event::ReallocEnd(Realloc {
            header: of(1, 5, Op::Xallocx, flag::BEGIN_LOST | flags),
            old: 0x10,
            address: 0x10,
            size,
            stack: 1,
        })
    };
    let mut ledger = ledger();
    ledger.apply(&malloc(1, 1, 0x10, 100));
    ledger.apply(&resize(0, 150));
    assert_eq!((live(&ledger), snapshot(&ledger).tally.conflicts), ((150, 1), 0));
    ledger.apply(&resize(flag::FAILED, 900));
    assert_eq!(live(&ledger), (150, 1));
    ledger.apply(&free(6, 0x10));
    // Not known: it is from then on.
    ledger.apply(&resize(0, 30));
    assert_eq!((live(&ledger), snapshot(&ledger).tally.unmatched_frees), ((30, 1), 0));
    // It has no part in a realloc of the same thread.
    ledger.apply(&realloc_begin(1, 7, 0x10));
    ledger.apply(&realloc_end(1, 8, 0, 0x10, 0x20, 5));
    assert_eq!(live(&ledger), (5, 1));
}
