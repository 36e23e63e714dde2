//! Sums of both sides stay, and sites meet by name.

use proptest::prelude::*;

use super::*;
use crate::profile::{
    Amount,
    fixture::{self, SiteSpec, frame, line},
};

fn site(names: &[&str], live: u64) -> SiteSpec {
    SiteSpec::new(Op::Malloc)
        .stack(names.iter().map(|name| frame(name, "app")))
        .live(live, 1)
}

fn kinds(comparison: &Comparison<'_>, measure: Measure) -> Vec<(Kind, f64)> {
    let sorted = comparison.sorted(measure);
    sorted.iter().map(|(kind, pair, _)| (*kind, pair.change())).collect()
}

#[test]
fn growth_comes_first_then_new_gone_and_shrunk_sites() {
    let before = fixture::profile([
        site(&["same"], 5),
        site(&["less"], 100),
        site(&["gone"], 70),
        site(&["more"], 10),
        site(&["most"], 10),
    ]);
    let after = fixture::profile([
        site(&["same"], 5),
        site(&["less"], 1),
        site(&["new"], 9_000),
        site(&["more"], 20),
        site(&["most"], 60),
    ]);
    let comparison = Comparison::new(&before, &after);
    let wanted = [
        (Kind::Grown, 50.0),
        (Kind::Grown, 10.0),
        (Kind::New, 9_000.0),
        (Kind::Gone, -70.0),
        (Kind::Shrunk, -99.0),
        (Kind::Same, 0.0),
    ];
    assert_eq!(kinds(&comparison, Measure::Live), wanted);
}

#[test]
fn sites_meet_whatever_their_lines_addresses_and_inlining() {
    let old = [
        Frame {
            inlined: true,
            ..line("parse", "app", "old.c", 3)
        },
        Frame {
            function: None,
            ..frame("", "libx.so")
        },
    ];
    let new = [
        line("parse", "app", "new.c", 9),
        Frame {
            function: None,
            offset: 99,
            ..frame("", "libx.so")
        },
    ];
    let one = |frames: [Frame; 2]| SiteSpec::new(Op::Malloc).stack(frames).live(10, 1);
    let before = fixture::profile([one(old)]);
    let after = fixture::profile([one(new)]);
    assert_eq!(
        kinds(&Comparison::new(&before, &after), Measure::Live),
        [(Kind::Same, 0.0)]
    );
    let other = fixture::profile([SiteSpec::new(Op::Calloc)
        .stack(before.stack(&before.sites[0]).cloned())
        .live(10, 1)]);
    let kinds = kinds(&Comparison::new(&before, &other), Measure::Live);
    assert_eq!(kinds, [(Kind::New, 10.0), (Kind::Gone, -10.0)], "another operation");
}

#[test]
fn groups_count_where_both_are_split() {
    let split = fixture::many();
    let mut whole = fixture::many();
    whole.groups.truncate(1);
    let apart = Comparison::new(&split, &split);
    assert!(apart.changes.iter().all(|change| change.group.is_some()));
    let together = Comparison::new(&split, &whole);
    assert!(together.changes.iter().all(|change| change.group.is_none()));
    assert_eq!(together.changes.len() + 1, apart.changes.len());
}

#[test]
fn what_grows_with_time_is_compared_by_the_second() {
    let allocated = |bytes, seconds| {
        let mut profile = fixture::profile([SiteSpec::new(Op::Malloc)
            .stack([frame("f", "app")])
            .allocated(bytes, 10)]);
        profile.observed = Duration::from_secs(seconds);
        profile
    };
    let (before, after, longer) = (allocated(1_000, 10), allocated(1_500, 10), allocated(3_000, 30));
    let same = Comparison::new(&before, &after);
    assert!(!same.is_rate(Measure::Allocated));
    assert_eq!(kinds(&same, Measure::Allocated), [(Kind::Grown, 500.0)]);
    let other = Comparison::new(&before, &longer);
    assert!(other.is_rate(Measure::Allocated) && !other.is_rate(Measure::Live));
    assert_eq!(kinds(&other, Measure::Allocated), [(Kind::Same, 0.0)]);
}

proptest! {
    #[test]
    fn nothing_is_lost_on_either_side(
        before in prop::collection::vec((prop::collection::vec("[abc]", 0..4), 0..1_000_u64), 0..9),
        after in prop::collection::vec((prop::collection::vec("[abc]", 0..4), 0..1_000_u64), 0..9),
    ) {
        let profile = |all: &[(Vec<String>, u64)]| {
            fixture::profile(all.iter().map(|(names, live)| site(&names.iter().map(String::as_str).collect::<Vec<_>>(), *live)))
        };
        let (before, after) = (profile(&before), profile(&after));
        let comparison = Comparison::new(&before, &after);
        let sum = |side: fn(&Change<'_>) -> Amount| comparison.changes.iter().map(side).fold(Amount::default(), Amount::plus);
        prop_assert_eq!(sum(|change| change.before.live), before.totals.live);
        prop_assert_eq!(sum(|change| change.after.allocated), after.totals.allocated);
        let back = Comparison::new(&after, &before);
        for measure in [Measure::Live, Measure::Allocations] {
            let total: f64 = comparison.sorted(measure).iter().map(|(_, pair, _)| pair.change()).sum();
            let reverse: f64 = back.sorted(measure).iter().map(|(_, pair, _)| pair.change()).sum();
            prop_assert!((total + reverse).abs() < 1e-6 && (total - comparison.total(measure).change()).abs() < 1e-6);
        }
        prop_assert!(Comparison::new(&after, &after).sorted(Measure::Live).iter().all(|(kind, ..)| *kind == Kind::Same));
    }
}
