//! What speaks for a leak and what against it, and the score that it amounts to.

use std::time::Duration;

use serde::Serialize;

use super::{
    growing::Growth,
    ramp,
    survival::{self, Survival},
};
use crate::{
    profile::{Amount, History, Profile, Site},
    units::whole,
};

/// Points of the score, which docs/leaks.md explains. The first is for both together: growth times survival.
const GROWTH_POINTS: f64 = 70.0;
const SURVIVAL_POINTS: f64 = 10.0;
/// These two count as far as blocks survive: times survival.
const LATENESS_POINTS: f64 = 10.0;
const SIZE_POINTS: f64 = 10.0;
/// Still live as its process ended: that is seen, not inferred.
const EXIT_POINTS: f64 = 25.0;

/// Growth over so many times the least age is taken at its full word, over a shorter time in proportion.
pub(super) const FULL_SPAN: u32 = 4;
/// And over so many samples: half a dozen can follow each other by chance.
const FULL_SAMPLES: usize = 8;
/// The part of the observation that is its beginning: what was allocated in it and stays may have been made once.
const WARM_UP: u32 = 4;
/// Powers of two of bytes that are nothing and everything: 1 KiB and 1 GiB.
const SIZES: (f64, f64) = (10.0, 30.0);
/// The same for the growth in a day: 1 MiB and 16 GiB.
const DAILY_SIZES: (f64, f64) = (20.0, 34.0);
/// The same as shares of live memory.
const SHARES: (f64, f64) = (0.01, 0.25);
/// How many times the mean size of all its allocations a site's live blocks must be to be called enlarged, and in full. A
/// buffer that grows by equal steps comes to 2, one that doubles to about 1.5 and more.
const ENLARGED: (f64, f64) = (1.2, 1.4);
/// Blocks that one container may have at a time: old and new table, of both sides of a map.
const CONTAINER_BLOCKS: u64 = 4;
const SECONDS_A_DAY: f64 = 86_400.0;

/// What is known of a suspected site. Parts are from 0 to 1: the more, the more it looks like a leak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Evidence {
    /// Whether live bytes keep growing.
    pub growth: f64,
    /// Which share of the suspected bytes is older than nearly all that were ever freed, or which part of the growth such blocks
    /// explain, whichever is more; or 1 where blocks are replaced by larger ones.
    pub survival: f64,
    /// Which share of the suspected bytes was allocated after the first quarter of the observation.
    pub lateness: f64,
    /// How much it is: by bytes, by its share of live memory, by its growth in a day.
    pub size: f64,
    /// How long growth was watched, as a part of what it takes to be sure.
    pub confidence: f64,
    /// Kendall's tau of the trend; 0 where it was not asked for, because something else speaks against growth.
    pub trend_tau: f64,
    /// Standard deviations of that trend from none.
    pub trend_z: f64,
    /// Slope of live bytes by Theil and Sen; 0 as with `trend_tau`.
    pub bytes_per_second: f64,
    /// What that comes to in a day, where it grows.
    pub bytes_per_day: Option<u64>,
    /// Seconds since the start of the observation at which growth was over, if it is.
    pub stopped_seconds: Option<f64>,
    /// Age in seconds after which hardly any block was ever freed, or `None` where old blocks are freed too.
    pub reach_seconds: Option<f64>,
}

/// The same with what the reasons tell beside it.
pub(super) struct Findings {
    pub(super) evidence: Evidence,
    pub(super) growth: Growth,
    pub(super) survival: Survival,
    /// Whether blocks are replaced by larger ones.
    pub(super) enlarged: bool,
}

/// Looks at everything that is known of a site. `suspected` is what is old of it, or was live at exit.
pub(super) fn find(profile: &Profile, site: &Site, suspected: Amount, exited: bool) -> Findings {
    let least_age = if exited {
        Duration::ZERO
    } else {
        profile.settings.min_age
    };
    let error = profile.live_error(site, site.live).unwrap_or(0);
    let enlarging = enlarging(site);
    let growth = if enlarging > 0.0 {
        Growth::of(&between_moves(&site.history), error)
    } else {
        Growth::of(&site.history.points(), error)
    };
    let mut survival = survival::survival(site, least_age);
    if let Some(reach) = survival.reach {
        let explained = survival::explained(site, least_age, reach, growth.span, growth.bytes_per_second);
        survival.share = survival.share.max(explained);
    }
    let enlarged = enlarging > survival.share;
    let growing = growth.strength >= 0.5;
    let bytes_per_day = growing.then(|| whole(growth.bytes_per_second.max(0.0) * SECONDS_A_DAY));
    let warm_up = profile.observed / WARM_UP;
    let evidence = Evidence {
        growth: growth.strength,
        survival: survival.share.max(enlarging),
        lateness: if enlarged {
            1.0
        } else {
            survival::lateness(site, least_age, profile.observed, warm_up)
        },
        size: size(suspected.bytes, profile.share(suspected.bytes), bytes_per_day),
        confidence: confidence(&growth, profile.settings.min_age),
        trend_tau: growth.trend.tau,
        trend_z: growth.trend.z,
        bytes_per_second: growth.bytes_per_second,
        bytes_per_day,
        stopped_seconds: growth.stopped.map(|moment| moment.as_secs_f64()),
        reach_seconds: survival.reach.map(|age| age.as_secs_f64()),
    };
    Findings {
        evidence,
        growth,
        survival,
        enlarged,
    }
}

/// Whether blocks are replaced by larger ones, from 0 to 1: then none of them gets old, and live bytes grow all the same.
pub(super) fn enlarging(site: &Site) -> f64 {
    let (live, all) = (site.live, site.allocated);
    let moves = site.op.name().contains("realloc") || live.count <= CONTAINER_BLOCKS;
    // One that was freed is chance.
    if !moves || live.count == 0 || all.count < live.count + 2 {
        return 0.0;
    }
    let mean = |amount: Amount| amount.bytes as f64 / amount.count as f64;
    if mean(all) > 0.0 {
        ramp(mean(live) / mean(all), ENLARGED)
    } else {
        0.0
    }
}

/// A block that is being replaced is nowhere for a moment: the old one has been freed, and the new one is too young to have been told
/// of. A site that had such blocks only seems to have none then.
fn between_moves(history: &History) -> Vec<(Duration, u64)> {
    history.iter().filter(|&(_, bytes)| bytes > 0).collect()
}

fn size(bytes: u64, share: f64, bytes_per_day: Option<u64>) -> f64 {
    let power = |bytes: u64| (bytes.max(1) as f64).log2();
    let daily = bytes_per_day.map_or(0.0, |bytes| ramp(power(bytes), DAILY_SIZES));
    ramp(power(bytes), SIZES).max(ramp(share, SHARES)).max(daily)
}

fn confidence(growth: &Growth, min_age: Duration) -> f64 {
    let needed = (min_age * FULL_SPAN).as_secs_f64();
    let watched = if needed > 0.0 {
        growth.span.as_secs_f64() / needed
    } else {
        1.0
    };
    watched.min(growth.samples as f64 / FULL_SAMPLES as f64).min(1.0)
}

impl Evidence {
    /// From 0 to 100: the more of any part, the higher or equal. Not a probability. `left` says that the blocks were still live as their
    /// process ended.
    pub fn score(&self, left: bool) -> u8 {
        let inferred = GROWTH_POINTS * self.growth * self.survival
            + SURVIVAL_POINTS * self.survival
            + LATENESS_POINTS * self.lateness * self.survival
            + SIZE_POINTS * self.size * self.survival;
        let seen = if left { EXIT_POINTS } else { 0.0 };
        u8::try_from(whole((inferred * self.confidence + seen).clamp(0.0, 100.0))).unwrap_or(100)
    }
}

#[cfg(test)]
mod tests {
    use memtrace_common::op::Op;
    use proptest::prelude::*;

    use super::*;
    use crate::profile::fixture::SiteSpec;

    const ALL: Evidence = Evidence {
        growth: 1.0,
        survival: 1.0,
        lateness: 1.0,
        size: 1.0,
        confidence: 1.0,
        trend_tau: 1.0,
        trend_z: 9.0,
        bytes_per_second: 1.0,
        bytes_per_day: Some(86_400),
        stopped_seconds: None,
        reach_seconds: None,
    };

    #[test]
    fn the_score_is_what_the_document_says() {
        assert_eq!((ALL.score(false), ALL.score(true)), (100, 100));
        // Old, kept from the start, of a fair size: the most that anything without growth can have is 30.
        let old = Evidence { growth: 0.0, ..ALL };
        assert_eq!((old.score(false), old.score(true)), (30, 55));
        // More load: it grows, and what gets old is freed.
        assert_eq!(Evidence { survival: 0.0, ..ALL }.score(false), 0);
        assert_eq!(Evidence { confidence: 0.5, ..ALL }.score(false), 50);
    }

    #[test]
    fn a_buffer_that_grows_is_told_from_blocks_that_stay() {
        let site =
            |op, live: (u64, u64), all: (u64, u64)| SiteSpec::new(op).live(live.0, live.1).allocated(all.0, all.1).site;
        // 100, 200 ... 10,000 bytes.
        assert!(enlarging(&site(Op::Realloc, (10_000, 1), (505_000, 100))) >= 0.99);
        // Twenty connections whose buffers grow.
        assert!(enlarging(&site(Op::Realloc, (200_000, 20), (10_100_000, 2000))) >= 0.99);
        assert!(enlarging(&site(Op::Malloc, (200_000, 20), (10_100_000, 2000))) <= 0.0);
        assert!(
            enlarging(&site(Op::Malloc, (100, 1), (10_000, 100))) <= 0.0,
            "the same size again"
        );
        assert!(
            enlarging(&site(Op::Malloc, (100, 1), (100, 1))) <= 0.0,
            "allocated once"
        );
        assert!(enlarging(&site(Op::Malloc, (0, 0), (100, 1))) <= 0.0, "nothing is live");
    }

    proptest! {
        #[test]
        fn more_of_anything_never_lowers_the_score(parts in prop::array::uniform5(0.0..=1.0), which in 0..5_usize, more in 0.0..=1.0, left: bool) {
            let of = |[growth, survival, lateness, size, confidence]: [f64; 5]| Evidence { growth, survival, lateness, size, confidence, ..ALL };
            let mut raised = parts;
            raised[which] = f64::max(parts[which], more);
            prop_assert!(of(raised).score(left) >= of(parts).score(left));
            prop_assert!(of(parts).score(true) >= of(parts).score(false));
            prop_assert!(of(parts).score(left) <= 100);
        }
    }
}
