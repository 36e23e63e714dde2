//! Do blocks that get old ever go?
//!
//! Of a cache with replacement or of a session, old blocks are freed too, only later. Of a leak those are freed that are freed soon,
//! and none that is older. What is live has not finished its life, so lifetimes alone would say too little of it: that is
//! Kaplan and Meier's (1958) question, how many of those that reached an age died after it, with the living counted among those
//! that reached it.

use std::time::Duration;

use crate::profile::{Amount, Site};

/// Where at most this share of the blocks that reached an age was freed later, those beyond it are said to stay.
const FREED_LATER: f64 = 0.1;

/// Which blocks stay.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Survival {
    /// Share of the bytes of at least the asked-for age that are older than nearly all that were ever freed, from 0 to 1.
    pub share: f64,
    /// The age from which on blocks stay; `None` where old ones are freed as well.
    pub reach: Option<Duration>,
    /// Bytes beyond it, interpolated within a class.
    pub bytes: u64,
}

/// Which of the blocks of at least that age stay.
pub fn survival(site: &Site, least_age: Duration) -> Survival {
    let ages = Ages::of(site, least_age);
    let suspected = ages.older(least_age, |amount| amount.bytes);
    if suspected <= 0.0 {
        return Survival::default();
    }
    // An age at which nothing is freed any more can only be the end of a class.
    let ends = lifetimes(site)
        .map(|(_, end, _)| end)
        .filter(|&end| end > least_age && end < Duration::MAX);
    for reach in std::iter::once(least_age).chain(ends) {
        let alive = ages.older(reach, |amount| amount.count);
        if alive <= 0.0 {
            break;
        }
        // A class that only reaches beyond it is counted whole: rather too few are said to stay.
        let freed: u64 = lifetimes(site)
            .filter(|&(_, end, _)| end > reach)
            .map(|(.., count)| count)
            .sum();
        if freed as f64 <= FREED_LATER * (freed as f64 + alive) {
            let beyond = ages.older(reach, |amount| amount.bytes);
            return Survival {
                share: (beyond / suspected).clamp(0.0, 1.0),
                reach: Some(reach),
                bytes: crate::units::whole(beyond),
            };
        }
    }
    Survival::default()
}

/// Which part of a growth is blocks that stay, from 0 to 1: a cache and what leaks beside it may be one site, and then most of what
/// is old can be the cache's. Asked of what was allocated after the first quarter of `span` and is older than `reach`; 0 where
/// too little time lies between.
pub fn explained(site: &Site, least_age: Duration, reach: Duration, span: Duration, bytes_per_second: f64) -> f64 {
    let later = span * 3 / 4;
    let between = later.saturating_sub(reach);
    if between < span / 4 || bytes_per_second <= 0.0 {
        return 0.0;
    }
    let ages = Ages::of(site, least_age);
    let older = |age| ages.older(age, |amount| amount.bytes);
    let kept = older(reach) - older(later);
    (kept / (bytes_per_second * between.as_secs_f64())).clamp(0.0, 1.0)
}

/// Share of the blocks of at least that age that were allocated after the first `warm_up` of the observation, by bytes: what a
/// program allocates at its start and keeps is no leak.
pub fn lateness(site: &Site, least_age: Duration, observed: Duration, warm_up: Duration) -> f64 {
    let ages = Ages::of(site, least_age);
    let all = ages.older(least_age, |amount| amount.bytes);
    let early = ages.older(observed.saturating_sub(warm_up).max(least_age), |amount| amount.bytes);
    if all > 0.0 {
        (1.0 - early / all).clamp(0.0, 1.0)
    } else {
        0.0
    }
}

/// Freed blocks by class: least time, end, and how many. The last class has no end.
fn lifetimes(site: &Site) -> impl Iterator<Item = (Duration, Duration, u64)> {
    /// What a class reaches to: four times its least, and 1024 ns for the first (`memtrace_common::young::lifetime_class`).
    const FIRST: Duration = Duration::from_nanos(1024);
    /// The least of the last, in nanoseconds.
    const LAST: Duration = Duration::from_nanos(1 << 38);
    site.spread.lifetimes.iter().map(|&(least, count)| {
        let end = if least.is_zero() {
            FIRST
        } else if least >= LAST {
            Duration::MAX
        } else {
            least.saturating_mul(4)
        };
        (least, end, count)
    })
}

/// Ages of live blocks: least age, end and amount of each class.
struct Ages(Vec<(Duration, Duration, Amount)>);

impl Ages {
    fn of(site: &Site, least_age: Duration) -> Self {
        let oldest = site.oldest.unwrap_or(least_age);
        if site.ages.is_empty() {
            // What processes left that ended before the last one: how old each block is was not kept.
            let old = if least_age.is_zero() { site.live } else { site.aged };
            return Self(vec![(least_age, oldest.max(least_age), old)]);
        }
        let ages = site.ages.iter().map(|&(least, amount)| {
            let end = least.saturating_mul(2).max(Duration::from_secs(1)).min(oldest);
            (least, end.max(least), amount)
        });
        Self(ages.collect())
    }

    /// How much is at least that old; a class is taken as if its blocks were spread evenly over it.
    fn older(&self, age: Duration, part: impl Fn(&Amount) -> u64) -> f64 {
        let of_class = |(least, end, amount): &(Duration, Duration, Amount)| {
            let all = part(amount) as f64;
            if *least >= age {
                all
            } else if *end <= age {
                0.0
            } else {
                all * end.saturating_sub(age).as_secs_f64() / end.saturating_sub(*least).as_secs_f64()
            }
        };
        self.0.iter().map(of_class).sum()
    }
}

#[cfg(test)]
mod tests {
    use memtrace_common::op::Op;

    use super::*;
    use crate::profile::fixture::SiteSpec;

    const AGE: Duration = Duration::from_secs(10);

    /// Live blocks of 100 bytes by least age in seconds, freed ones by the least time of their class in nanoseconds.
    fn site(oldest: u64, ages: &[(u64, u64)], lifetimes: &[(u64, u64)]) -> Site {
        let mut site = SiteSpec::new(Op::Malloc).oldest(oldest).site;
        let amount = |count| Amount {
            bytes: 100 * count,
            count,
        };
        site.ages = ages
            .iter()
            .map(|&(age, count)| (Duration::from_secs(age), amount(count)))
            .collect();
        site.spread.lifetimes = lifetimes
            .iter()
            .map(|&(least, count)| (Duration::from_nanos(least), count))
            .collect();
        site
    }

    #[test]
    fn what_is_never_freed_stays() {
        let leak = site(40, &[(8, 8), (16, 16), (32, 8)], &[]);
        let found = survival(&leak, AGE);
        assert!((found.share - 1.0).abs() < 1e-9);
        assert_eq!(found.reach, Some(AGE));
        // Three quarters of the class from 8 to 16 s are at least 10 s old.
        assert_eq!(found.bytes, 3000);
    }

    #[test]
    fn young_frees_do_not_excuse_old_blocks() {
        let one_of_a_hundred = site(40, &[(0, 900), (16, 16), (32, 8)], &[(1 << 12, 99_000)]);
        assert!((survival(&one_of_a_hundred, AGE).share - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_cache_frees_its_old_blocks() {
        // Each lives for 12 to 16 s: the class from 4.3 s on.
        let cache = site(
            16,
            &[(0, 100), (1, 100), (2, 200), (4, 400), (8, 800)],
            &[(1 << 32, 3000)],
        );
        assert_eq!(survival(&cache, AGE), Survival::default());
        // Those that outlive all that were freed stay, the others do not.
        let half = site(60, &[(8, 800), (16, 800), (32, 1400)], &[(1 << 32, 3000)]);
        let found = survival(&half, AGE);
        assert_eq!(found.reach, Some(Duration::from_nanos(1 << 34)));
        assert!((0.7..0.85).contains(&found.share), "{found:?}");
        // What was freed after more than 275 s may have been of any age.
        let ancient = site(600, &[(512, 10)], &[(1 << 38, 100)]);
        assert_eq!(survival(&ancient, AGE), Survival::default());
    }

    #[test]
    fn a_leak_beside_a_cache_explains_the_growth() {
        let (reach, span) = (Duration::from_secs(16), Duration::from_mins(1));
        // A block a second stays, beside a thousand that are not yet as old as those that are freed.
        let both = site(60, &[(8, 1008), (16, 16), (32, 28)], &[(1 << 32, 3000)]);
        let part = explained(&both, AGE, reach, span, 100.0);
        assert!((0.9..=1.0).contains(&part), "{part}");
        assert!(
            explained(&both, AGE, reach, span, 300.0) < 0.4,
            "most of the growth is something else"
        );
        let tables = site(60, &[(8, 1008), (32, 28)], &[(1 << 32, 3000)]);
        assert!(
            explained(&tables, AGE, reach, Duration::from_secs(40), 100.0) <= 0.0,
            "made at the start"
        );
        assert!(
            explained(&both, AGE, Duration::from_secs(40), span, 100.0) <= 0.0,
            "too short to tell"
        );
    }

    #[test]
    fn what_the_start_left_is_told_from_what_came_later() {
        let observed = Duration::from_secs(40);
        let late = |site: &Site| lateness(site, AGE, observed, observed / 4);
        assert!(late(&site(40, &[(32, 9)], &[])) <= 1e-9);
        let steady = late(&site(40, &[(8, 8), (16, 16), (32, 8)], &[]));
        // Of 30 s that are old enough, the first ten.
        assert!((steady - 2.0 / 3.0).abs() < 0.02, "{steady}");
        assert!(late(&site(5, &[(4, 9)], &[])) <= 1e-9, "nothing is old enough");
    }
}
