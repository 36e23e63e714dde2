//! Recorded bytes of the ring, through decoding, ledger and rendering, to golden reports. Needs neither root nor a kernel.

use std::{
    fs,
    io::Cursor,
    path::{Path, PathBuf},
    time::Duration,
};

use memtrace::{
    profile::{
        Measure, Profile, Settings,
        calltree::{self, CallTree},
        diff::{Comparison, Kind},
        filter::{Filter, FramePattern},
        suppress::Suppressions,
    },
    render,
    session::{Lookup, Part, Reading},
};
use memtrace_tests::{Truth, exported::assert_keeps_schema, sums_below};
use serde_json::Value;

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)
}

fn settings() -> Settings {
    Settings {
        top: 10,
        min_age: Duration::from_secs(1),
        min_size: 0,
        suppressions: Suppressions::default(),
        fail_over: None,
        view: memtrace::profile::View::default(),
    }
}

fn recording(name: &str) -> Vec<u8> {
    fs::read(path(&format!("{name}.memtrace"))).expect("the recording is in the tree")
}

/// The whole of a recording in the tree.
fn read(name: &str, from_events: bool) -> Profile {
    read_bytes(&recording(name), from_events).expect("the recording is whole")
}

/// A whole recording: as it was written down at its end, or from its events again.
fn read_bytes(bytes: &[u8], from_events: bool) -> anyhow::Result<Profile> {
    let part = Part {
        min_age: from_events.then_some(settings().min_age),
        ..Part::default()
    };
    Reading::new(Cursor::new(bytes), Path::new("fixture"))?.profile(&part, settings(), &Lookup::default())
}

/// Compares with a golden file, or writes it when `MEMTRACE_BLESS` is set.
fn golden(name: &str, content: &str) {
    let path = path(name);
    if std::env::var_os("MEMTRACE_BLESS").is_some() {
        fs::write(&path, content).expect("the golden file can be written");
    }
    let wanted = fs::read_to_string(&path).expect("the golden file is in the tree");
    assert_eq!(content, wanted, "{} differs", path.display());
}

fn rendered(profile: &Profile, file: &str) -> String {
    let file = render::FILES
        .iter()
        .find(|one| one.name == file)
        .expect("a file of that name");
    let mut bytes = Vec::new();
    file.render(profile, render::Options::default(), &mut bytes)
        .expect("memory takes all");
    String::from_utf8(bytes).expect("reports are text")
}

fn check(name: &str) {
    let profile = read(name, true);
    golden(&format!("{name}.summary.txt"), &rendered(&profile, "summary.txt"));
    golden(&format!("{name}.leaks.txt"), &rendered(&profile, "leaks.txt"));
    golden(&format!("{name}.folded"), &rendered(&profile, "stacks.folded"));
    let json = rendered(&profile, "profile.json").replace(env!("CARGO_PKG_VERSION"), "VERSION");
    golden(&format!("{name}.json"), &json);

    let json: Value = serde_json::from_str(&json).expect("the report is JSON");
    assert_keeps_schema(&json);
    let truth = fs::read_to_string(path(&format!("{name}.truth.json"))).expect("the truth is in the tree");
    let truth = Truth::from_line(truth.trim());
    assert!(!truth.sites.is_empty());
    let sums = read(name, false);
    let sums = rendered(&sums, "profile.json").replace(env!("CARGO_PKG_VERSION"), "VERSION");
    let sums: Value = serde_json::from_str(&sums).expect("the report is JSON");
    for (site, truth) in &truth.sites {
        assert_eq!(
            sums_below(&json, site, "live"),
            truth.live(),
            "{site} of {name}, from events"
        );
        assert_eq!(
            sums_below(&sums, site, "live"),
            truth.live(),
            "{site} of {name}, from sums"
        );
    }
    // But for histories, which the moments make, and what is judged by them, both ways tell the same.
    let without_histories = |mut report: Value| {
        report["timeline"] = Value::Null;
        for site in report["sites"].as_array_mut().expect("sites") {
            for field in [
                "history",
                "growth_bytes_per_second",
                "verdict",
                "score",
                "evidence",
                "reasons",
                "suspected",
                "at_peak",
            ] {
                site[field] = Value::Null;
            }
        }
        report
    };
    assert_eq!(without_histories(json), without_histories(sums), "{name}");
}

/// The views of a recording add up to the truth that its program printed.
fn check_views(name: &str) {
    let profile = read(name, true);
    let truth = fs::read_to_string(path(&format!("{name}.truth.json"))).expect("the truth is in the tree");
    let truth = Truth::from_line(truth.trim());
    let callers = calltree::Options {
        direction: calltree::Direction::Callers,
        plumbing: false,
    };
    for (site, sums) in &truth.sites {
        let filter = Filter {
            frames: vec![FramePattern::new(&format!("^{site}$")).expect("a name is an expression")],
            ..Filter::default()
        };
        let kept = filter.apply(&profile).expect("no process is asked for");
        let all = kept.sites.iter().fold((0, 0), |(bytes, count), site| {
            (bytes + site.live.bytes, count + site.live.count)
        });
        assert_eq!(all, sums.live(), "{site} of {name}, filtered");
        let tree = CallTree::new(&kept, callers);
        assert_eq!(tree.total.live, kept.totals.live, "{site} of {name}, as a tree");
    }
    let last = profile.timeline.last().expect("a recording has a last moment");
    assert_eq!(last.allocated_bytes, Some(profile.totals.allocated.bytes));
    assert!(
        profile
            .timeline
            .is_sorted_by(|one, next| one.at < next.at && one.allocated_bytes <= next.allocated_bytes)
    );
    let comparison = Comparison::new(&profile, &profile);
    let same = |measure| comparison.sorted(measure).iter().all(|(kind, ..)| *kind == Kind::Same);
    assert!(same(Measure::Live) && same(Measure::Allocated), "{name} beside itself");
}

#[test]
fn views_add_up_to_the_truth() {
    check_views("hooks");
    check_views("ranges");
}

#[test]
fn every_hook() {
    check("hooks");
}

#[test]
fn classes_of_mappings() {
    check("ranges");
}

#[test]
fn a_recording_with_losses() {
    let profile = read("flood", true);
    let json: Value = serde_json::from_str(&rendered(&profile, "profile.json")).expect("the report is JSON");
    let truth = fs::read_to_string(path("flood.truth.json")).expect("the truth is in the tree");
    let truth = Truth::from_line(truth.trim());
    for (site, sums) in &truth.sites {
        assert_eq!(
            sums_below(&json, site, "live"),
            sums.live(),
            "{site}: what was lost are frees, and they are remembered"
        );
    }
    assert!(
        json["health"]["recovered_frees"].as_u64() > Some(0),
        "there were losses"
    );
    let summary = rendered(&profile, "summary.txt");
    assert!(summary.contains("frees late, but applied"), "{summary}");
}

#[test]
fn two_recordings_in_one_file_are_not_one() {
    let once = recording("ranges");
    let profile = read_bytes(&once.repeat(2), false).expect("the first can be read");
    let notes = profile.health.notes.join("\n");
    assert!(notes.contains(&format!("damaged at byte {}", once.len())), "{notes}");
    assert_eq!(profile.sites.len(), read("ranges", false).sites.len());
}

#[test]
fn cut_recordings_are_read_as_far_as_they_go_or_say_why_not() {
    let whole = recording("hooks");
    let mut read_partly = 0;
    for length in (0..whole.len()).step_by(7) {
        match read_bytes(&whole[..length], length % 2 == 0) {
            Ok(profile) => {
                read_partly += 1;
                assert!(!profile.health.notes.is_empty(), "cut at {length} of {}", whole.len());
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
    assert!(read_partly > 10, "{read_partly}");
}

#[test]
fn damaged_recordings_end() {
    let whole = recording("hooks");
    // Any fixed sequence will do: each run changes other bytes, the same in every run of the test.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for round in 0..300 {
        let mut damaged = whole.clone();
        for _ in 0..4 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let at = usize::try_from(state >> 8).unwrap_or(0) % damaged.len();
            damaged[at] ^= u8::try_from(state & 0xff).unwrap_or(1) | 1;
        }
        // Either is right; what must not happen is a panic.
        let _either = read_bytes(&damaged, round % 2 == 0);
    }
}
