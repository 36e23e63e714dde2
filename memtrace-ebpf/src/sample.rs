//! Which allocations are in the sample.

use aya_ebpf::helpers::bpf_get_prandom_u32;
use memtrace_common::{Counter, sampling, state::CLOSED};

use crate::{filter, stats};

/// For how many blocks of its size the block of a call stands, 0 when it is not taken.
#[inline(always)]
pub(crate) fn weight(size: u64) -> u32 {
    let mode = filter::mode();
    let interval = mode.interval;
    if interval == 0 {
        return 1;
    }
    if interval == CLOSED {
        return 0;
    }
    if !sampling::is_drawn(random(), size, interval) {
        stats::count(Counter::Unsampled);
        stats::add(Counter::UnsampledBytes, size);
        return 0;
    }
    stats::count(Counter::Drawn);
    sampling::weight(random(), size, interval).saturating_mul(mode.times)
}

#[inline(always)]
fn random() -> u32 {
    // SAFETY: the helper has no preconditions.
    unsafe { bpf_get_prandom_u32() }
}
