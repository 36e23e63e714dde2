//! Rules that are worth a name.

use std::time::Duration;

use memtrace_common::{
    Op,
    event::{Alloc, Break, Free, Map, Realloc, Remap, Unmap, flag},
    op::Class,
    state::{LostFree, LostKey},
};

use super::{SECOND, header, ledger, world::PAGE};
use crate::{
    decode::Event,
    ledger::{Ledger, Limits, SiteFacts, Snapshot},
    process::Location,
    profile::Amount,
};

/// Where things are mapped.
const BASE: u64 = 0x7f00_0000_0000;

fn at(time: u64, op: Op, flags: u16) -> memtrace_common::event::Header {
    by(1, time, op, flags)
}

fn by(tid: u32, time: u64, op: Op, flags: u16) -> memtrace_common::event::Header {
    memtrace_common::event::Header {
        op: op as u8,
        flags,
        ..header(1, tid, 1, time)
    }
}

fn malloc(tid: u32, time: u64, address: u64, size: u64) -> Event<'static> {
    Event::Alloc(Alloc {
        header: by(tid, time, Op::Malloc, 0),
        address,
        size,
        stack: 1,
    })
}

fn free(time: u64, address: u64) -> Event<'static> {
    let header = at(time, Op::Free, 0);
    Event::Free(Free { header, address })
}

fn realloc_begin(tid: u32, time: u64, address: u64) -> Event<'static> {
    let header = by(tid, time, Op::Realloc, 0);
    Event::ReallocBegin(Free { header, address })
}

fn realloc_end(tid: u32, time: u64, flags: u16, old: u64, address: u64, size: u64) -> Event<'static> {
    Event::ReallocEnd(Realloc {
        header: by(tid, time, Op::Realloc, flags),
        old,
        address,
        size,
        stack: 2,
    })
}

fn map(time: u64, op: Op, flags: u16, address: u64, size: u64) -> Event<'static> {
    Event::Map(Map {
        header: at(time, op, flags),
        address,
        size,
        stack: 1,
    })
}

fn unmap(time: u64, address: u64, size: u64) -> Event<'static> {
    let header = at(time, Op::Munmap, 0);
    Event::UnmapBegin(Unmap { header, address, size })
}

fn unmap_failed(time: u64, address: u64, size: u64) -> Event<'static> {
    let header = at(time, Op::Munmap, 0);
    Event::UnmapFailed(Unmap { header, address, size })
}

fn remap_begin(time: u64, address: u64, size: u64) -> Event<'static> {
    let header = at(time, Op::Mremap, 0);
    Event::RemapBegin(Unmap { header, address, size })
}

fn remap_end(time: u64, flags: u16, old: (u64, u64), new: (u64, u64)) -> Event<'static> {
    Event::RemapEnd(Remap {
        header: at(time, Op::Mremap, flags),
        old: old.0,
        old_size: old.1,
        address: new.0,
        size: new.1,
        stack: 2,
    })
}

fn brk(time: u64, flags: u16, address: u64) -> Event<'static> {
    let header = at(time, Op::Brk, flags);
    Event::Break(Break {
        header,
        address,
        stack: 1,
    })
}

fn lost(ledger: &mut Ledger, time_ns: u64, address: u64, size: u64) {
    let key = LostKey {
        address,
        incarnation: 1,
        reserved: 0,
    };
    ledger.apply_lost_free(key, LostFree { time_ns, size });
}

fn run(events: impl IntoIterator<Item = Event<'static>>) -> Ledger {
    let mut ledger = ledger();
    for event in events {
        ledger.apply(&event);
    }
    ledger
}

fn snapshot(ledger: &Ledger) -> Snapshot {
    ledger.snapshot(0, 100 * SECOND, Duration::from_secs(10))
}

/// Bytes and count of all live memory.
fn live(ledger: &Ledger) -> (u64, u64) {
    let Amount { bytes, count } = snapshot(ledger).totals.live;
    (bytes, count)
}

fn of_op(snapshot: &Snapshot, op: Op) -> Vec<&SiteFacts> {
    snapshot.sites.iter().filter(|site| site.op == op).collect()
}

#[test]
fn a_free_of_something_from_before_attach_is_unmatched_and_nothing_is_negative() {
    let ledger = run([free(1, 0x10), malloc(1, 2, 0x20, 5), free(3, 0x20), free(4, 0x20)]);
    assert_eq!(live(&ledger), (0, 0));
    assert_eq!(snapshot(&ledger).tally.unmatched_frees, 2);
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
    ledger.apply(&Event::Exec(header(1, 1, 2, 2)));
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

#[test]
fn requested_bytes_count_while_a_mapping_is_whole_and_what_remains_of_them_after() {
    let size = 2 * PAGE + 100;
    let mapped = map(1, Op::Mmap, 0, BASE, size);
    assert_eq!(live(&run([mapped])), (size, 1));
    let head = run([mapped, unmap(2, BASE, PAGE)]);
    assert_eq!(live(&head), (PAGE + 100, 1));
    let middle = run([mapped, unmap(2, BASE + PAGE, 1)]);
    assert_eq!(live(&middle), (PAGE + 100, 2));
    let tail = run([mapped, unmap(2, BASE + 2 * PAGE, PAGE)]);
    assert_eq!(live(&tail), (2 * PAGE, 1));
    assert_eq!(live(&run([mapped, unmap(2, BASE, size)])), (0, 0));
}

#[test]
fn an_unmap_that_fails_leaves_one_mapping() {
    let events = [
        map(1, Op::Mmap, 0, BASE, 5 * PAGE),
        unmap(2, BASE + PAGE, PAGE),
        unmap_failed(3, BASE + PAGE, PAGE),
        unmap(4, BASE + 3 * PAGE, PAGE),
    ];
    assert_eq!(live(&run(events[..2].iter().copied())), (4 * PAGE, 2));
    assert_eq!(live(&run(events[..3].iter().copied())), (5 * PAGE, 1));
    assert_eq!(live(&run(events)), (4 * PAGE, 2));
    assert_eq!(snapshot(&run(events)).tally.unmapped_unknown, 0);
}

#[test]
fn what_was_mapped_since_is_not_covered_by_what_an_unmap_failed_to_take() {
    let ledger = run([
        map(1, Op::Mmap, 0, BASE, 3 * PAGE),
        unmap(2, BASE, 3 * PAGE),
        map(3, Op::MmapFile, 0, BASE + PAGE, PAGE),
        unmap_failed(4, BASE, 3 * PAGE),
    ]);
    let snapshot = snapshot(&ledger);
    assert_eq!((live(&ledger), snapshot.tally.conflicts), ((2 * PAGE, 2), 1));
    assert_eq!(of_op(&snapshot, Op::MmapFile)[0].live.bytes, PAGE);
}

#[test]
fn fixed_mappings_replace_and_others_conflict() {
    let over = |flags| {
        run([
            map(1, Op::Mmap, 0, BASE, 4 * PAGE),
            map(2, Op::Mmap, flags, BASE + PAGE, PAGE),
        ])
    };
    for (flags, conflicts) in [(flag::FIXED, 0), (0, 1)] {
        let ledger = over(flags);
        assert_eq!(live(&ledger), (4 * PAGE, 3));
        assert_eq!(snapshot(&ledger).tally.conflicts, conflicts);
    }
}

#[test]
fn a_mapping_that_moves_keeps_its_class() {
    for (op, class) in [
        (Op::Mmap, Class::Mapped),
        (Op::MmapFile, Class::File),
        (Op::MmapReserve, Class::Reserved),
    ] {
        let mapped = map(1, op, 0, BASE, PAGE);
        let (old, new) = ((BASE, PAGE), (BASE + 9 * PAGE, 3 * PAGE));
        let moved = run([mapped, remap_begin(2, BASE, PAGE), remap_end(3, 0, old, new)]);
        let kept = run([mapped, remap_end(3, flag::KEEP_OLD, old, new)]);
        let mut late = run([mapped, remap_end(3, flag::BEGIN_LOST, old, new)]);
        lost(&mut late, 2, BASE, PAGE);
        for (ledger, bytes, count) in [(&moved, 3 * PAGE, 1), (&kept, 4 * PAGE, 2), (&late, 3 * PAGE, 1)] {
            let live = snapshot(ledger).totals.live_by_class;
            assert!(live.contains(&(class, Amount { bytes, count })), "{op:?}: {live:?}");
        }
    }
}

#[test]
fn mappings_of_unknown_ranges_are_counted_and_never_negative() {
    let ledger = run([
        unmap(1, BASE, PAGE),
        remap_begin(2, BASE, PAGE),
        remap_end(3, 0, (BASE, PAGE), (BASE + PAGE, 2 * PAGE)),
    ]);
    let snapshot = snapshot(&ledger);
    assert_eq!((live(&ledger), snapshot.tally.unmapped_unknown), ((2 * PAGE, 1), 2));
    assert_eq!(of_op(&snapshot, Op::Mremap)[0].allocated.count, 1);
}

#[test]
fn an_earlier_unmap_does_not_lend_its_class_to_a_later_remap() {
    for address in [BASE, BASE + 4 * PAGE] {
        let ledger = run([
            map(1, Op::MmapFile, 0, BASE, PAGE),
            unmap(2, BASE, PAGE),
            map(3, Op::Mmap, 0, address, PAGE),
            remap_end(4, flag::KEEP_OLD, (address, 0), (BASE + 8 * PAGE, PAGE)),
        ]);
        assert_eq!(live(&ledger), (2 * PAGE, 2));
    }
}

#[test]
fn a_remap_whose_end_was_lost_cannot_be_restored_through_a_later_one() {
    let ledger = run([
        map(1, Op::Mmap, 0, BASE, PAGE),
        remap_begin(2, BASE, PAGE),
        remap_end(4, flag::FAILED | flag::BEGIN_LOST, (BASE, PAGE), (0, 2 * PAGE)),
    ]);
    assert_eq!(live(&ledger), (0, 0));
}

#[test]
fn a_lost_unmap_reaches_what_a_later_one_has_set_aside() {
    let mut ledger = run([map(1, Op::Mmap, 0, BASE, 4 * PAGE), unmap(3, BASE, 4 * PAGE)]);
    lost(&mut ledger, 2, BASE + PAGE, PAGE);
    ledger.apply(&unmap_failed(4, BASE, 4 * PAGE));
    assert_eq!(live(&ledger), (3 * PAGE, 2));
}

#[test]
fn the_program_break_counts_when_the_program_itself_moves_it() {
    let mut ledger = ledger();
    ledger.seed_break(1, 1, 1000);
    for (event, bytes, count) in [
        (brk(1, 0, 1500), 500, 1),
        // The allocator takes 1000 bytes more.
        (brk(2, flag::NESTED, 2500), 500, 1),
        (brk(3, 0, 2600), 600, 2),
        (brk(4, 0, 2550), 550, 2),
        (brk(5, flag::NESTED, 1400), 400, 1),
        (brk(6, 0, 1000), 0, 0),
    ] {
        ledger.apply(&event);
        assert_eq!(live(&ledger), (bytes, count), "{event:?}");
    }
    // Unknown at first: the first one only tells where it is.
    assert_eq!(live(&run([brk(1, 0, 9000), brk(2, 0, 9100)])), (100, 1));
}

#[test]
fn stacks_are_bounded_and_what_has_none_is_one_site() {
    let mut ledger = Ledger::new(Limits { stacks: 2 });
    for stack in 1..1000_u64 {
        let location = Location {
            module: 0,
            address: stack,
        };
        ledger.add_stack(stack, !stack, vec![location]);
        ledger.apply(&Event::Alloc(Alloc {
            header: at(stack, Op::Malloc, 0),
            address: 16 * stack,
            size: 1,
            stack,
        }));
    }
    let snapshot = snapshot(&ledger);
    assert_eq!((snapshot.kept_stacks, snapshot.stack_overflow), (2, 997));
    let bare: Vec<_> = snapshot.sites.iter().filter(|site| site.stack.is_none()).collect();
    assert_eq!((snapshot.sites.len(), bare.len(), bare[0].live.count), (3, 1, 997));
    assert_eq!(snapshot.totals.live.count, 999);
    assert!(ledger.sites.len() <= 5, "memory is bounded: {}", ledger.sites.len());
}

#[test]
fn a_stack_may_come_after_an_event_that_names_it() {
    let mut ledger = ledger();
    let mut event = malloc(1, 1, 0x10, 5);
    if let Event::Alloc(alloc) = &mut event {
        alloc.stack = 77;
    }
    ledger.apply(&event);
    assert_eq!(snapshot(&ledger).sites[0].stack, None);
    ledger.add_stack(77, 1, Vec::new());
    assert_eq!(snapshot(&ledger).sites[0].stack, Some(0));
}

#[test]
fn stacks_that_share_an_identity_are_counted() {
    let mut ledger = ledger();
    ledger.add_stack(1, 1, Vec::new());
    assert_eq!(snapshot(&ledger).stack_collisions, 0);
    ledger.add_stack(1, 99, Vec::new());
    let snapshot = snapshot(&ledger);
    assert_eq!((snapshot.stack_collisions, snapshot.kept_stacks), (1, 3));
    assert_eq!(ledger.stacks.get(1).map(<[Location]>::len), Some(1));
}

#[test]
fn histories_share_their_moments_and_sites_without_a_stack_add_up() {
    let mut ledger = ledger();
    for second in 0..200_u64 {
        for stack in [1, 50, 51] {
            ledger.apply(&Event::Alloc(Alloc {
                header: at(second * SECOND, Op::Malloc, 0),
                address: 0x10 * (3 * second + stack),
                size: 10,
                stack,
            }));
        }
        ledger.sample((second + 1) * SECOND);
    }
    let snapshot = ledger.snapshot(SECOND, 200 * SECOND, Duration::ZERO);
    let [first, second] = snapshot.sites.as_slice() else {
        panic!("{:?}", snapshot.sites)
    };
    assert!(first.history.len() > 32 && first.history.len() <= 64);
    for (&(time, bytes), &(other_time, other_bytes)) in first.history.iter().zip(&second.history) {
        assert_eq!((time, 2 * bytes), (other_time, other_bytes));
        assert_eq!(bytes, 10 * (time.as_secs() + 1));
    }
}
