//! Verdicts and their reasons, one rule each.

use std::time::Duration;

use memtrace_common::op::Op;

use super::*;
use crate::profile::{
    Settings,
    fixture::{self, SiteSpec},
};

fn verdict(spec: &SiteSpec, end: Option<&End>) -> Option<Suspicion> {
    judged(spec, fixture::settings(), end)
}

fn judged(spec: &SiteSpec, settings: Settings, end: Option<&End>) -> Option<Suspicion> {
    let mut profile = fixture::profile([spec.clone()]);
    profile.settings = settings;
    profile.target.end = end.cloned();
    judge(&profile, &spec.site)
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
    assert_eq!(judged(&old_site(Op::Malloc), settings, None), None);
    assert_eq!(
        verdict(&SiteSpec::new(Op::Malloc).allocated(2048, 2), Some(&End::Exited(None))),
        None
    );
}

/// Sixty-one seconds of live bytes by the second.
fn minute(bytes: impl Fn(u64) -> u64) -> Vec<u64> {
    (0..=60).map(bytes).collect()
}

fn with_lifetimes(mut spec: SiteSpec, lifetimes: &[(u64, u64)]) -> SiteSpec {
    let class = |&(nanoseconds, count): &(u64, u64)| (Duration::from_nanos(nanoseconds), count);
    spec.site.spread.lifetimes = lifetimes.iter().map(class).collect();
    spec
}

#[test]
fn a_cache_that_is_full_says_when_it_stopped() {
    let cache = old_site(Op::Malloc)
        .allocated(9000, 9)
        .history(&minute(|second| second.min(20) * 100));
    let found = verdict(&with_lifetimes(cache, &[(1 << 34, 7)]), None).unwrap();
    assert_eq!(found.verdict, Verdict::StillLive);
    assert_eq!(
        found.reasons[1],
        "live bytes stopped growing 18 s after the start; since then about as much was freed as allocated"
    );
    let batches = old_site(Op::Malloc).history(&minute(|second| 100 + second % 10 * 50));
    let found = verdict(&batches, None).unwrap();
    assert_eq!(
        found.reasons[1],
        "live bytes come and go: they fell by as much as 450 B"
    );
}

#[test]
fn more_load_is_not_called_a_leak() {
    let load = old_site(Op::Malloc)
        .allocated(99_000, 99)
        .history(&minute(|second| second * 100));
    let leak = verdict(&load, None).unwrap();
    let found = verdict(&with_lifetimes(load, &[(1 << 36, 90)]), None).unwrap();
    assert_eq!((leak.verdict, found.verdict), (Verdict::Growing, Verdict::StillLive));
    assert!(
        leak.score > 80 && found.score < 10,
        "{} and {}",
        leak.score,
        found.score
    );
    assert!(
        found.reasons.iter().any(|reason| reason.contains("are freed as well")),
        "{found:?}"
    );
}

#[test]
fn a_buffer_that_grows_is_suspected_although_it_is_never_old() {
    let buffer = SiteSpec::new(Op::Realloc)
        .live(6000, 1)
        .allocated(183_000, 61)
        .oldest(1);
    let found = verdict(&buffer.clone().history(&minute(|second| second * 100)), None).unwrap();
    assert_eq!((found.verdict, found.amount.bytes), (Verdict::Growing, 6000));
    assert!(
        found.reasons[2].starts_with("a block is replaced by larger ones"),
        "{found:?}"
    );
    let full = buffer.history(&minute(|second| second.min(20) * 300));
    assert_eq!(verdict(&full, None), None, "it is as large as it gets");
}

#[test]
fn growth_within_the_error_of_a_sample_is_none() {
    let mut spec = old_site(Op::Malloc)
        .live(6000, 60)
        .history(&minute(|second| 3000 + second * 50));
    let judged = |spec: &SiteSpec| {
        let mut profile = fixture::profile([spec.clone()]);
        profile.health.sampling = Some(crate::profile::Sampling::default());
        judge(&profile, &spec.site).unwrap()
    };
    spec.site.live_variance = Some(500.0_f64.powi(2));
    assert_eq!(judged(&spec).verdict, Verdict::Growing);
    spec.site.live_variance = Some(2000.0_f64.powi(2));
    assert_eq!(judged(&spec).verdict, Verdict::StillLive);
}
