//! Flags become what they say.

use std::time::Duration;

use clap::{CommandFactory as _, Parser};
use memtrace_common::op::{Class, Op};

use super::*;
use crate::profile::{filter::ProcessPattern, fixture};

/// All of them, as a verb would have them.
#[derive(Debug, Parser)]
struct All {
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten)]
    tree: TreeArgs,
    #[command(flatten)]
    histogram: HistogramArgs,
    #[command(flatten)]
    timeline: TimelineArgs,
}

#[derive(Debug, Parser)]
struct Two {
    #[command(flatten)]
    diff: DiffArgs,
    #[command(flatten)]
    annotate: AnnotateArgs,
}

fn all(args: &[&str]) -> Result<All, clap::Error> {
    All::try_parse_from([&["view"], args].concat())
}

#[test]
fn the_definitions_are_consistent() {
    All::command().debug_assert();
    Two::command().debug_assert();
}

#[test]
fn nothing_asked_for_shows_all() {
    let args = all(&[]).unwrap();
    assert!(args.filter.filter().unwrap().is_all());
    let (asked, default) = (args.tree.options(80), tree::Options::default());
    assert_eq!(
        (asked.measure, asked.tree, asked.depth),
        (default.measure, default.tree, default.depth)
    );
    assert!((asked.min_share - default.min_share).abs() < f64::EPSILON);
    assert_eq!(args.timeline.options(80).lines, timeline::Options::default().lines);
    assert!(args.histogram.site(&fixture::normal()).unwrap().is_none());
}

#[test]
fn what_is_asked_for_is_what_is_shown() {
    let args = all(&[
        "--frame",
        "^main$",
        "--frame",
        "b",
        "--exclude",
        "c",
        "--module",
        "lib*",
        "--min-block",
        "1KiB",
        "--max-block",
        "1MiB",
        "--older",
        "5min",
        "--process",
        "7",
        "--process",
        "nginx",
        "--op",
        "operator new",
        "--class",
        "heap",
        "--measure",
        "peak-blocks",
        "--callers",
        "--depth",
        "3",
        "--min-share",
        "0.5%",
        "--site",
        "2",
        "--fine",
        "--lines",
        "0",
    ])
    .unwrap();
    let filter = args.filter.filter().unwrap();
    assert_eq!(
        (filter.frames.len(), filter.excluded.len(), filter.modules.len()),
        (2, 1, 1)
    );
    assert_eq!((filter.min_block, filter.max_block), (Some(1024), Some(1 << 20)));
    assert_eq!(filter.older, Some(Duration::from_mins(5)));
    assert_eq!(
        filter.processes,
        [ProcessPattern::Pid(7), ProcessPattern::Command("nginx".into())]
    );
    assert_eq!((filter.ops, filter.classes), (vec![Op::New], vec![Class::Heap]));
    let tree = args.tree.options(100);
    assert_eq!((tree.measure, tree.depth, tree.columns), (Measure::PeakBlocks, 3, 100));
    assert_eq!(tree.tree.direction, calltree::Direction::Callers);
    assert_eq!(
        (args.histogram.options(80).fine, args.timeline.options(80).lines),
        (true, 1)
    );
    let profile = fixture::normal();
    let second = args.histogram.site(&profile).unwrap().unwrap();
    assert_eq!(second.live.bytes, 4_194_304);
}

#[test]
fn what_makes_no_sense_is_refused_with_the_reason() {
    for (args, reason) in [
        (["--op", "free"], "those that allocate are malloc"),
        (["--class", "stack"], "only heap, mapped"),
        (["--min-share", "5"], "it is a percentage"),
        (["--min-share", "NaN%"], "from 0% to 100%"),
    ] {
        let error = all(&args).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
    for (args, reason) in [
        (vec!["--frame", "("], "--frame cannot be used"),
        (
            vec!["--min-block", "2KiB", "--max-block", "1KiB"],
            "--min-block 2.0 KiB is more",
        ),
    ] {
        let error = all(&args).unwrap().filter.filter().unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
    let error = all(&["--site", "99"])
        .unwrap()
        .histogram
        .site(&fixture::normal())
        .unwrap_err()
        .to_string();
    assert!(error.contains("1 to 5"), "{error}");
}

#[test]
fn every_measure_can_be_asked_for() {
    let asked: Vec<Measure> = MeasureArg::value_variants().iter().map(|&one| one.into()).collect();
    assert_eq!(asked, Measure::ALL);
    let two = Two::try_parse_from(["view", "--measure", "allocated", "a.c", "--blocks"]).unwrap();
    assert_eq!(two.diff.options(10).measure, Measure::Allocated);
    assert!(two.annotate.options(80).blocks && two.annotate.file == "a.c");
}
