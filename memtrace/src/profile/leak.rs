//! Which sites are suspected of leaking, and why, in words.
//!
//! Nothing seen from outside proves a leak: a cache that fills looks like one. So a verdict says only what was
//! observed, and carries its evidence.

use std::time::Duration;

use super::{
    Amount, End, Settings, Site, Suspicion, Verdict,
    growth::{self, History},
};
use crate::units;

/// Fewest rises that are called growth: two can be chance.
const LEAST_RISES: usize = 3;
/// Growth that goes on ends at its maximum; this much below it is noise.
const NEAR_MAXIMUM: f64 = 0.95;
/// Share of the variance a straight line must explain: a sawtooth of two teeth explains less than 0.1, a
/// cache that filled up in the first half at most about 0.75 (but fails [`LASTING`]).
const DECENT_FIT: f64 = 0.6;
/// The second half must grow at least at this share of the whole's rate: what has filled up does not.
const LASTING: f64 = 0.25;

/// Judges a site by its amounts and its history; `end` is that of the target.
///
/// Suspected are blocks of memory (not files or reserved address space) that are at least
/// [`Settings::min_age`] old; when the target has exited, those live at its exit, however old. Where one of several
/// targets has ended, what it left is told too, and decides the verdict where it is the larger part.
pub fn judge(site: &Site, settings: &Settings, end: Option<&End>) -> Option<Suspicion> {
    let exited = matches!(end, Some(End::Exited(_)));
    let suspected = suspected(site, exited);
    if !site.op.class().is_memory() || suspected.count == 0 || suspected.bytes < settings.min_size {
        return None;
    }
    let growing = is_growing(&site.history);
    let verdict = match (exited || left_more(site), growing) {
        (true, _) => Verdict::Leaked,
        (false, true) => Verdict::Growing,
        (false, false) => Verdict::StillLive,
    };
    let left = if exited { Amount::default() } else { site.at_exit };
    let old = if exited { site.live } else { site.aged };
    let age = (old.count > 0).then(|| age(old, site.oldest, settings.min_age, exited));
    let left = (left.count > 0).then(|| left_clause(left));
    let freed = freed(site, exited);
    let growth = growing.then(|| growth_clause(&site.history));
    let reasons = match verdict {
        Verdict::Growing => [growth, freed, age, left],
        Verdict::Leaked => [left, age, freed, growth],
        Verdict::StillLive => [age, freed, left, growth],
    };
    Some(Suspicion {
        verdict,
        reasons: reasons.into_iter().flatten().collect(),
    })
}

/// The blocks of a site that count as suspected: of what is old and what processes left as they ended the larger part, so that a
/// share of live memory is never taken of both.
pub(super) fn suspected(site: &Site, exited: bool) -> Amount {
    match (exited, left_more(site)) {
        (true, _) => site.live,
        (false, true) => site.at_exit,
        (false, false) => site.aged,
    }
}

/// Whether processes that ended left more than is old in those that live.
pub(super) fn left_more(site: &Site) -> bool {
    site.at_exit.bytes > site.aged.bytes || (site.aged.count == 0 && site.at_exit.count > 0)
}

/// "3 blocks (12.0 KiB) were still live when their process ended"
fn left_clause(left: Amount) -> String {
    let what = format!("{} ({})", units::blocks(left.count), units::bytes(left.bytes));
    let verb = if left.count == 1 {
        "was still live when its"
    } else {
        "were still live when their"
    };
    format!("{what} {verb} process ended")
}

/// Whether live bytes keep growing: they rose far more often than they fell, are at their maximum at the
/// end, follow a line, and did not stop growing half-way.
pub fn is_growing(history: &History) -> bool {
    let history = since_first_use(history);
    let steps = growth::steps(history);
    let mostly_rising = if steps.falls == 0 {
        // A slow leak of large blocks rises rarely, but never falls.
        steps.rises >= LEAST_RISES
    } else {
        steps.rises >= LEAST_RISES && steps.rises * 2 > steps.all && steps.rises > steps.falls * 2
    };
    let maximum = history.iter().map(|&(_, bytes)| bytes).max().unwrap_or(0);
    let at_maximum = history
        .last()
        .is_some_and(|&(_, bytes)| bytes as f64 >= NEAR_MAXIMUM * maximum as f64);
    let (Some(whole), Some(second_half)) = (growth::line(history), growth::line(&history[history.len() / 2..])) else {
        return false;
    };
    mostly_rising
        && at_maximum
        && whole.bytes_per_second > 0.0
        && whole.fit >= DECENT_FIT
        && second_half.bytes_per_second >= LASTING * whole.bytes_per_second
}

/// The history from the last sample before the site's first use: a site that starts late is not flat.
fn since_first_use(history: &History) -> &History {
    let first_use = history.iter().position(|&(_, bytes)| bytes > 0).unwrap_or(0);
    &history[first_use.saturating_sub(1)..]
}

/// "live bytes grew in 9 of 10 samples, 12.4 KiB/s"
fn growth_clause(history: &History) -> String {
    let history = since_first_use(history);
    let steps = growth::steps(history);
    let rate = units::rate(growth::bytes_per_second(history));
    format!("live bytes grew in {} of {} samples, {rate}", steps.rises, steps.all)
}

/// "none of its 1,204 allocations was freed", or `None` where most were: then it says nothing.
fn freed(site: &Site, exited: bool) -> Option<String> {
    let all = site.allocated.count;
    let left = if exited { 0 } else { site.at_exit.count };
    let freed = all.saturating_sub(site.live.count).saturating_sub(left);
    match (all, freed) {
        (0, _) => None,
        (1, 0) => Some("its only allocation was not freed".into()),
        (_, 0) => Some(format!("none of its {} allocations was freed", units::count(all))),
        _ if freed <= all / 2 => Some(format!(
            "only {} of its {} allocations were freed",
            units::count(freed),
            units::count(all)
        )),
        _ => None,
    }
}

/// "1,010 blocks (1.2 MiB) are older than 10 s, the oldest 58 s", or what was live at exit.
fn age(suspected: Amount, oldest: Option<Duration>, min_age: Duration, exited: bool) -> String {
    let one = suspected.count == 1;
    let what = format!("{} ({})", units::blocks(suspected.count), units::bytes(suspected.bytes));
    let oldest = oldest.map(units::duration);
    if exited {
        let verb = if one { "was" } else { "were" };
        let oldest = oldest.map_or_else(String::new, |age| {
            if one {
                format!(", {age} old")
            } else {
                format!(", the oldest {age} old")
            }
        });
        return format!("{what} {verb} still live at exit{oldest}");
    }
    let verb = if one { "is" } else { "are" };
    let oldest = oldest.map_or_else(String::new, |age| {
        if one {
            format!(": {age}")
        } else {
            format!(", the oldest {age}")
        }
    });
    format!("{what} {verb} at least {} old{oldest}", units::duration(min_age))
}

#[cfg(test)]
mod tests {
    use memtrace_common::op::Op;
    use proptest::prelude::*;

    use super::*;
    use crate::profile::fixture::{self, SiteSpec};

    fn history(values: impl IntoIterator<Item = u64>) -> Vec<(Duration, u64)> {
        (0..).map(Duration::from_secs).zip(values).collect()
    }

    fn verdict(spec: &SiteSpec, end: Option<&End>) -> Option<Suspicion> {
        judge(&spec.site, &fixture::settings(), end)
    }

    fn old_site(op: Op) -> SiteSpec {
        SiteSpec::new(op)
            .live(2048, 2)
            .allocated(2048, 2)
            .aged(1024, 1)
            .oldest(58)
    }

    #[test]
    fn old_blocks_are_still_live_and_say_why() {
        let found = verdict(&old_site(Op::Malloc), None).unwrap();
        assert_eq!(found.verdict, Verdict::StillLive);
        assert_eq!(
            found.reasons,
            [
                "1 block (1.0 KiB) is at least 10 s old: 58 s",
                "none of its 2 allocations was freed"
            ]
        );
    }

    #[test]
    fn growth_comes_first_when_there_is_any() {
        let found = verdict(&old_site(Op::Malloc).history(&[0, 512, 1024, 1536, 2048]), None).unwrap();
        assert_eq!(found.verdict, Verdict::Growing);
        assert_eq!(found.reasons[0], "live bytes grew in 4 of 4 samples, +512 B/s");
    }

    #[test]
    fn at_exit_age_does_not_count() {
        let young = SiteSpec::new(Op::Malloc).live(10, 1).allocated(10, 1);
        assert_eq!(verdict(&young, None), None);
        assert_eq!(verdict(&young, Some(&End::Duration)), None);
        let found = verdict(&young, Some(&End::Exited(None))).unwrap();
        assert_eq!(found.verdict, Verdict::Leaked);
        assert_eq!(
            found.reasons,
            [
                "1 block (10 B) was still live at exit",
                "its only allocation was not freed"
            ]
        );
    }

    #[test]
    fn what_one_of_several_processes_left_is_told_and_decides_when_it_is_more() {
        let left = SiteSpec::new(Op::Malloc).allocated(4096, 4).at_exit(3072, 3);
        let found = verdict(&left, None).unwrap();
        assert_eq!(found.verdict, Verdict::Leaked);
        assert_eq!(
            found.reasons,
            [
                "3 blocks (3.0 KiB) were still live when their process ended",
                "only 1 of its 4 allocations were freed"
            ]
        );
        assert_eq!(suspected(&left.site, false), left.site.at_exit);
        // Little beside what is old: a reason, no verdict.
        let both = old_site(Op::Malloc).allocated(2060, 3).at_exit(12, 1);
        let found = verdict(&both, Some(&End::Duration)).unwrap();
        assert_eq!(found.verdict, Verdict::StillLive);
        assert_eq!(
            found.reasons,
            [
                "1 block (1.0 KiB) is at least 10 s old: 58 s",
                "none of its 3 allocations was freed",
                "1 block (12 B) was still live when its process ended",
            ]
        );
        assert_eq!(suspected(&both.site, false), both.site.aged);
        // Once all have ended it is part of what is live.
        let ended = SiteSpec::new(Op::Malloc).live(3072, 3).at_exit(3072, 3);
        let found = verdict(&ended, Some(&End::Exited(None))).unwrap();
        assert_eq!(
            found.reasons,
            [
                "3 blocks (3.0 KiB) were still live at exit",
                "none of its 3 allocations was freed"
            ]
        );
    }

    #[test]
    fn files_reserved_space_small_sites_and_freed_sites_are_not_suspected() {
        assert_eq!(verdict(&old_site(Op::MmapFile), None), None);
        assert_eq!(verdict(&old_site(Op::MmapReserve), Some(&End::Exited(None))), None);
        assert!(verdict(&old_site(Op::Mmap), None).is_some());
        let settings = Settings {
            min_size: 1025,
            ..fixture::settings()
        };
        assert_eq!(judge(&old_site(Op::Malloc).site, &settings, None), None);
        assert_eq!(
            verdict(&SiteSpec::new(Op::Malloc).allocated(2048, 2), Some(&End::Exited(None))),
            None
        );
    }

    #[test]
    fn growth_is_told_from_what_only_looks_like_it() {
        let growing = |values: &[u64]| is_growing(&history(values.iter().copied()));
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
    }

    proptest! {
        #[test]
        fn a_bounded_cache_is_never_growing(noise in prop::collection::vec(900..=1000_u64, 20..80)) {
            // Fills within the first quarter, then lives between its bounds.
            let fill = noise.len() / 4;
            let values: Vec<u64> = (0..fill).map(|i| (900 * i / fill) as u64).chain(noise.iter().copied()).collect();
            prop_assert!(!is_growing(&history(values)));
        }

        #[test]
        fn a_steady_leak_is_always_growing(rate in 100..10_000_u64, noise in prop::collection::vec(0..20_u64, 6..80)) {
            let values = noise.iter().zip(0_u64..).map(|(noise, second)| rate * second + noise);
            prop_assert!(is_growing(&history(values)));
        }
    }
}
