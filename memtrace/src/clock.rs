//! The clock that the kernel stamps events with.

use rustix::time::{ClockId, clock_gettime};

/// Kernel monotonic time in nanoseconds: `bpf_ktime_get_ns` gives the same.
pub fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    u64::try_from(now.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}
