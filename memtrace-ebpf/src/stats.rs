//! Counting, by processor, and the programs' own run time.

use aya_ebpf::helpers::bpf_ktime_get_ns;
use memtrace_common::{Counter, limits::TIMED_HITS};

use crate::maps::COUNTERS;

/// Adds to a counter.
#[inline(always)]
pub(crate) fn add(counter: Counter, amount: u64) {
    if let Some(counters) = COUNTERS.get_ptr_mut(0) {
        // SAFETY: the map's value holds `Counter::COUNT` slots and every counter's number is below that. The memory
        // belongs to this processor; a task that preempts this one can at worst make one increment vanish.
        unsafe { (*counters)[counter as usize] += amount }
    }
}

/// Adds one to a counter.
#[inline(always)]
pub(crate) fn count(counter: Counter) {
    add(counter, 1);
}

/// Runs a handler: counts the hit, times one in [`TIMED_HITS`], and counts what the handler could not do.
#[inline(always)]
pub(crate) fn run(handler: impl FnOnce() -> Result<(), Counter>) -> u32 {
    let Some(counters) = COUNTERS.get_ptr_mut(0) else {
        return 0;
    };
    // SAFETY: as in `add`.
    let hits = unsafe { &mut (*counters)[Counter::Hits as usize] };
    *hits += 1;
    let start = if *hits & (TIMED_HITS - 1) == 0 {
        // SAFETY: the helper has no preconditions.
        unsafe { bpf_ktime_get_ns() }
    } else {
        0
    };
    if let Err(counter) = handler() {
        count(counter);
    }
    if start != 0 {
        // SAFETY: the helper has no preconditions.
        let end = unsafe { bpf_ktime_get_ns() };
        count(Counter::TimedHits);
        add(Counter::TimedNs, end.wrapping_sub(start));
    }
    0
}
