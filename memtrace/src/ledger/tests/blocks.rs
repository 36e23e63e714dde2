//! Rules for blocks.

use std::time::Duration;

use memtrace_common::{
    Op,
    event::{Alloc, flag},
};

use super::{
    SECOND,
    events::{BASE, free, live, lost, malloc, map, of_op, realloc_begin, realloc_end, run, snapshot},
    header, program,
    world::PAGE,
};
use crate::{decode::Event, profile::Amount};

#[test]
fn a_free_of_something_from_before_attach_is_unmatched_and_nothing_is_negative() {
    let ledger = run([free(1, 0x10), malloc(1, 2, 0x20, 5), free(3, 0x20), free(4, 0x20)]);
    assert_eq!(live(&ledger), (0, 0));
    assert_eq!(snapshot(&ledger).tally.unmatched_frees, 2);
}

#[test]
fn what_is_live_is_told_by_its_age() {
    // The snapshot is taken at 100 s.
    let ledger = run([
        malloc(1, 99 * SECOND + 1, 0x10, 1),
        malloc(1, 95 * SECOND, 0x20, 10),
        malloc(1, 93 * SECOND, 0x30, 100),
        malloc(1, 50 * SECOND, 0x40, 1000),
        map(36 * SECOND, Op::Mmap, 0, BASE, PAGE),
        free(99 * SECOND, 0x40),
    ]);
    let snapshot = snapshot(&ledger);
    let (at, amount) = (Duration::from_secs, |bytes, count| Amount { bytes, count });
    assert_eq!(
        of_op(&snapshot, Op::Malloc)[0].ages,
        [(at(0), amount(1, 1)), (at(4), amount(110, 2))]
    );
    assert_eq!(of_op(&snapshot, Op::Mmap)[0].ages, [(at(64), amount(PAGE, 1))]);
    for site in &snapshot.sites {
        assert_eq!(
            site.ages.iter().map(|(_, amount)| amount.bytes).sum::<u64>(),
            site.live.bytes
        );
    }
}

#[test]
fn an_allocation_at_a_live_address_means_that_its_free_was_missed() {
    let ledger = run([malloc(1, 1, 0x10, 100), malloc(2, 2, 0x10, 30)]);
    let snapshot = snapshot(&ledger);
    assert_eq!(live(&ledger), (30, 1));
    assert_eq!(snapshot.tally.conflicts, 1);
    // Both were never live at once.
    assert_eq!(snapshot.totals.peak_live_bytes, 100);
}

#[test]
fn a_realloc_gives_its_block_to_whoever_is_first() {
    // Between begin and end the allocator has freed 0x10, and thread 2 is given it.
    let ledger = run([
        malloc(1, 1, 0x10, 100),
        realloc_begin(1, 2, 0x10),
        malloc(2, 3, 0x10, 7),
        realloc_end(1, 4, 0, 0x10, 0x200, 150),
    ]);
    let snapshot = snapshot(&ledger);
    assert_eq!(live(&ledger), (157, 2));
    assert_eq!((snapshot.tally.conflicts, snapshot.tally.unmatched_frees), (0, 0));
    assert_eq!(of_op(&snapshot, Op::Realloc)[0].live, Amount { bytes: 150, count: 1 });
}

#[test]
fn a_realloc_that_fails_restores_site_size_and_age() {
    let begun = [malloc(1, SECOND, 0x10, 100), realloc_begin(1, 2 * SECOND, 0x10)];
    assert_eq!(live(&run(begun)), (0, 0));
    let failed = realloc_end(1, 3 * SECOND, flag::FAILED, 0x10, 0, u64::MAX);
    let ledger = run(begun.into_iter().chain([failed]));
    let snapshot = snapshot(&ledger);
    let site = of_op(&snapshot, Op::Malloc)[0];
    assert_eq!(site.live, Amount { bytes: 100, count: 1 });
    assert_eq!(site.allocated, Amount { bytes: 100, count: 1 });
    assert_eq!(site.oldest, Some(Duration::from_secs(99)));
}

#[test]
fn a_realloc_to_zero_frees() {
    let ledger = run([
        malloc(1, 1, 0x10, 100),
        realloc_begin(1, 2, 0x10),
        realloc_end(1, 3, flag::FREED, 0x10, 0, 0),
    ]);
    assert_eq!(live(&ledger), (0, 0));
    assert_eq!(snapshot(&ledger).sites.len(), 1);
}

#[test]
fn a_realloc_of_an_unknown_block_is_unmatched_once_and_not_at_all_when_it_fails() {
    let ends = |flags, address| run([realloc_begin(1, 1, 0x10), realloc_end(1, 2, flags, 0x10, address, 50)]);
    let moved = ends(0, 0x20);
    assert_eq!((live(&moved), snapshot(&moved).tally.unmatched_frees), ((50, 1), 1));
    let failed = ends(flag::FAILED, 0);
    assert_eq!((live(&failed), snapshot(&failed).tally.unmatched_frees), ((0, 0), 0));
}

#[test]
fn an_end_that_was_lost_cannot_restore_through_a_later_one() {
    // The first realloc succeeded, but its end was lost; the second failed, and its begin was lost.
    let ledger = run([
        malloc(1, 1, 0x10, 100),
        malloc(1, 1, 0x20, 10),
        realloc_begin(1, 2, 0x10),
        realloc_end(1, 3, flag::FAILED | flag::BEGIN_LOST, 0x20, 0, 500),
    ]);
    assert_eq!(live(&ledger), (10, 1));
    // Even when it is about the same address again: what is there now is another block, whose record was lost too.
    let ledger = run([
        malloc(1, 1, 0x10, 100),
        realloc_begin(1, 2, 0x10),
        realloc_end(1, 4, flag::FAILED | flag::BEGIN_LOST, 0x10, 0, 500),
    ]);
    assert_eq!(live(&ledger), (0, 0));
}

#[test]
fn a_begin_that_was_lost_leaves_the_old_block_to_the_lost_free() {
    let moved = realloc_end(1, 4, flag::BEGIN_LOST, 0x10, 0x20, 60);
    let mut ledger = run([malloc(1, 1, 0x10, 100), moved]);
    lost(&mut ledger, 2, 0x10, 0);
    assert_eq!((live(&ledger), snapshot(&ledger).tally.recovered_frees), ((60, 1), 1));
    // Thread 2 was given the address between begin and end: its block is younger than the begin, and stays.
    let mut ledger = run([malloc(1, 1, 0x10, 100), malloc(2, 3, 0x10, 7), moved]);
    lost(&mut ledger, 2, 0x10, 0);
    assert_eq!(live(&ledger), (67, 2));
    // Resized in place: one block before and after.
    let mut ledger = run([
        malloc(1, 1, 0x10, 100),
        realloc_end(1, 4, flag::BEGIN_LOST, 0x10, 0x10, 60),
    ]);
    assert_eq!((live(&ledger), snapshot(&ledger).tally.conflicts), ((60, 1), 0));
    lost(&mut ledger, 2, 0x10, 0);
    assert_eq!(live(&ledger), (60, 1));
}

#[test]
fn a_lost_free_frees_what_is_older_and_keeps_what_is_younger() {
    let mut ledger = run([malloc(1, 5, 0x10, 100), malloc(1, 5, 0x20, 10)]);
    lost(&mut ledger, 4, 0x10, 0);
    assert_eq!(live(&ledger), (110, 2));
    lost(&mut ledger, 6, 0x10, 0);
    lost(&mut ledger, 6, 0x30, 0);
    let tally = snapshot(&ledger).tally;
    assert_eq!(live(&ledger), (10, 1));
    assert_eq!((tally.recovered_frees, tally.outdated_frees), (1, 2));
}

#[test]
fn a_lost_unmap_takes_its_range_and_no_more() {
    let anonymous = |time, start, pages| map(time, Op::Mmap, 0, start, pages * PAGE);
    let mut ledger = run([anonymous(1, BASE, 4), anonymous(5, BASE + 4 * PAGE, 1)]);
    lost(&mut ledger, 3, BASE + PAGE, 4 * PAGE);
    assert_eq!(live(&ledger), (2 * PAGE, 2));
}

#[test]
fn a_program_that_is_replaced_takes_its_blocks_along() {
    let mut ledger = run([
        malloc(1, 1, 0x10, 100),
        map(1, Op::Mmap, 0, BASE, PAGE),
        map(1, Op::MmapFile, 0, BASE + PAGE, PAGE),
        realloc_begin(2, 1, 0x50),
    ]);
    ledger.apply(&Event::Exec(program(header(1, 1, 2, 2))));
    let gone = Amount {
        bytes: 100 + PAGE,
        count: 2,
    };
    let snapshot = snapshot(&ledger);
    assert_eq!((live(&ledger), snapshot.tally.gone_with_exec), ((0, 0), gone));
    assert!(snapshot.totals.live_by_class.iter().all(|(_, live)| live.count == 0));
}

#[test]
fn the_record_of_an_exec_may_be_lost() {
    let mut ledger = run([malloc(1, 1, 0x10, 100)]);
    let mut other = malloc(1, 2, 0x10, 3);
    if let Event::Alloc(alloc) = &mut other {
        alloc.header.incarnation = 2;
    }
    ledger.apply(&other);
    let tally = snapshot(&ledger).tally;
    assert_eq!((live(&ledger), tally.conflicts), ((3, 1), 0));
    assert_eq!(tally.gone_with_exec, Amount { bytes: 100, count: 1 });
}

#[test]
fn processes_with_equal_addresses_do_not_mix() {
    let mut ledger = run([malloc(1, 1, 0x10, 100)]);
    for pid in 2..5 {
        ledger.add_stack(pid, pid, 1, 1, super::stack(1));
        ledger.apply(&Event::Alloc(Alloc {
            header: memtrace_common::event::Header {
                op: Op::Malloc as u8,
                ..header(pid, pid, pid, 1)
            },
            address: 0x10,
            size: 1,
            stack: 1,
        }));
    }
    ledger.apply(&free(2, 0x10));
    assert_eq!((live(&ledger), snapshot(&ledger).tally.conflicts), ((3, 3), 0));
}
