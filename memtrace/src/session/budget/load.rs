//! Processor time of the targets.

use std::time::Duration;

use nix::{
    time::{ClockId, clock_getcpuclockid},
    unistd::Pid,
};
use rustc_hash::FxHashMap;

/// The processor time of processes, as it grows.
#[derive(Debug, Default)]
pub(super) struct Load {
    /// What each had used when it was looked at last, in nanoseconds.
    known: FxHashMap<u32, u64>,
}

impl Load {
    /// What these processes have used since the last time, which was so long ago, all together in nanoseconds. One that is new has
    /// used what it has, but at most all of that time; what one used that has ended since is not known.
    pub(super) fn since(&mut self, pids: impl Iterator<Item = u32>, ago: Duration) -> u64 {
        let most = u64::try_from(ago.as_nanos()).unwrap_or(u64::MAX);
        let mut used = 0_u64;
        let now: FxHashMap<u32, u64> = pids.filter_map(|pid| Some((pid, processor_ns(pid)?))).collect();
        for (pid, now_ns) in &now {
            used = used.saturating_add(match self.known.get(pid) {
                Some(before_ns) => now_ns.saturating_sub(*before_ns),
                None => most.min(*now_ns),
            });
        }
        self.known = now;
        used
    }
}

/// What all threads of a process have used, those that ended included.
fn processor_ns(pid: u32) -> Option<u64> {
    let clock: ClockId = clock_getcpuclockid(Pid::from_raw(pid.cast_signed())).ok()?;
    let time = clock.now().ok()?;
    let seconds = u64::try_from(time.tv_sec()).ok()?;
    let nanoseconds = u64::try_from(time.tv_nsec()).ok()?;
    Some(seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_counted_and_what_is_gone_is_left_out() {
        let mut load = Load::default();
        let own = std::process::id();
        assert_eq!(load.since([own].into_iter(), Duration::ZERO), 0, "it is new");
        let begun = std::time::Instant::now();
        while begun.elapsed().as_millis() < 20 {
            std::hint::black_box(begun);
        }
        let used = load.since([own, u32::MAX >> 1].into_iter(), Duration::from_secs(1));
        assert!(used > 1_000_000, "{used}");
        assert_eq!(load.since(std::iter::empty(), Duration::from_secs(1)), 0);
        assert_eq!(
            load.since([own].into_iter(), Duration::from_nanos(7)),
            7,
            "it is new again"
        );
    }
}
