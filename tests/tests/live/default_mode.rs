//! What is seen of a program of Python or JavaScript where nobody says what is to be: not every call, and the report says so.

use std::process::Command;

use memtrace_tests::{Memtrace, Program, Report, nodes, programs, require, require_root, require_tool};

/// What every such report must name.
const FLAG: &str = "--every-call";

fn python() -> Program {
    Program::ready(Command::new("python3").arg(programs::source("python_sites.py")))
}

fn node(version: u32) -> Program {
    let mut command = Command::new(nodes::path(version));
    command.env_remove("NODE_OPTIONS").arg("--expose-gc");
    Program::ready(command.arg(programs::source("v8_heap.js")).args(["http", "2000"]))
}

/// A report of Python's program at work, attached to with these flags.
fn attached(options: &[&str]) -> Report {
    observed(python(), options)
}

fn observed(mut program: Program, options: &[&str]) -> Report {
    let memtrace = Memtrace::attach(program.pid(), options);
    program.go();
    program.expect("hold");
    let report = memtrace.finish();
    assert!(program.end().0.success());
    report
}

/// Whether a note of the report says that this is less than every call.
fn says_so(report: &Report) -> bool {
    let notes = report.profile["health"]["notes"].to_string();
    notes.contains(FLAG) && report.stdout.contains(FLAG)
}

#[test]
fn python_is_looked_at_within_a_budget_by_default() {
    require_root!();
    require_tool!("python3");
    let report = attached(&[]);
    let health = &report.profile["health"];
    assert_eq!(health["budget"]["limit"], 0.05);
    assert!(says_so(&report), "{health}");
    assert!(health["exact"] == false && health["sampling"].is_object(), "{health}");
    report.assert_files();
}

#[test]
fn python_is_sampled_where_probes_cannot_come_and_go() {
    require_root!();
    require_tool!("python3");
    let report = attached(&["--single-links"]);
    let health = &report.profile["health"];
    assert!(health["budget"].is_null() && says_so(&report), "{health}");
    assert_eq!(health["sampling"]["interval_bytes"], 512 << 10);
}

#[test]
fn python_is_seen_as_the_user_says() {
    require_root!();
    require_tool!("python3");
    for options in [
        &["--every-call"][..],
        &["--every-event"],
        &["--fail-over", "1GiB"],
        &["--sample", "64KiB"],
        &["--budget", "20%"],
    ] {
        let report = attached(options);
        let health = &report.profile["health"];
        let asked = |flag: &str| options[0] == flag;
        assert!(!says_so(&report), "{options:?}: {health}");
        assert_eq!(health["budget"].is_object(), asked("--budget"), "{options:?}");
        let sampled = asked("--budget") || asked("--sample");
        assert_eq!(health["sampling"].is_object(), sampled, "{options:?}: {health}");
    }
}

#[test]
fn python_that_memtrace_starts_is_seen_whole() {
    require_root!();
    require_tool!("python3");
    let mut command = Command::new("python3");
    let report = Memtrace::run(
        &[],
        command.args(["-c", "print(len([bytes(1000) for _ in range(100)]))"]),
    )
    .ended();
    let health = &report.profile["health"];
    assert!(health["budget"].is_null() && health["sampling"].is_null(), "{health}");
    assert!(!says_so(&report), "{health}");
}

/// What V8 itself counts is counted all the same.
#[test]
fn javascript_is_looked_at_within_a_budget_by_default() {
    require_root!();
    require!(nodes::all_there());
    for version in nodes::VERSIONS {
        let report = observed(node(version), &[]);
        let health = &report.profile["health"];
        assert_eq!(health["budget"]["limit"], 0.02, "node {version}");
        assert!(says_so(&report), "node {version}: {health}");
        assert_eq!(health["exact"], false, "node {version}: {health}");
        let heap = &report.profile["javascript_heaps"][0];
        assert!(
            heap["allocated_bytes"].as_u64() > Some(20 << 20),
            "node {version}: {heap}"
        );
        assert!(heap["collected"].as_u64() > Some(2), "node {version}: {heap}");
        report.assert_files();
    }
}

#[test]
fn javascript_is_seen_whole_on_request() {
    require_root!();
    require!(nodes::all_there());
    let report = observed(node(24), &[FLAG]);
    let health = &report.profile["health"];
    assert!(health["budget"].is_null() && !says_so(&report), "{health}");
}
