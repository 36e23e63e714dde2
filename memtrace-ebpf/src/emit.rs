//! Into the ring, or into a counter.

use aya_ebpf::{
    bindings::{BPF_ANY, BPF_RB_AVAIL_DATA, BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP},
    helpers::bpf_ktime_get_ns,
};
use memtrace_common::{
    Counter, Op,
    event::{Alloc, Header, Kind, Weighted},
    state::{LostFree, LostKey},
};

use crate::{
    filter::Task,
    maps::{CONFIG, EVENTS, LOST_ACTIVE, LOST_FREES_A, LOST_FREES_B},
    stats,
};

/// Records that arrive while the ring's content is within this many bytes above the threshold wake the collector. Wide
/// enough that records of several processors do not step over it, narrow enough that a busy collector is not
/// woken for each record.
const WAKEUP_WINDOW: u64 = 4096;

/// How to give a place in the ring back.
#[inline(always)]
pub(crate) const fn quiet() -> u64 {
    BPF_RB_NO_WAKEUP as u64
}

/// How to submit: the collector looks by itself many times a second, so it is woken only when much is waiting.
#[inline(always)]
pub(crate) fn wakeup() -> u64 {
    let threshold = CONFIG.load().wakeup_bytes;
    let waiting = EVENTS.query(u64::from(BPF_RB_AVAIL_DATA));
    if waiting >= threshold && waiting < threshold + WAKEUP_WINDOW {
        u64::from(BPF_RB_FORCE_WAKEUP)
    } else {
        u64::from(BPF_RB_NO_WAKEUP)
    }
}

/// The start of a record.
#[inline(always)]
pub(crate) fn header(kind: Kind, op: Option<Op>, flags: u16, task: Task) -> Header {
    Header {
        kind: kind as u8,
        op: match op {
            Some(op) => op as u8,
            None => 0,
        },
        flags,
        pid: task.pid,
        tid: task.tid(),
        incarnation: task.incarnation,
        // SAFETY: the helper has no preconditions.
        time_ns: unsafe { bpf_ktime_get_ns() },
    }
}

/// The record of a block that stands for several.
#[inline(always)]
pub(crate) const fn weighted(alloc: Alloc, weight: u32) -> Weighted {
    Weighted {
        alloc: Alloc {
            header: Header {
                kind: Kind::Weighted as u8,
                ..alloc.header
            },
            ..alloc
        },
        weight,
        reserved: 0,
    }
}

/// Puts a record into the ring; `false` when the ring is full. The caller says what that loses.
#[inline(always)]
pub(crate) fn record<T: 'static>(record: T) -> bool {
    let Some(mut entry) = EVENTS.reserve::<T>(0) else {
        return false;
    };
    entry.write(record);
    entry.submit(wakeup());
    stats::count(Counter::Sent);
    true
}

/// Puts a record into the ring and wakes the collector at once.
#[inline(always)]
pub(crate) fn urgent<T: 'static>(record: T) -> bool {
    let Some(mut entry) = EVENTS.reserve::<T>(0) else {
        return false;
    };
    entry.write(record);
    entry.submit(u64::from(BPF_RB_FORCE_WAKEUP));
    stats::count(Counter::Sent);
    true
}

/// Remembers a free (`size` 0) or an unmapping that found the ring full, so that it does not become a leak.
#[inline(always)]
pub(crate) fn remember(task: Task, address: u64, size: u64, time_ns: u64) {
    let key = LostKey {
        address,
        incarnation: task.incarnation,
        reserved: 0,
    };
    let value = LostFree { time_ns, size };
    let second = LOST_ACTIVE.get(0).is_some_and(|active| *active != 0);
    let done = if second {
        LOST_FREES_B.insert(key, value, u64::from(BPF_ANY))
    } else {
        LOST_FREES_A.insert(key, value, u64::from(BPF_ANY))
    };
    stats::count(if done.is_ok() {
        Counter::LostFrees
    } else {
        Counter::ForgottenFrees
    });
}

/// Takes back what [`remember`] did, for a `realloc` that then failed.
#[inline(always)]
pub(crate) fn forget(task: Task, address: u64) {
    let key = LostKey {
        address,
        incarnation: task.incarnation,
        reserved: 0,
    };
    // Which of the two holds it is not known; an entry in neither was applied: the collector took the block for
    // freed.
    let _other = LOST_FREES_A.remove(key);
    let _other = LOST_FREES_B.remove(key);
}

/// Counts an allocation that found the ring full, and stands for so many.
#[inline(always)]
pub(crate) fn lost_allocation(size: u64, weight: u64) {
    stats::add(Counter::LostAllocations, weight);
    stats::add(Counter::LostBytes, size.wrapping_mul(weight));
}
