//! Splitting, by hand and at random: whatever is known, the parts sum to the whole.

use proptest::prelude::*;

use super::*;
use crate::{
    ledger::{Extent, Owner, Range},
    process::{pages::PAGE, smaps::Behind},
    profile::{
        resident::Parts,
        spaces::{Space, SpaceUse},
    },
};

const K: u64 = 1024;

fn entry(start: u64, end: u64, behind: Behind, rss: u64) -> Entry {
    Entry {
        start,
        end,
        behind,
        accessible: true,
        writable: true,
        rss,
        pss: rss,
        anonymous: if behind == Behind::FileOrShared { 0 } else { rss },
        ..Entry::default()
    }
}

fn memory(blocks: &[(u64, u64)], ranges: &[(u64, u64, Owner)]) -> Memory {
    let mut memory = Memory::default();
    let ranges = ranges.iter();
    memory.ranges = ranges.map(|&(start, end, owner)| Range { start, end, owner }).collect();
    for &(start, size) in blocks {
        memory.add(Extent { start, size, weight: 1 });
    }
    memory
}

/// A reading with everything seen, and the pages of the ranges `present` in memory.
fn read(known: &mut Known, entries: &[Entry], memory: &Memory, present: &[(u64, u64)]) -> Reading {
    let input = Input {
        entries,
        memory,
        stack_pointers: &[],
        blocks_seen: true,
        heaps: None,
    };
    known.read(&input, &mut |start, end| {
        let mut pages = Pages::none(start, end);
        for &(from, to) in present {
            (from / PAGE..to.div_ceil(PAGE)).for_each(|page| pages.set(page));
        }
        Some(pages)
    })
}

#[test]
fn blocks_are_live_the_rest_is_held() {
    let heap = entry(0x10000, 0x20000, Behind::Heap, 64 * K);
    let reading = read(&mut Known::default(), &[heap], &memory(&[(0x10010, 1000)], &[]), &[]);
    assert_eq!((reading.parts.live, reading.parts.held), (1000, 64 * K - 1000));
    assert_eq!((reading.rss, reading.absent, reading.coarse), (64 * K, 0, 0));
}

#[test]
fn what_was_never_touched_is_not_live_here() {
    let heap = entry(0x10000, 0x20000, Behind::Heap, 16 * K);
    // Of the block of 48 KiB the first 8 KiB are in memory, of the heap 8 KiB more.
    let blocks = memory(&[(0x12000, 48 * K)], &[]);
    let reading = read(&mut Known::default(), &[heap], &blocks, &[(0x10000, 0x14000)]);
    assert_eq!((reading.parts.live, reading.parts.held), (8 * K, 8 * K));
    assert_eq!(reading.absent, 40 * K);
}

#[test]
fn live_is_capped_where_pages_are_not_looked_at() {
    let heap = entry(0x10000, 0x20000, Behind::Heap, 16 * K);
    let blocks = memory(&[(0x12000, 48 * K)], &[]);
    let input = Input {
        entries: &[heap],
        memory: &blocks,
        stack_pointers: &[],
        blocks_seen: true,
        heaps: None,
    };
    let reading = Known::default().read(&input, &mut |_, _| None);
    assert_eq!((reading.parts.live, reading.absent), (16 * K, 32 * K));
    assert_eq!(reading.coarse, 16 * K);
}

#[test]
fn ranges_of_the_program_and_of_threads_in_one_mapping() {
    let all = entry(0x10000, 0x40000, Behind::Anonymous, 192 * K);
    let ranges = [
        (0x10000, 0x18000, Owner::Program),
        (0x18000, 0x20000, Owner::Stack),
        (0x20000, 0x28000, Owner::Either),
        (0x30000, 0x38000, Owner::Program),
    ];
    let blocks = memory(&[(0x30100, 256), (0x28000, 512)], &ranges);
    let mut known = Known::default();
    let reading = read(&mut known, &[all], &blocks, &[]);
    let wanted = Parts {
        live: 768,
        // What is in no range, and the range in which a block is.
        held: 64 * K - 512 + 32 * K - 256,
        mapped: 32 * K,
        stacks: 32 * K,
        unknown: 32 * K,
        ..Parts::default()
    };
    assert_eq!(reading.parts, wanted);
    // It stays an allocator's when the block is gone.
    let reading = read(&mut known, &[all], &memory(&[], &ranges), &[]);
    assert_eq!((reading.parts.held, reading.parts.mapped), (96 * K, 32 * K));
}

#[test]
fn memory_from_before_does_not_come_back() {
    let mut known = Known::running();
    let heap = |kib: u64| entry(0x10000, 0x10000 + kib * K, Behind::Heap, kib * K);
    let none = memory(&[], &[]);
    let parts = read(&mut known, &[heap(64)], &none, &[]).parts;
    assert_eq!((parts.before, parts.held), (64 * K, 0));
    // Half of it is used again, the heap grows.
    let parts = read(&mut known, &[heap(96)], &memory(&[(0x10000, 32 * K)], &[]), &[]).parts;
    assert_eq!((parts.live, parts.before, parts.held), (32 * K, 32 * K, 32 * K));
    let parts = read(&mut known, &[heap(96)], &none, &[]).parts;
    assert_eq!((parts.before, parts.held), (32 * K, 64 * K));
    let parts = read(&mut known, &[], &none, &[]).parts;
    assert_eq!(parts, Parts::default());
    let parts = read(&mut known, &[heap(64)], &none, &[]).parts;
    assert_eq!((parts.before, parts.held), (0, 64 * K));
}

#[test]
fn files_with_their_zeroed_data_and_shared_memory() {
    let data = entry(0x10000, 0x11000, Behind::FileOrShared, 4 * K);
    let zeroed = entry(0x11000, 0x13000, Behind::Anonymous, 8 * K);
    let apart = entry(0x14000, 0x15000, Behind::Anonymous, 4 * K);
    let mut device = entry(0x15000, 0x16000, Behind::Anonymous, 4 * K);
    device.anonymous = 0;
    let all = [data, zeroed, apart, device];
    let parts = read(&mut Known::running(), &all, &memory(&[], &[]), &[]).parts;
    assert_eq!((parts.files, parts.before), (16 * K, 4 * K));
}

#[test]
fn stacks_are_told_by_their_guard_and_pointer_and_stay_known() {
    let mut guard = entry(0x10000, 0x11000, Behind::Anonymous, 0);
    guard.accessible = false;
    let stack = entry(0x11000, 0x19000, Behind::Anonymous, 12 * K);
    let plain = entry(0x30000, 0x38000, Behind::Anonymous, 32 * K);
    let main = entry(0x50000, 0x58000, Behind::Stack, 8 * K);
    let entries = [guard, stack, plain, main];
    let nothing = memory(&[], &[]);
    let mut known = Known::default();
    let mut stacks = |pointers: &[u64], entries: &[Entry]| {
        let input = Input {
            entries,
            memory: &nothing,
            stack_pointers: pointers,
            blocks_seen: true,
            heaps: None,
        };
        known.read(&input, &mut |_, _| None).parts.stacks
    };
    assert_eq!(stacks(&[], &entries), 8 * K);
    assert_eq!(stacks(&[0x18000, 0x31000], &entries), 20 * K, "the other has no guard");
    assert_eq!(stacks(&[], &entries), 20 * K, "the thread runs now");
    assert_eq!(stacks(&[], &entries[1..]), 8 * K, "the guard is gone");
}

#[test]
fn where_calls_of_allocators_are_not_seen_nothing_is_claimed() {
    let heap = entry(0x10000, 0x20000, Behind::Heap, 64 * K);
    let input = Input {
        entries: &[heap],
        memory: &memory(&[], &[]),
        stack_pointers: &[],
        blocks_seen: false,
        heaps: None,
    };
    let parts = Known::default().read(&input, &mut |_, _| None).parts;
    assert_eq!((parts.held, parts.unknown), (0, 64 * K));
}

#[test]
fn pages_of_v8_are_its_heap_wherever_they_come_from() {
    let page = |number: u64, space| HeapPage {
        start: 0x10_0000 + number * 0x4_0000,
        end: 0x10_0000 + (number + 1) * 0x4_0000,
        space,
    };
    let heaps = HeapPages {
        pages: vec![
            page(0, Space::Old),
            page(1, Space::New),
            page(2, Space::Code),
            page(4, Space::Old),
        ],
        heaps: 1,
        is_cut_off: false,
    };
    // Two from before, one that the program mapped, one of code with more behind it, and one that was never touched.
    let mut code = entry(0x18_0000, 0x20_0000, Behind::Anonymous, 512 * K);
    code.executable = true;
    let mut all = [
        entry(0xf_0000, 0x14_0000, Behind::Anonymous, 320 * K),
        entry(0x14_0000, 0x18_0000, Behind::Anonymous, 256 * K),
        code,
        entry(0x20_0000, 0x24_0000, Behind::Anonymous, 0),
    ];
    let none = memory(&[], &[(0x14_0000, 0x18_0000, Owner::Program)]);
    let mut known = Known::running();
    let mut read = |entries: &[Entry], heaps: Option<&HeapPages>| {
        let input = Input {
            entries,
            memory: &none,
            stack_pointers: &[],
            blocks_seen: true,
            heaps,
        };
        known.read(&input, &mut |_, _| None)
    };
    let reading = read(&all, Some(&heaps));
    let parts = Parts {
        js_heap: 512 * K,
        js_code: 512 * K,
        before: 64 * K,
        ..Parts::default()
    };
    assert_eq!((reading.parts, reading.heaps), (parts, 1));
    let used = |pages, bytes, resident| SpaceUse { pages, bytes, resident };
    assert_eq!(reading.spaces.of(Space::Old), used(2, 512 * K, 256 * K));
    assert_eq!(reading.spaces.of(Space::New), used(1, 256 * K, 256 * K));
    // What lies beside its page is code too, and in no space.
    assert_eq!(reading.spaces.of(Space::Code), used(1, 256 * K, 256 * K));
    // Nothing that was V8's is from before when V8 has let go of it.
    all[2].executable = false;
    let parts = read(&all, None).parts;
    let after = Parts {
        mapped: 256 * K,
        held: 768 * K,
        before: 64 * K,
        ..Parts::default()
    };
    assert_eq!(parts, after);
}

fn any_entries() -> impl Strategy<Value = Vec<Entry>> {
    let one = (
        0..6_u64,
        1..12_u64,
        prop_oneof![
            Just(Behind::Anonymous),
            Just(Behind::Heap),
            Just(Behind::Stack),
            Just(Behind::FileOrShared)
        ],
        0..13_u64,
        0..13_u64,
        any::<[bool; 3]>(),
    );
    proptest::collection::vec(one, 0..10).prop_map(|all| {
        let mut at = PAGE;
        let each = all.into_iter().map(|(gap, pages, behind, rss, anonymous, flags)| {
            let start = at + gap * PAGE;
            at = start + pages * PAGE;
            let [accessible, writable, declines_huge] = flags;
            Entry {
                accessible,
                writable,
                declines_huge,
                // The kernel never says more than there is; a list that does must not break anything.
                anonymous: anonymous * PAGE,
                ..entry(start, at, behind, rss * PAGE)
            }
        });
        each.collect()
    })
}

fn any_memory() -> impl Strategy<Value = Memory> {
    let blocks = proptest::collection::vec((0..150 * PAGE, 0..20 * PAGE, 1..4_u32), 0..20);
    let owners = prop_oneof![Just(Owner::Program), Just(Owner::Stack), Just(Owner::Either)];
    let ranges = proptest::collection::vec((0..4 * PAGE, 1..10 * PAGE, owners), 0..12);
    (blocks, ranges, any::<bool>()).prop_map(|(blocks, ranges, sampled)| {
        let mut at = 0;
        let ranges = ranges.into_iter().map(|(gap, size, owner)| {
            let start = at + gap;
            at = start + size;
            (start, at, owner)
        });
        let ranges: Vec<_> = ranges.collect();
        let mut memory = memory(&[], &ranges);
        for (start, size, weight) in blocks {
            let weight = if sampled { weight } else { 1 };
            memory.add(Extent { start, size, weight });
        }
        memory
    })
}

fn any_heaps() -> impl Strategy<Value = HeapPages> {
    let one = (0..3 * PAGE, 1..10 * PAGE, proptest::sample::select(Space::ALL.to_vec()));
    proptest::collection::vec(one, 0..8).prop_map(|all| {
        let mut at = 0;
        let pages = all.into_iter().map(|(gap, size, space)| {
            let start = at + gap;
            at = start + size;
            HeapPage { start, end: at, space }
        });
        HeapPages {
            pages: pages.collect(),
            heaps: 1,
            is_cut_off: false,
        }
    })
}

proptest! {
    #[test]
    fn the_parts_are_the_whole_and_live_is_capped(
        rounds in proptest::collection::vec(
            (
                any_entries(),
                any_memory(),
                proptest::collection::vec(0..150 * PAGE, 0..4),
                proptest::collection::vec(any::<bool>(), 160),
                any::<[bool; 2]>(),
                proptest::option::of(any_heaps()),
            ),
            1..5,
        ),
        running: bool,
    ) {
        let mut known = if running { Known::running() } else { Known::default() };
        let mut before = u64::MAX;
        for (entries, memory, pointers, present, [blocks_seen, readable], heaps) in rounds {
            let input = Input { entries: &entries, memory: &memory, stack_pointers: &pointers, blocks_seen, heaps: heaps.as_ref() };
            let reading = known.read(&input, &mut |start, end| {
                let mut pages = Pages::none(start, end);
                (0..).zip(&present).filter(|(_, set)| **set).for_each(|(page, _)| pages.set(page));
                readable.then_some(pages)
            });
            prop_assert_eq!(reading.parts.sum(), reading.rss);
            prop_assert_eq!(reading.rss, entries.iter().map(|entry| entry.rss).sum::<u64>());
            prop_assert_eq!(reading.parts.live + reading.absent, live(&memory).max(reading.parts.live));
            prop_assert!(reading.parts.live <= live(&memory).min(reading.rss));
            prop_assert!(reading.parts.before <= before);
            prop_assert!(blocks_seen || reading.parts.held == 0);
            let of_spaces = |is_code: bool| {
                let of_kind = reading.spaces.used().filter(|(space, _)| space.is_code() == is_code);
                of_kind.map(|(_, found)| found.resident).sum::<u64>()
            };
            prop_assert_eq!(of_spaces(false), reading.parts.js_heap);
            prop_assert!(of_spaces(true) <= reading.parts.js_code);
            before = reading.parts.before;
        }
    }
}
