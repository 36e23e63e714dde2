//! Readings over time, in bounded memory.

use crate::profile::{Resident, resident::Reading};

/// Readings kept; when there are twice as many, every second one goes.
const KEPT: usize = 32;

/// The readings of one process, or of all: at even distances if they came so, and always the first and the last.
#[derive(Clone, Debug, Default)]
pub struct Series {
    kept: Vec<Reading>,
    last: Option<Reading>,
    /// Of how many readings one is kept.
    stride: u64,
    seen: u64,
}

impl Series {
    /// Adds the next reading.
    pub fn add(&mut self, reading: Reading) {
        self.stride = self.stride.max(1);
        let number = self.seen;
        self.seen += 1;
        self.last = Some(reading);
        if !number.is_multiple_of(self.stride) {
            return;
        }
        if self.kept.len() == 2 * KEPT {
            let mut even = false;
            self.kept.retain(|_| {
                even = !even;
                even
            });
            self.stride *= 2;
        }
        self.kept.push(reading);
    }

    /// All that is kept, or `None` before the first reading.
    pub fn resident(&self) -> Option<Resident> {
        let last = self.last?;
        let mut readings = self.kept.clone();
        if readings.last() != Some(&last) {
            readings.push(last);
        }
        Some(Resident {
            readings,
            ..Resident::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_first_and_the_last_are_kept_and_memory_is_bounded() {
        let mut series = Series::default();
        assert_eq!(series.resident(), None);
        for second in 0..10_000 {
            series.add(Reading {
                at: Duration::from_secs(second),
                ..Reading::default()
            });
            let readings = series.resident().unwrap().readings;
            assert!(readings.len() <= 2 * KEPT + 1, "{}", readings.len());
            assert_eq!(readings[0].at, Duration::ZERO);
            assert_eq!(readings[readings.len() - 1].at, Duration::from_secs(second));
            assert!(readings.windows(2).all(|pair| pair[0].at < pair[1].at));
        }
        let readings = series.resident().unwrap().readings;
        assert!(readings.len() >= KEPT);
        let gaps: Vec<_> = readings
            .windows(2)
            .map(|pair| pair[1].at.saturating_sub(pair[0].at))
            .collect();
        assert!(gaps[..gaps.len() - 1].iter().all(|gap| *gap == gaps[0]), "{gaps:?}");
    }
}
