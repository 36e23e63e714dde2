//! In which spaces of V8's heap objects are allocated, against what V8's statistics of each space grow by while nothing is collected.

#![expect(
    clippy::panic,
    clippy::print_stdout,
    reason = "a test prints what it compared, and fails by panicking"
)]

use std::process::Command;

use memtrace_tests::{Memtrace, Program, Report, nodes, on_one_line, programs, require, require_root};
use serde_json::Value;

/// So that nothing is collected, and that no thread of V8's own compiles.
const FLAGS: [&str; 6] = [
    "--trace-gc",
    "--no-opt",
    "--min-semi-space-size=64",
    "--max-semi-space-size=64",
    "--initial-heap-size=600",
    "--initial-old-space-size=512",
];

/// The spaces that V8 tells of.
const SPACES: [&str; 7] = ["young", "old", "code", "map", "shared", "trusted", "large"];

/// What an area has at most: what was taken of one before the observation, or is taken when it ends, is not known.
const PAGE: u64 = 256 << 10;

fn start(version: u32) -> Program {
    let mut command = Command::new(nodes::path(version));
    command.env_remove("NODE_OPTIONS").args(FLAGS);
    Program::ready(command.arg(programs::source("js_spaces.js")))
}

struct Seen {
    report: Report,
    /// By the program.
    grown: Vec<(&'static str, u64)>,
}

fn observed(version: u32, options: &[&str]) -> Seen {
    let mut program = start(version);
    let memtrace = Memtrace::attach(program.pid(), options);
    program.go();
    let truth = program.truth();
    let report = memtrace.finish();
    let (status, printed) = program.end();
    assert!(status.success(), "{status}");
    // The program has told what was taken before it waits.
    let (work, _) = printed.split_once("truth ").expect("the program's truth");
    assert!(!work.contains(" ms: "), "there was a collection: {work}");
    let grown = SPACES.map(|space| (space, truth.value(space)));
    Seen {
        report,
        grown: grown.into(),
    }
}

fn heap(report: &Report) -> &Value {
    &report.profile["javascript_heaps"][0]
}

fn number(value: &Value, name: &str) -> u64 {
    value[name].as_u64().unwrap_or_else(|| panic!("no {name}: {value}"))
}

fn taken(heap: &Value, space: &str) -> u64 {
    let mut spaces = heap["spaces"].as_array().expect("a list of spaces").iter();
    let found = spaces.find(|told| told["space"] == space);
    found.map_or(0, |told| number(told, "allocated_bytes"))
}

fn assert_spaces(seen: &Seen, what: &str) {
    let heap = heap(&seen.report);
    for &(space, grown) in &seen.grown {
        let told = taken(heap, space);
        println!("{what}, {space}: {told} told, {grown} grown");
        assert!(
            told.abs_diff(grown) <= grown / 50 + 2 * PAGE,
            "{what}, {space}: {told}, {grown}"
        );
    }
    let all = number(heap, "allocated_bytes");
    let sum: u64 = SPACES.iter().map(|space| taken(heap, space)).sum();
    let unknown = taken(heap, "unknown");
    assert_eq!(sum + unknown, all, "{what}");
    assert!(unknown < all / 100, "{what}: {unknown} of {all}");
    for (space, least) in [("young", 30), ("old", 10), ("large", 10)] {
        assert!(taken(heap, space) > least << 20, "{what}: too little in {space}");
    }
}

#[test]
fn bytes_are_in_the_spaces_that_v8_sees_grow() {
    require_root!();
    require!(nodes::all_there());
    for version in nodes::VERSIONS {
        let seen = observed(version, &[]);
        assert_spaces(&seen, &format!("node {version}"));
        let words = on_one_line(&seen.report.stdout);
        assert!(
            words.contains("in old space directly: V8 puts there what it expects to stay."),
            "{words}"
        );
        // Map space is of 10.2, trusted space of 12.4 and later.
        let heap = heap(&seen.report);
        assert_eq!(taken(heap, "map") > 1 << 20, version == 18, "node {version}");
        assert_eq!(taken(heap, "trusted") > 0, version >= 22, "node {version}");
    }
}

#[test]
fn functions_are_told_with_what_they_allocate_in_old_space() {
    require_root!();
    require!(nodes::all_there());
    for version in nodes::VERSIONS {
        let seen = observed(version, &["--javascript-sites"]);
        assert_spaces(&seen, &format!("node {version}, sampled"));
        let functions = heap(&seen.report)["functions"].as_array().expect("a list of functions");
        let of = |name: &str| {
            let found = functions.iter().find(|function| function["function"] == name);
            let function = found.unwrap_or_else(|| panic!("no {name}: {functions:?}"));
            let part = |name: &str| function[name].as_f64().expect("a part");
            (part("old_share"), part("large_share"))
        };
        let told = ["short", "large"].map(of);
        println!("node {version}: {told:?}");
        // Exactly, because each of its samples is in the one or the other.
        assert!(
            told[0].0 < 1e-9,
            "what it makes is young, or large where an array grows"
        );
        assert!(told[1].1 > 0.999, "large objects are large");
        let old = |function: &Value| {
            function["old_share"].as_f64().expect("a part") * function["share"].as_f64().expect("a part")
        };
        let share: f64 = functions.iter().map(old).sum();
        let truth = taken(heap(&seen.report), "old") as f64 / number(heap(&seen.report), "allocated_bytes") as f64;
        let samples = number(heap(&seen.report), "samples") as f64;
        let deviation = (1.3 * truth * (1.0 - truth) / samples).sqrt();
        println!("  old: {share} by samples, {truth} counted");
        assert!(
            (share - truth).abs() < 4.0 * deviation + 0.01,
            "node {version}: {share}, {truth}"
        );
    }
}
