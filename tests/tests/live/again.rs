//! Programs at work that are traced and let go, again and again: each time there is something to see, and nothing is left behind in them.

use std::process::Command;

use memtrace_tests::{
    Memtrace, PATIENCE, Program, Report, kernel, nodes, programs, require, require_root, require_tool, wait_until,
};

use super::python::{interpreters, python_frames};

/// How often, unless `MEMTRACE_TESTS_ATTACHED` says it.
const TIMES: usize = 5;

/// Traces a program that writes a line whenever it has worked some rounds, and ends with an error where what it computes is wrong.
/// `options` take turns.
fn again(mut program: Program, options: &[&[&str]], check: impl Fn(&Report, &[&str])) {
    let times = std::env::var("MEMTRACE_TESTS_ATTACHED").ok();
    let times = times.and_then(|times| times.parse().ok()).unwrap_or(TIMES);
    program.go();
    program.expect("round 100");
    for (number, options) in (1..=times).zip(options.iter().cycle()) {
        let memtrace = Memtrace::attach(program.pid(), options);
        // Between two lines it has worked.
        let wanted = program.output().lines().count() + 2;
        let worked = || (program.output().lines().count() >= wanted).then_some(());
        let goes_on = wait_until(PATIENCE, worked);
        assert!(goes_on.is_some(), "the program stands still, {number} of {times}");
        let report = memtrace.finish();
        assert!(report.status.success(), "{number} of {times}: {}", report.stderr);
        check(&report, options);
    }
    let left = kernel::patched(program.pid()).expect("the code can be read");
    assert_eq!(left, Vec::<String>::new());
    let (status, _) = program.end();
    assert!(status.success(), "what it computes is right: {status}");
}

#[test]
fn python_goes_on_however_often_it_is_traced() {
    require_root!();
    require_tool!("python3");
    let all = interpreters();
    for interpreter in all.iter().take(1).chain(all.iter().next_back()) {
        let script = programs::source("python_leaks.py");
        let program = Program::ready(Command::new(interpreter).arg(script));
        again(program, &[&["--every-call", "--python-only"]], |report, _options| {
            for name in ["python_foreign", "python_unreadable"] {
                assert_eq!(report.counter(name), 0, "{name}: {}", interpreter.display());
            }
            let is_named = report.rows().iter().any(|row| !python_frames(row).is_empty());
            assert!(is_named, "{}", interpreter.display());
        });
    }
}

#[test]
fn node_goes_on_however_often_it_is_traced() {
    require_root!();
    require!(nodes::all_there());
    for version in nodes::VERSIONS {
        let mut command = Command::new(nodes::path(version));
        command.env_remove("NODE_OPTIONS").arg("--expose-gc");
        command.arg(programs::source("v8_heap.js"));
        // Until its input ends.
        let program = Program::ready(command.args(["http", "Infinity"]));
        again(program, &[&["--every-call"], &[]], |report, options| {
            for name in ["javascript_foreign", "javascript_unreadable", "lost_js_allocations"] {
                assert_eq!(report.counter(name), 0, "{name}: node {version}");
            }
            let rows = report.rows();
            let mut frames = rows
                .iter()
                .flat_map(|row| row["stack"].as_array().into_iter().flatten());
            let is_named = frames.any(|frame| frame["kind"] == "javascript");
            // Without every call, there may have been no look at the allocator meanwhile.
            assert!(is_named || options.is_empty(), "node {version}");
            let heap = &report.profile["javascript_heaps"][0];
            assert!(heap["allocated_bytes"].as_u64() > Some(0), "node {version}: {heap}");
        });
    }
}
