//! Do live bytes keep growing?

use std::time::Duration;

use super::{
    ramp,
    trend::{self, Trend},
};
use crate::profile::growth::Points;

/// Fewest moments at which the floor rises that are called growth, and fewest of them in the second half: fewer can be chance, or
/// a table that is made larger now and then.
const LEAST_RISES: usize = 3;
const LEAST_LATE_RISES: usize = 2;
/// By chance alone one site in twenty has a trend of so many standard deviations (one-sided, 5 %).
const SIGNIFICANT: f64 = 1.645;
/// Tau from which on a trend counts, and from which on in full.
const TAU: (f64, f64) = (0.1, 0.4);
/// Share of the rise that live bytes may usually be below an earlier maximum: up to the first it is noise, from the second on they
/// come and go.
const FALL: (f64, f64) = (0.25, 0.75);
/// The second half must rise by at least this part of an even share of the whole, and does in full at the other.
const LATE_SHARE: (f64, f64) = (0.25, 0.6);
/// How often as long as the longest pause in the rise it may have rested at the end: up to the first it may be a pause, from the
/// second on it has stopped.
const REST: (f64, f64) = (1.5, 2.5);
/// How many times its error an estimate must have risen to count, and to count in full.
const BEYOND_ERROR: (f64, f64) = (1.0, 2.0);
/// Parts of the rise by which it is asked when it took place.
const PARTS: usize = 10;
/// Moments count as several when they are at least this part of the time apart: what rises within less is one step.
const APART: u32 = 16;

/// How live bytes changed over an observation.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Growth {
    /// From 0, none, to 1: as strong as the weakest of the conditions.
    pub strength: f64,
    /// The trend of the samples, where the rest speaks for growth.
    pub trend: Trend,
    /// The slope by Theil and Sen, where the rest speaks for growth.
    pub bytes_per_second: f64,
    /// By how much the floor rose: what live bytes never fell below again.
    pub rise: u64,
    /// The deepest fall from an earlier maximum.
    pub fall: u64,
    /// Since the start of the observation: when nine tenths of the rise were over, if it rests since.
    pub stopped: Option<Duration>,
    /// From the first use to the last sample.
    pub span: Duration,
    /// Samples from the first use on.
    pub samples: usize,
}

impl Growth {
    /// Looks at the live bytes of a site. A rise within `error` bytes is none: half the length of the error bar of an estimate, 0
    /// where they are exact.
    pub fn of(history: &Points, error: u64) -> Self {
        let history = since_first_use(history);
        let floors = floors(history);
        let (Some(&first), Some(&last)) = (floors.first(), floors.last()) else {
            return Self::default();
        };
        let span = span(history);
        let rise = last - first;
        let falls = falls(history);
        let usual_fall = falls[(falls.len() - 1) * 3 / 4];
        let growth = Self {
            rise,
            fall: falls[falls.len() - 1],
            span,
            samples: history.len(),
            ..Self::default()
        };
        let rises = rises(history, &floors);
        if rise == 0 || rises.is_empty() {
            return growth;
        }
        let lasting = lasting(history, &floors, &rises);
        let stopped = (lasting < 0.5).then(|| rises[PARTS - 2]);
        let steady = 1.0 - ramp(usual_fall as f64 / rise as f64, FALL);
        let beyond = if error == 0 {
            1.0
        } else {
            ramp(rise as f64 / error as f64, BEYOND_ERROR)
        };
        let growth = Self { stopped, ..growth };
        let conditions = lasting.min(steady).min(beyond);
        if conditions <= 0.0 {
            return growth;
        }
        let trend = trend::mann_kendall(history);
        let clear = if trend.z < SIGNIFICANT {
            0.0
        } else {
            ramp(trend.tau, TAU)
        };
        Self {
            strength: conditions.min(clear),
            trend,
            bytes_per_second: trend::theil_sen(history),
            ..growth
        }
    }
}

/// The history from the last sample before the site's first use: a site that starts late is not flat.
pub(super) fn since_first_use(history: &Points) -> &Points {
    let first_use = history.iter().position(|&(_, bytes)| bytes > 0).unwrap_or(0);
    &history[first_use.saturating_sub(1)..]
}

fn span(history: &Points) -> Duration {
    match history {
        [(start, _), .., (end, _)] => end.saturating_sub(*start),
        _ => Duration::ZERO,
    }
}

/// The floor at each sample: the least from there on. It never falls; what comes and goes leaves it where it was.
fn floors(history: &Points) -> Vec<u64> {
    let mut least = u64::MAX;
    let mut floors: Vec<u64> = history
        .iter()
        .rev()
        .map(|&(_, bytes)| {
            least = least.min(bytes);
            least
        })
        .collect();
    floors.reverse();
    floors
}

/// How far live bytes are below an earlier maximum, at each sample, sorted. Three quarters of that are looked at: the deepest of all
/// may be one large block.
fn falls(history: &Points) -> Vec<u64> {
    let mut maximum = 0;
    let mut falls: Vec<u64> = history
        .iter()
        .map(|&(_, bytes)| {
            maximum = maximum.max(bytes);
            maximum - bytes
        })
        .collect();
    falls.sort_unstable();
    falls
}

/// When the floor had risen by one tenth, two tenths ... nine tenths. The last tenth is left out: the floor always reaches the last
/// sample, so its end is noise.
fn rises(history: &Points, floors: &[u64]) -> Vec<Duration> {
    let (first, last) = (floors[0], floors[floors.len() - 1]);
    let rise = u128::from(last - first);
    (1..PARTS as u128)
        .filter_map(|part| {
            let reached = |&floor: &u64| u128::from(floor - first) * PARTS as u128 >= rise * part;
            let index = floors.iter().position(reached)?;
            Some(history[index].0)
        })
        .collect()
}

/// Whether the rise goes on to the end, from 0 to 1.
fn lasting(history: &Points, floors: &[u64], rises: &[Duration]) -> f64 {
    let (start, span) = (history[0].0, span(history));
    let end = start + span;
    let middle = start + span / 2;
    let distinct = distinct(start, span / APART, rises);
    let late = distinct.iter().filter(|&&moment| moment > middle).count();
    if distinct.len() < LEAST_RISES || late < LEAST_LATE_RISES {
        return 0.0;
    }
    let halfway = history
        .partition_point(|&(moment, _)| moment <= middle)
        .saturating_sub(1);
    let (first, last) = (floors[0], floors[floors.len() - 1]);
    let second_half = (last - floors[halfway]) as f64 / (last - first) as f64;
    let share = ramp(second_half / 0.5, LATE_SHARE);
    let mut rested = rest(start, end, rises);
    if history.is_sorted_by_key(|&(_, bytes)| bytes) {
        // Where live bytes never fall, no rise is noise, and a shorter rest says as much.
        let steps = history.windows(2).filter(|pair| pair[1].1 > pair[0].1);
        rested = rested.max(rest(start, end, &steps.map(|pair| pair[1].0).collect::<Vec<_>>()));
    }
    share.min(1.0 - ramp(rested, REST))
}

/// Of moments in their order those that are this much later than the one before.
fn distinct(start: Duration, apart: Duration, moments: &[Duration]) -> Vec<Duration> {
    let mut before = start;
    let mut all = Vec::new();
    for &moment in moments {
        if moment > before && moment.saturating_sub(before) >= apart {
            all.push(moment);
            before = moment;
        }
    }
    all
}

/// How many times as long as the longest pause between two of these moments it has been since the last.
fn rest(start: Duration, end: Duration, moments: &[Duration]) -> f64 {
    let mut before = start;
    let mut pause = Duration::ZERO;
    for &moment in moments {
        pause = pause.max(moment.saturating_sub(before));
        before = moment;
    }
    if pause.is_zero() {
        0.0
    } else {
        end.saturating_sub(before).as_secs_f64() / pause.as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn history(values: impl IntoIterator<Item = u64>) -> Vec<(Duration, u64)> {
        (0..).map(Duration::from_secs).zip(values).collect()
    }

    fn strength(values: &[u64]) -> f64 {
        Growth::of(&history(values.iter().copied()), 0).strength
    }

    #[test]
    fn growth_is_told_from_what_only_looks_like_it() {
        let growing = |values: &[u64]| strength(values) >= 0.5;
        assert!(growing(&[0, 10, 20, 30, 40, 50]), "a leak");
        assert!(growing(&[0, 0, 0, 0, 0, 0, 10, 20, 30, 40]), "a leak that starts late");
        assert!(
            growing(&[0, 10, 10, 10, 20, 20, 20, 30, 30, 30, 40]),
            "a slow leak of large blocks"
        );
        assert!(
            growing(&[1000, 1012, 1018, 1031, 1028, 1052, 1061, 1070]),
            "a leak above noise"
        );
        assert!(
            !growing(&[]) && !growing(&[5]) && !growing(&[0, 9, 18]),
            "too short to tell"
        );
        assert!(!growing(&[7, 7, 7, 7, 7]), "allocated once");
        assert!(
            !growing(&[0, 30, 60, 90, 100, 100, 100, 100, 100, 100]),
            "a cache that is full"
        );
        assert!(
            !growing(&[0, 30, 60, 90, 99, 100, 98, 100, 99, 100]),
            "a cache that is full and in use"
        );
        assert!(!growing(&[0, 10, 20, 30, 0, 10, 20, 30, 0, 10, 20, 30]), "a sawtooth");
        assert!(!growing(&[0, 10, 20, 30, 40, 50, 40, 30, 20, 10]), "came and went");
        assert!(!growing(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 50]), "a single step");
        assert!(
            !growing(&[0, 8, 16, 32, 64, 64, 64, 64, 128, 128, 128, 128, 128, 128]),
            "a table that doubles"
        );
    }

    #[test]
    fn the_end_of_growth_is_told() {
        let filled: Vec<u64> = (0..40).map(|second: u64| second.min(15) * 100).collect();
        let found = Growth::of(&history(filled), 0);
        assert_eq!(found.stopped, Some(Duration::from_secs(14)));
        assert_eq!(
            Growth::of(&history((0..40).map(|second| second * 100)), 0).stopped,
            None
        );
        assert_eq!(Growth::of(&history([5; 9]), 0).stopped, None);
    }

    #[test]
    fn a_rise_within_the_error_is_none() {
        let leak = history((0..40).map(|second| second * 100));
        assert!(Growth::of(&leak, 10_000).strength <= 0.0);
        assert!(Growth::of(&leak, 3_000).strength < Growth::of(&leak, 2_000).strength);
        assert!(Growth::of(&leak, 1_000).strength >= 0.99);
    }

    proptest! {
        #[test]
        fn a_bounded_cache_is_never_growing(noise in prop::collection::vec(900..=1000_u64, 20..80)) {
            // Fills within the first quarter, then lives between its bounds.
            let fill = noise.len() / 4;
            let values: Vec<u64> = (0..fill).map(|i| (900 * i / fill) as u64).chain(noise.iter().copied()).collect();
            prop_assert!(strength(&values) < 0.5);
        }

        #[test]
        fn a_steady_leak_is_always_growing(rate in 100..10_000_u64, noise in prop::collection::vec(0..20_u64, 6..80)) {
            let values: Vec<u64> = noise.iter().zip(0_u64..).map(|(noise, second)| rate * second + noise).collect();
            prop_assert!(strength(&values) >= 0.5);
        }

        #[test]
        fn anything_is_judged_without_a_fault(values: Vec<(u32, u64)>, error: u64) {
            let mut all: Vec<_> = values.iter().map(|&(t, b)| (Duration::from_millis(t.into()), b)).collect();
            all.sort_unstable();
            all.dedup_by_key(|(time, _)| *time);
            let found = Growth::of(&all, error);
            prop_assert!((0.0..=1.0).contains(&found.strength) && found.bytes_per_second.is_finite());
        }
    }
}
