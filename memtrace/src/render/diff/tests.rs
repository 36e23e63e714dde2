//! Comparisons of made-up profiles.

use std::time::Duration;

use memtrace_common::op::Op;
use unicode_width::UnicodeWidthStr as _;

use super::*;
use crate::{
    profile::fixture::{self, SiteSpec, frame, line},
    render::tests::rendered,
};

/// A server before and after an hour more.
pub(in crate::render) fn pair() -> (Profile, Profile) {
    let site = |function, number, live: u64, count, allocated| {
        SiteSpec::new(Op::Malloc)
            .stack([
                frame("malloc", "libc.so.6"),
                line(function, "server", "/src/server.c", number),
                line("main", "server", "/src/main.c", 9),
            ])
            .live(live, count)
            .allocated(allocated, count * 2)
    };
    let before = fixture::profile([
        site("session_new", 10, 1 << 20, 1_000, 8 << 20),
        site("cache_fill", 20, 4 << 20, 64, 4 << 20),
        site("legacy_init", 30, 65_536, 1, 65_536),
        site("buffer", 40, 1 << 16, 4, 1 << 30),
    ]);
    let mut after = fixture::profile([
        site("session_new", 12, 9 << 20, 9_000, 72 << 20),
        site("cache_fill", 22, 3 << 20, 48, 5 << 20),
        site("buffer", 42, 1 << 16, 4, 1 << 36),
        site("metrics_init", 50, 32_768, 8, 32_768),
        SiteSpec::new(Op::Calloc).live(512, 1),
    ]);
    after.observed = Duration::from_mins(61);
    after.target.pid = 5151;
    after.target.build_id = Some("feedbeef".into());
    (before, after)
}

fn text(before: &Profile, after: &Profile, measure: Measure) -> String {
    let options = Options { measure, top: 10 };
    rendered(|out| write(&Comparison::new(before, after), &options, out))
}

#[test]
fn comparisons() {
    let (before, mut after) = pair();
    insta::assert_snapshot!("diff_live", text(&before, &after, Measure::Live));
    insta::assert_snapshot!("diff_allocations", text(&before, &after, Measure::Allocations));
    insta::assert_snapshot!("diff_unknown", text(&before, &after, Measure::Peak));
    after.target.executable = "/usr/bin/other".into();
    insta::assert_snapshot!("diff_programs", text(&fixture::hostile(), &after, Measure::Live));
    let options = Options {
        measure: Measure::Live,
        top: 1,
    };
    let cut = rendered(|out| write(&Comparison::new(&before, &fixture::empty()), &options, out));
    assert!(cut.contains("in 3 more sites\n"), "{cut}");
}

#[test]
fn every_comparison_is_clean_and_fits() {
    for (one, before) in fixture::all() {
        for (other, after) in fixture::all() {
            for measure in Measure::ALL {
                let text = text(&before, &after, measure);
                assert!(!text.contains(|c| escape::is_unsafe(c) && c != '\n'), "{one} {other}");
                for line in text.lines() {
                    assert!(
                        line.width() <= COLUMNS && line.trim_end() == line,
                        "{one} {other}: {line}"
                    );
                }
            }
        }
    }
}
