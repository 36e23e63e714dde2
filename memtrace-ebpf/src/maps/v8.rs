//! What is known of the heaps of JavaScript's objects.

use aya_ebpf::{
    macros::map,
    maps::{LruHashMap, RingBuf},
};
use memtrace_common::{
    limits,
    v8_heap::{
        Noted,
        draw::{AreaKey, Pace, Turn, Watch},
        survival::Following,
    },
};

/// Threads that V8 has told of, by pid and tid. They are not taken out: the kernel gives the place of one that is not looked at to another.
#[map]
pub(crate) static V8_THREADS: LruHashMap<u64, Noted> = LruHashMap::with_max_entries(limits::MAX_V8_THREADS, 0);

/// How often each of them is sampled.
#[map]
pub(crate) static V8_PACES: LruHashMap<u64, Pace> = LruHashMap::with_max_entries(limits::MAX_V8_THREADS, 0);

/// Young objects of them that are followed.
#[map]
pub(crate) static V8_FOLLOWING: LruHashMap<u64, Following> = LruHashMap::with_max_entries(limits::MAX_V8_THREADS, 0);

/// What is known of the place of each allocation area.
#[map]
pub(crate) static AREA_TURNS: LruHashMap<AreaKey, Turn> = LruHashMap::with_max_entries(limits::MAX_V8_AREAS, 0);

/// Watchpoints that the collector has set.
#[map]
pub(crate) static WATCHES: LruHashMap<AreaKey, Watch> = LruHashMap::with_max_entries(limits::MAX_V8_AREAS, 0);

/// Bytes that are to be watched, for the thread that does it: what lies in the ring of events may wait for long.
#[map]
pub(crate) static DRAWN: RingBuf = RingBuf::with_byte_size(limits::DRAWN_BYTES, 0);
