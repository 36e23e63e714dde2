//! Heaps that were made for it: what is in them is found, and what is damaged is survived.

use std::{sync::Arc, time::Duration};

use proptest::prelude::*;

use super::{
    census::{CensusError, of},
    interpreter::Interpreter,
    memory::{Memory as _, tests::Made},
    object::HAS_GC,
    pool::{self, HEADER},
    pools,
    types::tests::put_type,
};
use crate::{
    process::Module,
    profile::census::{Amount, Census},
    python::Version,
};

pub(super) const DATA: u64 = 0x40_0000;
const LISTS: u64 = DATA + 0x1000;
const HOLDER: u64 = DATA + 0x2000;
const ARRAY: u64 = 0x5555_0000_0000;
const ARENA: u64 = 0x7f00_0010_0000;
const TYPE: u64 = 0x50_0000;
const INT: u64 = 0x51_0000;
const NODE: u64 = 0x5555_0100_0000;

pub(super) fn interpreter() -> Interpreter {
    Interpreter {
        file: "python".into(),
        version: Version { minor: 11, micro: 2 },
        bias: 0,
        module: Arc::new(Module::without_file("python".into())),
        code: std::iter::once(0x5f_0000..0x60_0000).collect(),
        data: std::iter::once(DATA..DATA + 0x4000).collect(),
        range: 0x40_0000..0x60_0000,
        type_type: TYPE,
        runtime: DATA,
    }
}

/// A heap of two arenas, of which one is in use, with a pool that is full, one that is not, and one that was freed.
fn heap(pool: usize) -> Made {
    let arena = 64 * pool as u64;
    let second = ARENA + 2 * arena;
    let mut memory = Made::default();
    memory.0.insert(DATA, vec![0; 0x4000]);
    put_type(&mut memory, TYPE, TYPE, 1 << 31 | HAS_GC, "type");
    put_type(&mut memory, INT, TYPE, 0, "int");
    put_type(&mut memory, NODE, TYPE, HAS_GC, "Node");
    memory.write(LISTS, &pools::tests::empty(LISTS));
    memory.write_word(HOLDER, ARRAY);
    // Behind the array lies something else.
    memory.0.insert(ARRAY, vec![0xa5; 17 * 48]);
    memory.write(ARRAY, &[0; 16 * 48]);
    for (index, start, cut) in [(1_u64, ARENA, 3_u64), (5, second, 1)] {
        let entry = ARRAY + index * 48;
        memory.write_word(entry, start);
        memory.write_word(entry + 8, start + cut * pool as u64);
        memory.write_half(entry + 20, 64);
        memory.0.insert(start, vec![0; usize::try_from(arena).unwrap()]);
    }
    // Blocks of 32 bytes: some numbers, and all others without a type.
    let at = ARENA + pool as u64;
    memory.write(
        at,
        &pool::tests::made(at, pool, 1, 1, &[true, false, true, true, false]),
    );
    for index in [0, 2] {
        let block = at + (HEADER + index * 32) as u64;
        memory.write_word(block, 1);
        memory.write_word(block + 8, INT);
    }
    for entry in [0, 8] {
        memory.write_word(LISTS + 16 + entry, at);
    }
    // Full of blocks of 512 bytes, of which one is a node, and one was set aside.
    let blocks = vec![true; (pool - HEADER) / 512];
    memory.write(ARENA, &pool::tests::made(ARENA, pool, 31, 1, &blocks));
    for (index, count) in [(0, 7), (1, 0)] {
        let block = ARENA + (HEADER + index * 512) as u64;
        memory.write_word(block + 16, count);
        memory.write_word(block + 24, NODE);
    }
    let free = ARENA + 2 * pool as u64;
    memory.write(free, &pool::tests::made(free, pool, 4, 1, &[false, false]));
    memory.write(second, &pool::tests::made(second, pool, 4, 5, &[true]));
    memory
}

fn taken(memory: &Made) -> Result<Census, CensusError> {
    of(memory, &interpreter(), || Duration::ZERO)
}

/// Whether the parts sum to the whole.
fn assert_sums(census: &Census) {
    let parts = census
        .objects()
        .plus(census.unowned)
        .plus(census.unknown)
        .plus(census.unread);
    assert_eq!(parts, census.blocks);
    let used: u64 = census.sizes.iter().map(|size| size.used).sum();
    let bytes: u64 = census.sizes.iter().map(|size| size.used * size.block).sum();
    assert_eq!(Amount { count: used, bytes }, census.blocks);
}

#[test]
fn what_is_in_a_heap_is_found() {
    for pool in pool::SIZES {
        let census = taken(&heap(pool)).unwrap();
        assert_sums(&census);
        let full = ((pool - HEADER) / 512) as u64;
        let amount = |count, bytes| Amount { count, bytes };
        let types: Vec<_> = census
            .types
            .iter()
            .map(|row| (row.name.as_str(), row.types, row.objects))
            .collect();
        assert_eq!(types, [("Node", 1, amount(1, 512)), ("int", 1, amount(2, 64))]);
        assert_eq!(census.unowned, amount(1, 512));
        assert_eq!(census.unknown, amount(full - 2 + 1 + 1, (full - 2) * 512 + 32 + 80));
        assert_eq!(census.arenas, amount(2, 128 * pool as u64));
        assert_eq!(
            (census.pools.used, census.pools.free, census.pools.bytes_each),
            (3, 1, pool as u64)
        );
        assert!(census.health.is_good() && !census.debug_hooks, "{census:#?}");
    }
}

#[test]
fn a_pool_that_keeps_changing_is_counted_and_not_looked_at() {
    let mut memory = heap(4096);
    // Its list of free blocks leads out of it.
    memory.write_word(ARENA + 4096 + 8, 0x1234_5670);
    let census = taken(&memory).unwrap();
    assert_sums(&census);
    assert_eq!(
        (census.health.torn_pools, census.unread),
        (1, Amount { count: 3, bytes: 96 })
    );
    // And a header that is none.
    memory.write_half(ARENA + 2 * 4096 + 36, 77);
    assert_eq!(taken(&memory).unwrap().health.unreadable_pools, 1);
}

#[test]
fn arenas_that_are_gone_are_told_of() {
    let mut memory = heap(16384);
    memory.0.remove(&(ARENA + (128 << 14)));
    let census = taken(&memory).unwrap();
    assert_sums(&census);
    assert_eq!((census.health.gone_arenas, census.arenas.count), (1, 1));
}

#[test]
fn what_is_not_known_is_refused() {
    let memory = heap(4096);
    for minor in [7, 15] {
        let mut interpreter = interpreter();
        interpreter.version.minor = minor;
        let refused = of(&memory, &interpreter, || Duration::ZERO);
        assert!(matches!(refused, Err(CensusError::Unknown { .. })));
    }
    let mut free_threaded = heap(4096);
    free_threaded.write(DATA, b"xdebugpy");
    assert!(taken(&free_threaded).is_ok());
    free_threaded.write_word(DATA + 16, 1);
    assert!(matches!(taken(&free_threaded), Err(CensusError::FreeThreaded(_))));
    for (holder, words) in [(HOLDER, "array of arenas"), (LISTS + 8, "usedpools")] {
        let mut broken = heap(4096);
        broken.write_word(holder, 0x10);
        assert!(taken(&broken).unwrap_err().to_string().contains(words));
    }
    let mut empty = heap(4096);
    empty.write(LISTS, &pools::tests::empty(LISTS));
    assert!(taken(&empty).unwrap_err().to_string().contains("PYTHONMALLOC=malloc"));
}

/// Where damage does the most: headers, lists, the array, types, the heads of blocks.
fn places() -> impl Strategy<Value = u64> {
    prop_oneof![
        LISTS..LISTS + 512,
        HOLDER..HOLDER + 8,
        ARRAY..ARRAY + 8 * 48,
        ARENA..ARENA + 128,
        ARENA + 4096..ARENA + 4096 + 256,
        ARENA + 8192..ARENA + 8192 + 256,
        INT..INT + 180,
        NODE..NODE + 180,
        TYPE..TYPE + 180,
    ]
}

proptest! {
    #[test]
    fn a_damaged_heap_is_survived_and_its_parts_still_sum(
        damage in prop::collection::vec((places(), prop_oneof![any::<u64>(), Just(ARENA), Just(ARRAY), Just(LISTS), 0..70_u64]), 1..8),
    ) {
        let mut memory = heap(4096);
        for (at, word) in damage {
            let size = memory.record::<8>(at).map_or(1, |_| 8);
            memory.write(at, &word.to_le_bytes()[..size]);
        }
        if let Ok(census) = taken(&memory) {
            assert_sums(&census);
            prop_assert!(census.blocks.count <= 2 * 64 * 253);
        }
    }
}
