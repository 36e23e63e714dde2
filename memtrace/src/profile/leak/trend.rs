//! Is there a trend, and how steep is it: two statistics that a few wild samples do not move.
//!
//! Both look at every pair of samples, so their cost grows with the square of their number, which the ledger bounds (64).

use crate::profile::growth::Points;

/// A trend by the test of Mann (1945) and Kendall (1975).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Trend {
    /// Kendall's tau-b, from -1 (always falling) to 1 (always rising); pairs of equal samples count as neither.
    pub tau: f64,
    /// How many standard deviations the sum of rises less falls is from 0, by chance normally distributed. Samples that follow
    /// from the one before make it too large (Hamed and Rao, 1998), so it is a condition and never enough.
    pub z: f64,
}

/// Tests for a trend; no trend where all samples are equal or there are fewer than two.
pub fn mann_kendall(history: &Points) -> Trend {
    let (mut sum, mut all, mut equal) = (0.0_f64, 0.0_f64, 0.0_f64);
    for (index, &(_, earlier)) in history.iter().enumerate() {
        for &(_, later) in &history[index + 1..] {
            all += 1.0;
            match later.cmp(&earlier) {
                std::cmp::Ordering::Greater => sum += 1.0,
                std::cmp::Ordering::Less => sum -= 1.0,
                std::cmp::Ordering::Equal => equal += 1.0,
            }
        }
    }
    let spread = |count: f64| count * (count - 1.0) * (2.0 * count + 5.0);
    let mut values: Vec<u64> = history.iter().map(|&(_, bytes)| bytes).collect();
    values.sort_unstable();
    let ties: f64 = values
        .chunk_by(|a, b| a == b)
        .map(|same| spread(same.len() as f64))
        .sum();
    let variance = (spread(history.len() as f64) - ties) / 18.0;
    if variance <= 0.0 || all <= equal {
        return Trend::default();
    }
    // The continuity correction of the test: the sum moves in steps of two.
    let nearer = sum.signum() * (sum.abs() - 1.0).max(0.0);
    Trend {
        tau: sum / (all * (all - equal)).sqrt(),
        z: nearer / variance.sqrt(),
    }
}

/// The median of the slopes of all pairs, in bytes per second (Theil, 1950; Sen, 1968); 0 without two samples at different times.
/// Up to 29 % of the samples may be anything without moving it far.
pub fn theil_sen(history: &Points) -> f64 {
    let mut slopes = Vec::with_capacity(history.len() * history.len() / 2);
    for (index, &(start, before)) in history.iter().enumerate() {
        for &(end, after) in &history[index + 1..] {
            let seconds = end.as_secs_f64() - start.as_secs_f64();
            if seconds > 0.0 {
                slopes.push((after as f64 - before as f64) / seconds);
            }
        }
    }
    if slopes.is_empty() {
        return 0.0;
    }
    let middle = slopes.len() / 2;
    let (below, &mut median, _) = slopes.select_nth_unstable_by(middle, f64::total_cmp);
    match below.iter().copied().max_by(f64::total_cmp) {
        Some(other) if slopes.len().is_multiple_of(2) => f64::midpoint(median, other),
        _ => median,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn seconds(values: &[u64]) -> Vec<(Duration, u64)> {
        (0..).map(Duration::from_secs).zip(values.iter().copied()).collect()
    }

    #[test]
    fn a_rise_without_exception_is_tau_one() {
        let found = mann_kendall(&seconds(&[1, 2, 3, 4, 5, 6]));
        assert!((found.tau - 1.0).abs() < 1e-12);
        // Worked by hand: S = 15, variance = 6 * 5 * 17 / 18.
        assert!((found.z - 14.0 / (6.0 * 5.0 * 17.0 / 18.0_f64).sqrt()).abs() < 1e-12);
        assert!((mann_kendall(&seconds(&[6, 5, 4, 3, 2, 1])).tau + 1.0).abs() < 1e-12);
    }

    #[test]
    fn equal_samples_are_neither() {
        assert_eq!(mann_kendall(&seconds(&[7, 7, 7, 7])), Trend::default());
        assert_eq!(mann_kendall(&[]), Trend::default());
        // Worked by hand: S = 4 of 6 pairs, of which 2 are equal; variance = (4*3*13 - 2 * 2*1*9) / 18.
        let found = mann_kendall(&seconds(&[1, 1, 2, 2]));
        assert!((found.tau - 4.0 / (6.0 * 4.0_f64).sqrt()).abs() < 1e-12);
        assert!((found.z - 3.0 / (120.0_f64 / 18.0).sqrt()).abs() < 1e-12);
    }

    #[test]
    fn a_wild_sample_does_not_move_the_slope() {
        assert!((theil_sen(&seconds(&[5, 15, 25, 35])) - 10.0).abs() < 1e-9);
        assert!((theil_sen(&seconds(&[0, 10, 20, 9_000, 40, 50, 60, 70])) - 10.0).abs() < 1e-9);
        assert!(theil_sen(&[]).abs() < 1e-9 && theil_sen(&seconds(&[7])).abs() < 1e-9);
    }

    proptest! {
        #[test]
        fn any_history_gives_finite_numbers(values: Vec<(u32, u64)>) {
            let history: Vec<_> = values.iter().map(|&(t, b)| (Duration::from_millis(t.into()), b)).collect();
            let trend = mann_kendall(&history);
            prop_assert!((-1.0 - 1e-9..=1.0 + 1e-9).contains(&trend.tau) && trend.z.is_finite());
            prop_assert!(theil_sen(&history).is_finite());
        }
    }
}
