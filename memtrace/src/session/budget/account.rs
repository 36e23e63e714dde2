//! What windows stand for, against the time that went by.

use std::time::{Duration, Instant};

use crate::clock::now_ns;

/// A window in which each allocation stands for `n` stands for `n` times its length. However long probes take to come and go, all
/// windows together must stand for all the time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Account {
    /// Seconds stood for, less seconds that went by.
    balance: f64,
    settled: Instant,
    /// For how many each allocation stands now; 0 when none is looked at.
    weight: u32,
}

impl Account {
    /// Begins with a time that stands for itself.
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            balance: 0.0,
            settled: now,
            weight: 1,
        }
    }

    fn settle(&mut self, now: Instant) {
        let seconds = now.duration_since(self.settled).as_secs_f64();
        self.balance += seconds * (f64::from(self.weight) - 1.0);
        self.settled = now;
    }

    /// From now on each allocation stands for so many.
    pub(super) fn weigh(&mut self, weight: u32) {
        self.settle(Instant::now());
        self.weight = weight;
    }

    /// How much more time was stood for than went by.
    pub(super) fn ahead(&mut self) -> Duration {
        self.settle(Instant::now());
        Duration::from_secs_f64(self.balance.max(0.0))
    }

    /// How much more time went by than was stood for.
    pub(super) fn behind(&mut self) -> Duration {
        self.settle(Instant::now());
        Duration::from_secs_f64((-self.balance).max(0.0))
    }
}

/// A random number between 0.5 and 1.5: windows must not keep step with what the targets do again and again.
pub(super) fn jitter() -> f64 {
    // The time in nanoseconds, mixed (SplitMix64: Steele, Lea and Flood, OOPSLA 2014).
    let mut mixed = now_ns().wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    0.5 + (mixed >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_stand_for_the_time_between_them() {
        let begun = Instant::now();
        let at = |milliseconds| begun + Duration::from_millis(milliseconds);
        let mut account = Account::new(begun);
        account.settle(at(500));
        assert!(account.balance.abs() < 1e-9, "it stands for itself");
        account.weight = 4;
        account.settle(at(600));
        assert!((account.balance - 0.3).abs() < 1e-9);
        account.weight = 0;
        account.settle(at(900));
        assert!(account.balance.abs() < 1e-9, "all is paid for");
        // Probes took their time to come.
        account.settle(at(1000));
        assert!((account.balance + 0.1).abs() < 1e-9);
    }
}
