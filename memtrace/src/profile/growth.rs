//! How live bytes change over an observation: a straight line through the samples, by least squares.

use std::time::Duration;

/// Live bytes at moments of the observation: (since its start, live bytes).
pub type Points = [(Duration, u64)];

/// The straight line that fits a history best.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Line {
    /// Change of live bytes per second.
    pub bytes_per_second: f64,
    /// Share of the variance that the line explains (r²), from 0 to 1; 0 where live bytes do not vary.
    pub fit: f64,
}

/// Fits a line. `None` without two samples at different times.
pub fn line(history: &Points) -> Option<Line> {
    let count = history.len() as f64;
    let mean_time = history.iter().map(|(time, _)| time.as_secs_f64()).sum::<f64>() / count;
    let mean_bytes = history.iter().map(|&(_, bytes)| bytes as f64).sum::<f64>() / count;
    let (mut times, mut both, mut sizes) = (0.0, 0.0, 0.0);
    for &(time, bytes) in history {
        let (x, y) = (time.as_secs_f64() - mean_time, bytes as f64 - mean_bytes);
        times += x * x;
        both += x * y;
        sizes += y * y;
    }
    // False for an empty history too, whose means are not numbers.
    if times > 0.0 {
        let fit = if sizes > 0.0 {
            both * both / (times * sizes)
        } else {
            0.0
        };
        Some(Line {
            bytes_per_second: both / times,
            fit,
        })
    } else {
        None
    }
}

/// Change of live bytes per second; 0 where the history is too short to tell.
pub fn bytes_per_second(history: &Points) -> f64 {
    line(history).map_or(0.0, |line| line.bytes_per_second)
}

/// How often live bytes rose and fell from one sample to the next.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Steps {
    /// Samples above the one before.
    pub rises: usize,
    /// Samples below the one before.
    pub falls: usize,
    /// All samples but the first.
    pub all: usize,
}

/// Counts the steps of a history.
pub fn steps(history: &Points) -> Steps {
    history.windows(2).fold(Steps::default(), |steps, pair| Steps {
        rises: steps.rises + usize::from(pair[1].1 > pair[0].1),
        falls: steps.falls + usize::from(pair[1].1 < pair[0].1),
        all: steps.all + 1,
    })
}

/// Brings samples into the form that [`super::Site::history`] promises: in order of time, one for each
/// moment (the last one taken), and at most `limit` of them, first and last included. A limit below 2 counts
/// as 2.
pub fn normalise(mut history: Vec<(Duration, u64)>, limit: usize) -> Vec<(Duration, u64)> {
    history.sort_by_key(|&(time, _)| time);
    // `dedup` keeps the first of equals; the sort is stable, so from behind that is the last one taken.
    history.reverse();
    history.dedup_by_key(|&mut (time, _)| time);
    history.reverse();
    let (limit, last) = (limit.max(2), history.len().saturating_sub(1));
    if history.len() <= limit {
        return history;
    }
    (0..limit).map(|index| history[index * last / (limit - 1)]).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seconds(values: &[u64]) -> Vec<(Duration, u64)> {
        (0..).map(Duration::from_secs).zip(values.iter().copied()).collect()
    }

    #[test]
    fn a_straight_line_is_found_exactly() {
        let found = line(&seconds(&[5, 15, 25, 35])).unwrap();
        assert!((found.bytes_per_second - 10.0).abs() < 1e-9);
        assert!((found.fit - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_flat_history_has_no_slope_and_a_short_one_no_line() {
        assert_eq!(
            line(&seconds(&[7, 7, 7])),
            Some(Line {
                bytes_per_second: 0.0,
                fit: 0.0
            })
        );
        assert_eq!(line(&[]), None);
        assert_eq!(line(&seconds(&[7])), None);
        assert_eq!(line(&[(Duration::ZERO, 1), (Duration::ZERO, 9)]), None);
    }

    #[test]
    fn normalising_orders_merges_and_thins() {
        let at = Duration::from_secs;
        assert_eq!(
            normalise(vec![(at(2), 1), (at(1), 5), (at(2), 9)], 10),
            [(at(1), 5), (at(2), 9)]
        );
        let thinned = normalise(seconds(&(0..=100).collect::<Vec<_>>()), 5);
        assert_eq!(
            thinned.iter().map(|&(_, bytes)| bytes).collect::<Vec<_>>(),
            [0, 25, 50, 75, 100]
        );
    }

    proptest! {
        #[test]
        fn any_history_gives_finite_numbers(values: Vec<(u32, u64)>, limit in 0..20_usize) {
            let history: Vec<_> = values.iter().map(|&(t, b)| (Duration::from_millis(t.into()), b)).collect();
            prop_assert!(bytes_per_second(&history).is_finite());
            if let Some(line) = line(&history) {
                prop_assert!((0.0..=1.0 + 1e-6).contains(&line.fit));
            }
            let normal = normalise(history, limit);
            prop_assert!(normal.len() <= limit.max(2));
            prop_assert!(normal.is_sorted_by(|a, b| a.0 < b.0));
        }
    }
}
