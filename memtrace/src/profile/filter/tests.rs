//! Filters keep what they say, and sums follow.

use std::time::Duration;

use memtrace_common::op::{Class, Op};
use proptest::prelude::*;

use super::*;
use crate::profile::{
    Amount, Moment,
    fixture::{self, SiteSpec, frame},
};

fn frames(pattern: &str) -> Vec<FramePattern> {
    vec![FramePattern::new(pattern).unwrap()]
}

fn of_process(text: &str) -> Filter {
    Filter {
        processes: vec![ProcessPattern::new(text)],
        ..Filter::default()
    }
}

/// A profile without what debug formatting shows of nothing else.
fn text(profile: &Profile) -> String {
    format!("{profile:?}")
}

#[test]
fn nothing_asked_for_changes_nothing() {
    for (name, profile) in fixture::all() {
        assert_eq!(
            text(&Filter::default().apply(&profile).unwrap()),
            text(&profile),
            "{name}"
        );
    }
}

#[test]
fn each_condition_keeps_its_sites() {
    let profile = fixture::profile([
        SiteSpec::new(Op::Malloc)
            .stack([frame("malloc", "libc.so.6"), frame("a", "app"), frame("main", "app")])
            .live(8_000, 1)
            .oldest(9),
        SiteSpec::new(Op::Calloc)
            .stack([frame("calloc", "libc.so.6"), frame("b", "libssl.so.3")])
            .live(400, 4)
            .allocated(4_000, 40)
            .oldest(5),
        SiteSpec::new(Op::Mmap).live(30, 1),
        SiteSpec::new(Op::MmapFile).live(2, 1),
    ]);
    let kept = |filter: Filter| {
        let kept = filter.apply(&profile).unwrap();
        kept.sites.iter().map(|site| site.live.bytes).collect::<Vec<_>>()
    };
    let all = Filter::default;
    assert_eq!(
        kept(Filter {
            frames: frames("^main$|b"),
            ..all()
        }),
        [8_000, 400]
    );
    assert_eq!(
        kept(Filter {
            excluded: frames("^main$"),
            ..all()
        }),
        [400, 30, 2]
    );
    let modules = |text| vec![ModulePattern::new(text).unwrap()];
    assert_eq!(
        kept(Filter {
            modules: modules("ssl"),
            ..all()
        }),
        [400]
    );
    assert_eq!(
        kept(Filter {
            modules: modules("libc"),
            ..all()
        }),
        [0; 0],
        "the allocator is in every stack"
    );
    assert_eq!(
        kept(Filter {
            min_block: Some(100),
            max_block: Some(100),
            ..all()
        }),
        [400]
    );
    assert_eq!(
        kept(Filter {
            min_block: Some(8_000),
            ..all()
        }),
        [8_000]
    );
    assert_eq!(
        kept(Filter {
            max_block: Some(29),
            ..all()
        }),
        [2]
    );
    assert_eq!(
        kept(Filter {
            older: Some(Duration::from_secs(9)),
            ..all()
        }),
        [8_000]
    );
    assert_eq!(
        kept(Filter {
            ops: vec![Op::Mmap, Op::Calloc],
            ..all()
        }),
        [400, 30]
    );
    assert_eq!(
        kept(Filter {
            classes: vec![Class::File],
            ..all()
        }),
        [2]
    );
}

#[test]
fn sites_are_kept_by_process_where_groups_tell() {
    let profile = fixture::many();
    let kept = of_process("nginx").apply(&profile).unwrap();
    assert!(kept.sites.iter().all(|site| site.group == Some(0)) && kept.sites.len() == 1);
    assert!(kept.processes.iter().all(|process| process.command == "nginx") && kept.processes.len() == 4);
    assert_eq!(kept.totals.live, kept.sites[0].live);
    assert_eq!(kept.filter, ["of process nginx"]);
    // One of four workers, whose sums are one.
    assert!(matches!(of_process("813").apply(&profile), Err(FilterError::Shared(_))));
    let error = of_process("apache").apply(&profile).unwrap_err().to_string();
    assert!(error.contains("nginx (812)"), "{error}");
}

#[test]
fn one_process_alone_is_all_or_an_error() {
    let profile = fixture::normal();
    for asked in ["4242", "redis-server"] {
        assert_eq!(
            of_process(asked).apply(&profile).unwrap().sites.len(),
            profile.sites.len()
        );
    }
    assert!(matches!(
        of_process("7").apply(&profile),
        Err(FilterError::NoProcess { .. })
    ));
}

#[test]
fn processes_that_are_not_kept_apart_cannot_be_told() {
    let mut profile = fixture::many();
    profile.groups.clear();
    profile.sites.iter_mut().for_each(|site| site.group = None);
    assert!(matches!(
        of_process("nginx").apply(&profile),
        Err(FilterError::Shared(_))
    ));
}

#[test]
fn the_timeline_follows_where_histories_are_of_its_moments() {
    let at = Duration::from_secs;
    let mut profile = fixture::profile([
        SiteSpec::new(Op::Malloc).live(5, 1).history(&[9, 5]),
        SiteSpec::new(Op::Calloc).live(3, 1).history(&[1, 3]),
    ]);
    let moment = |seconds, live_bytes| Moment {
        at: at(seconds),
        live_bytes,
        allocated_bytes: Some(20),
        resident_bytes: Some(4096),
        lost: 1,
    };
    profile.timeline = vec![moment(0, 10), moment(1, 8)];
    let filter = Filter {
        ops: vec![Op::Malloc],
        ..Filter::default()
    };
    let kept = filter.apply(&profile).unwrap();
    let live: Vec<_> = kept.timeline.iter().map(|moment| moment.live_bytes).collect();
    assert_eq!((live, kept.totals.peak_live_bytes), (vec![9, 5], 9));
    assert!(
        kept.timeline
            .iter()
            .all(|moment| moment.allocated_bytes.is_none() && moment.lost == 1)
    );
    profile.timeline.pop();
    assert!(filter.apply(&profile).unwrap().timeline.is_empty());
}

fn any_filter() -> impl Strategy<Value = Filter> {
    let pattern = prop::sample::select(vec!["main", "a|e", "^ngx", "[0-9]", "x"]);
    let patterns = prop::collection::vec(pattern, 0..2);
    let ops = prop::sample::subsequence(vec![Op::Malloc, Op::Calloc, Op::Mmap], 0..3);
    let classes = prop::sample::subsequence(Class::ALL.to_vec(), 0..3);
    let sizes = (prop::option::of(0..10_000_u64), prop::option::of(0..100_000_u64));
    (
        patterns.clone(),
        patterns,
        ops,
        classes,
        sizes,
        prop::option::of(0..60_u64),
    )
        .prop_map(|(frames, excluded, ops, classes, (min_block, max_block), older)| {
            let read = |all: Vec<&str>| all.iter().map(|one| FramePattern::new(one).unwrap()).collect();
            Filter {
                frames: read(frames),
                excluded: read(excluded),
                min_block,
                max_block,
                older: older.map(Duration::from_secs),
                ops,
                classes,
                ..Filter::default()
            }
        })
}

proptest! {
    #[test]
    fn filters_compose_and_sums_are_those_of_the_sites(first in any_filter(), second in any_filter()) {
        for (_, profile) in fixture::all() {
            let one = first.apply(&profile).unwrap();
            let both = second.apply(&one).unwrap();
            let other = first.apply(&second.apply(&profile).unwrap()).unwrap();
            prop_assert_eq!(format!("{:?}", both.sites), format!("{:?}", other.sites));
            prop_assert_eq!(format!("{:?}", both.health), format!("{:?}", profile.health));
            let sum = |all: &Profile| all.memory_sites().map(|site| site.live).fold(Amount::default(), Amount::plus);
            prop_assert_eq!(both.totals.live, sum(&both));
            let by_class = both.totals.live_by_class.iter().filter(|(class, _)| class.is_memory());
            prop_assert_eq!(by_class.map(|&(_, live)| live).fold(Amount::default(), Amount::plus), sum(&both));
            prop_assert!(both.sites.len() <= one.sites.len() && one.sites.len() <= profile.sites.len());
            prop_assert!(first.is_all() || !one.filter.is_empty());
        }
    }

    #[test]
    fn the_greatest_size_of_a_class_is_in_it(size: u64, shift in 0..64_u32) {
        let size = size >> shift;
        let greatest = greatest_size(young::least_size(young::size_class(size)));
        prop_assert!(greatest >= size);
        prop_assert_eq!(young::size_class(greatest), young::size_class(size));
    }
}
