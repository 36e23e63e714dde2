//! Looks at page level: how long, how often, and how many there were.

use std::time::{Duration, Instant};

use super::account::jitter;
use crate::{cli::Windows, profile};

/// Length of a look at the allocator at page level: the targets may all but stand still meanwhile.
const LOOK: Duration = Duration::from_millis(50);

/// The share of the budget that such looks may take.
const LOOKS: f64 = 0.25;

/// See the module's description.
#[derive(Debug)]
pub(super) struct Looks {
    /// When observation began.
    since: Instant,
    /// Those that the user has fixed, instead of those that the budget allows.
    windows: Option<Windows>,
    count: u64,
    /// Of all that are over together.
    time: Duration,
    /// When the one began that is not over.
    opened: Option<Instant>,
}

impl Default for Looks {
    fn default() -> Self {
        Self {
            since: Instant::now(),
            windows: None,
            count: 0,
            time: Duration::ZERO,
            opened: None,
        }
    }
}

impl Looks {
    /// Observation begins.
    pub(super) fn start(&mut self, now: Instant) {
        self.since = now;
    }

    /// Those of windows that the user has fixed.
    pub(super) fn in_windows(windows: Windows) -> Self {
        Self {
            windows: Some(windows),
            ..Self::default()
        }
    }

    /// Whether the user has fixed them.
    pub(super) const fn are_fixed(&self) -> bool {
        self.windows.is_some()
    }

    /// How long one is.
    pub(super) fn each(&self) -> Duration {
        self.windows.map_or(LOOK, |windows| windows.each)
    }

    /// How long it is not looked after one, under a budget of 0.05 for 5 %.
    pub(super) fn rest(&self, limit: f64) -> Duration {
        let rest = match self.windows {
            Some(windows) => windows.period.saturating_sub(windows.each),
            None => LOOK.div_f64(LOOKS * limit),
        };
        rest.mul_f64(jitter())
    }

    /// One begins.
    pub(super) fn begin(&mut self, now: Instant) {
        self.opened = Some(now);
    }

    /// It is over, if one has begun.
    pub(super) fn end(&mut self) {
        if let Some(opened) = self.opened.take() {
            self.count += 1;
            self.time += opened.elapsed();
        }
    }

    /// What reports say of those that the user has fixed.
    pub(super) fn facts(&self) -> Option<profile::Windows> {
        self.windows?;
        let open = self.opened.map(|opened| opened.elapsed());
        Some(profile::Windows {
            count: self.count + u64::from(open.is_some()),
            seconds: (self.time + open.unwrap_or_default()).as_secs_f64(),
            of_seconds: self.since.elapsed().as_secs_f64(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_come_as_the_user_says_and_looks_as_the_budget_allows() {
        let windows = Windows {
            each: Duration::from_millis(100),
            period: Duration::from_secs(10),
        };
        let fixed = Looks::in_windows(windows);
        assert_eq!(fixed.each(), windows.each);
        for _ in 0..100 {
            let rest = fixed.rest(1.0).as_secs_f64();
            assert!((4.9..15.0).contains(&rest), "{rest}");
            let rest = Looks::default().rest(0.05).as_secs_f64();
            assert!((1.9..6.1).contains(&rest), "{rest}");
        }
    }

    #[test]
    fn only_windows_are_told_of_and_each_is_counted_once() {
        let mut looks = Looks::in_windows(Windows {
            each: Duration::from_millis(1),
            period: Duration::from_millis(2),
        });
        looks.end();
        looks.begin(Instant::now());
        assert_eq!(looks.facts().unwrap().count, 1);
        looks.end();
        looks.end();
        assert_eq!(looks.facts().unwrap().count, 1);
        assert_eq!(Looks::default().facts(), None);
    }
}
