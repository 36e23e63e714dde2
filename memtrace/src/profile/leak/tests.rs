//! Verdicts and their reasons, one rule each.

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
