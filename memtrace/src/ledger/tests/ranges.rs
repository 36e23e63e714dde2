//! Rules for mapped ranges and the program break.

use memtrace_common::{Op, event::flag, op::Class};

use super::{
    events::{BASE, brk, live, lost, map, of_op, remap_begin, remap_end, run, snapshot, unmap, unmap_failed},
    ledger,
    world::PAGE,
};
use crate::profile::Amount;

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
    ledger.seed(1, 1, Some(1000));
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
