//! Charts on made-up moments.

use std::time::Duration;

use proptest::prelude::*;
use unicode_width::UnicodeWidthStr as _;

use super::*;
use crate::{profile::fixture, render::tests::rendered};

/// A leak over a minute with a burst in the midst, and losses at its end.
fn moments() -> Vec<Moment> {
    let moment = |second: u64| {
        let burst = if (20..30).contains(&second) { 4 << 20 } else { 0 };
        Moment {
            at: Duration::from_secs(second),
            live_bytes: second * 100_000 + burst,
            allocated_bytes: Some(second * 150_000 + second.saturating_sub(20).min(10) * 3_000_000),
            resident_bytes: (second >= 10).then_some(30_000_000 + second * 100_000),
            lost: second.saturating_sub(58) * 40,
        }
    };
    (0..=60).map(moment).collect()
}

fn text(profile: &Profile, options: &Options) -> String {
    rendered(|out| write(profile, options, out))
}

#[test]
fn charts() {
    let mut profile = fixture::normal();
    insta::assert_snapshot!("timeline_none", text(&profile, &Options::default()));
    profile.timeline = moments();
    insta::assert_snapshot!("timeline_all", text(&profile, &Options::default()));
    for moment in &mut profile.timeline {
        (moment.resident_bytes, moment.allocated_bytes, moment.lost) = (None, None, 0);
    }
    insta::assert_snapshot!("timeline_live", text(&profile, &Options::default()));
}

proptest! {
    #[test]
    fn no_line_is_too_wide(columns in 0..130_usize, lines in 1..12_usize) {
        let mut profile = fixture::normal();
        profile.timeline = moments();
        for line in text(&profile, &Options { lines, columns }).lines() {
            prop_assert!(line.width() <= columns, "{line}");
            prop_assert_eq!(line.trim_end(), line);
        }
    }
}
