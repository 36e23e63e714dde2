//! Where JavaScript's objects are allocated, against a program whose functions allocate known parts of all bytes.

#![expect(
    clippy::panic,
    clippy::print_stdout,
    reason = "a test prints what it compared, and fails by panicking"
)]

use std::{collections::BTreeMap, fs, process::Command, time::Duration};

use memtrace_tests::{Memtrace, Program, Report, Truth, kernel, nodes, on_one_line, programs, require, require_root};
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

/// The functions of the program that allocate.
const FUNCTIONS: [&str; 6] = ["small", "middle", "closures", "objects", "wide", "rare"];

/// Rounds of its work: some 750 MiB, of which there are hundreds of samples at any speed.
const ROUNDS: &str = "10000";

/// Fewer samples would tell too little to find a fault.
const LEAST_SAMPLES: f64 = 100.0;

fn start(version: u32, kind: &str) -> Program {
    let mut command = Command::new(nodes::path(version));
    command.env_remove("NODE_OPTIONS");
    Program::ready(command.arg(programs::source("js_sites.js")).args([kind, ROUNDS]))
}

/// The heap of which there are most samples.
fn sampled(report: &Report) -> &Value {
    let heap = report.js_heaps().iter().max_by_key(|heap| heap["samples"].as_u64());
    heap.unwrap_or_else(|| panic!("no heap: {}", report.stdout))
}

fn functions(heap: &Value) -> BTreeMap<&str, &Value> {
    let functions = heap["functions"].as_array().expect("a list of functions").iter();
    let named = functions.map(|function| {
        let name = match (function["function"].as_str(), &function["is_written"]) {
            (Some(name), Value::Bool(true)) => name,
            (None, Value::Bool(true)) => "(none)",
            _ => "(nobody)",
        };
        (name, function)
    });
    named.collect()
}

fn part(value: &Value, name: &str) -> f64 {
    value[name].as_f64().unwrap_or_else(|| panic!("no {name}: {value}"))
}

/// Asserts that each function has the part that the program says, within four standard deviations and a hundredth, by which the
/// program itself may be wrong: it measures what a call takes behind its work.
fn assert_shares(report: &Report, truth: &Truth, what: &str) {
    let heap = sampled(report);
    let samples = part(heap, "samples");
    let all: u64 = FUNCTIONS.iter().map(|name| truth.value(name)).sum();
    let told = functions(heap);
    println!(
        "{what}: {samples} samples for {} of {} bytes",
        heap["sampled_bytes"], heap["allocated_bytes"]
    );
    assert!(samples >= LEAST_SAMPLES, "{what}: {}", report.stdout);
    let mut sum = 0.0;
    for name in FUNCTIONS {
        let share = truth.value(name) as f64 / all as f64;
        let found = told.get(name).map_or(0.0, |function| part(function, "share"));
        // Samples from the first quarter of a second may stand for less than the others.
        let deviation = (1.3 * share * (1.0 - share) / samples).sqrt();
        println!("  {name}: {:.1} % told, {:.1} % true", 100.0 * found, 100.0 * share);
        assert!(
            (found - share).abs() < 4.0 * deviation + 0.01,
            "{what}, {name}: {found}, {share}"
        );
        sum += found;
    }
    assert!(sum > 0.97, "{what}: others have {}", 1.0 - sum);
    let shares = told.values().map(|function| part(function, "share")).sum::<f64>();
    assert!((shares - 1.0).abs() < 1e-6, "{what}: {shares}");
    let estimated: f64 = told.values().map(|function| part(function, "estimated_bytes")).sum();
    assert!(
        (estimated / part(heap, "allocated_bytes") - 1.0).abs() < 1e-3,
        "{what}: {estimated}"
    );
    for (name, function) in told {
        let share = part(function, "share");
        assert!(
            part(function, "share_low") <= share && share <= part(function, "share_high"),
            "{name}: {function}"
        );
    }
}

/// The stacks are whole: from the function to where the program begins.
fn assert_stacks(report: &Report) {
    let heap = sampled(report);
    let sites = heap["sites"].as_array().expect("a list of sites");
    let all: f64 = sites.iter().map(|site| part(site, "samples")).sum();
    let is_whole = |site: &&Value| {
        let frames = site["stack"].as_array().map_or(&[][..], Vec::as_slice);
        let has = |name: &str| frames.iter().any(|frame| frame["function"] == name);
        has("work") && frames.iter().any(|frame| frame["kind"] == "native")
    };
    let whole: f64 = sites.iter().filter(is_whole).map(|site| part(site, "samples")).sum();
    assert!(whole > 0.95 * all, "{whole} of {all}");
    // The folded stacks are of all threads, and of each site less than a byte is cut off.
    let folded = fs::read_to_string(report.file("javascript.folded")).expect("folded stacks");
    let bytes = |line: &str| -> f64 { line.rsplit_once(' ').expect("a number").1.parse().expect("a number") };
    let drawn: f64 = folded.lines().map(bytes).sum();
    let (mut allocated, mut most) = (0.0, 0.0);
    for heap in report.js_heaps().iter().filter(|heap| part(heap, "samples") > 0.0) {
        allocated += part(heap, "allocated_bytes");
        most += heap["sites"].as_array().expect("a list of sites").len() as f64;
    }
    assert!((0.0..=most).contains(&(allocated - drawn)), "{drawn} of {allocated}");
    assert!(folded.contains(";work;"), "{folded}");
}

fn shares_are_true(kind: &str) {
    require_root!();
    require!(nodes::all_there());
    for version in nodes::VERSIONS {
        let (report, truth) = Memtrace::traced(start(version, kind), &["--javascript-sites"]);
        assert_shares(&report, &truth, &format!("node {version}, {kind}"));
        if kind != "workers" {
            assert_stacks(&report);
        }
        assert!(
            on_one_line(&report.stdout).contains("Where its objects were allocated, by"),
            "{}",
            report.stdout
        );
        // Of some thousand areas.
        assert!(report.counter("js_areas_unknown") < 20, "node {version}");
        assert_eq!(report.counter("lost_js_samples"), 0, "node {version}");
    }
}

#[test]
fn functions_have_their_shares_in_any_order() {
    shares_are_true("random");
}

#[test]
fn functions_have_their_shares_where_the_work_repeats_itself() {
    shares_are_true("periodic");
}

#[test]
fn a_worker_is_sampled_as_the_main_thread_is() {
    shares_are_true("workers");
}

#[test]
fn nothing_is_sampled_that_was_not_asked_for() {
    require_root!();
    require!(nodes::all_there());
    let (report, _) = Memtrace::traced(start(20, "random"), &[]);
    let heap = sampled(&report);
    assert_eq!(
        (&heap["samples"], &heap["functions"]),
        (&0.into(), &Value::Array(Vec::new()))
    );
    assert_eq!(report.counter("js_drawn"), 0);
}

#[test]
fn watchpoints_are_gone_when_memtrace_is_killed() {
    require_root!();
    require!(nodes::all_there());
    let mut program = start(22, "endless");
    program.go();
    for _ in 0..2 {
        let mut memtrace = Memtrace::attach(program.pid(), &["--javascript-sites"]);
        let objects = kernel::assert_probed(memtrace.pid(), program.pid());
        std::thread::sleep(Duration::from_millis(500));
        memtrace.process().signal(Signal::KILL);
        memtrace.process().wait();
        kernel::assert_clean(&objects, Some(program.pid()));
    }
    let registers = programs::path("debug-registers");
    let other = Program::spawn(Command::new(registers).arg(program.pid().to_string()));
    assert_eq!(other.expect("ready "), "4", "all of them are free");
    let memtrace = Memtrace::attach(program.pid(), &["--javascript-sites", "--duration", "1s"]);
    let said = on_one_line(&memtrace.ended().stdout);
    assert!(said.contains("the debug registers of its thread are taken"), "{said}");
    assert!(
        said.contains("JavaScript heap:"),
        "how much is told all the same: {said}"
    );
    let (status, _) = other.end();
    assert!(status.success(), "{status}");
    let memtrace = Memtrace::attach(program.pid(), &["--javascript-sites", "--duration", "2s"]);
    let report = memtrace.ended();
    assert!(part(sampled(&report), "samples") > 0.0, "{}", report.stdout);
    program.send("stop");
    program.truth();
    let (status, _) = program.end();
    assert!(status.success(), "{status}");
}

#[test]
fn a_recording_has_no_samples_and_says_so() {
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("none.memtrace");
    let own = std::process::id().to_string();
    let mut command = Memtrace::command(["record", "--pid", &own, "--javascript-sites", "-o"]);
    Memtrace::finish_command(command.arg(&file)).assert_refused(&["--javascript-sites", "attach"]);
}
