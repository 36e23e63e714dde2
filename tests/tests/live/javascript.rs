//! Frames of JavaScript: node says by its call sites where it allocates, and reports say the same, line by line.

#![expect(clippy::print_stdout, reason = "a test prints what it compared")]

use std::{collections::BTreeMap, process::Command};

use memtrace_tests::{Memtrace, Program, Report, nodes, programs, require, require_root};
use serde_json::Value;

use crate::python::{Frames, truth};

/// Runs the program, and gives the report with what the program says.
fn traced(mut command: Command, flags: &[&str], arguments: &[&str]) -> (Report, BTreeMap<u64, Frames>) {
    println!("{command:?} {flags:?} {arguments:?}");
    let script = programs::workspace().join("tests/programs/javascript.js");
    command.args(flags).arg(script).args(arguments);
    let mut program = Program::ready(&mut command);
    let memtrace = Memtrace::attach(
        program.pid(),
        &["--every-call", "--ring-size", "32MiB", "--interpreter-frames"],
    );
    program.go();
    program.expect("hold");
    let report = memtrace.finish();
    let (status, output) = program.end();
    assert!(status.success(), "{status}");
    assert_eq!(
        report.counter("javascript_foreign") + report.counter("javascript_unreadable"),
        0
    );
    (report, truth(&output))
}

/// The frames of a row that are JavaScript's and in a script, innermost first; the line is 0 where none is said.
fn frames(row: &Value) -> Frames {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let stack = row["stack"].as_array().into_iter().flatten();
    let scripts = stack.filter(|frame| frame["kind"] == "javascript" && frame["file"].is_string());
    scripts
        .map(|frame| {
            let line = frame["line"].as_u64().unwrap_or(0);
            (text(&frame["function"]), text(&frame["file"]), line)
        })
        .collect()
}

/// Whether a frame is of the function that the program says.
fn is_function(found: &(String, String, u64), said: &(String, String, u64)) -> bool {
    let is_name = match said.0.as_str() {
        "" | "eval" => found.0.starts_with("<anonymous:") || found.0 == "<top level>",
        // What has a symbol for its name has none for us.
        name if name.starts_with('[') => found.0.starts_with("<anonymous:"),
        // From 12 on V8 gives it the name of the class.
        "<instance_members_initializer>" => found.0 == said.0 || found.0 == "Derived",
        name => found.0 == name,
    };
    is_name && found.1 == said.1
}

/// Which row each stack has, by count and sum of its blocks: each size occurs once.
fn compare(report: &Report, truth: &BTreeMap<u64, Frames>, is_equal: impl Fn(&Frames, &Frames) -> bool) {
    let mut wanted = BTreeMap::<Frames, (u64, u64)>::new();
    for (size, said) in truth {
        let scripts = said.iter().filter(|(_, file, _)| !file.is_empty());
        let sums = wanted.entry(scripts.cloned().collect()).or_default();
        *sums = (sums.0 + 1, sums.1 + size);
    }
    let found: Vec<(Frames, (u64, u64))> = report
        .rows()
        .iter()
        .map(|row| {
            let of = |what: &str| row["allocated"][what].as_u64().unwrap_or(0);
            (frames(row), (of("count"), of("bytes")))
        })
        .collect();
    let mut wrong = 0;
    for (said, sums) in &wanted {
        let rows: Vec<_> = found.iter().filter(|(_, of)| of == sums).collect();
        if !rows.iter().any(|(frames, _)| is_equal(frames, said)) {
            println!("{sums:?} said  {said:?}\n  found {rows:?}");
            wrong += 1;
        }
    }
    println!(
        "{} stacks of {} blocks compared, {wrong} differ",
        wanted.len(),
        truth.len()
    );
    println!("notes: {}", report.profile["health"]["notes"]);
    assert_eq!(wrong, 0, "stacks differ");
}

/// Whether all functions are the same, and the lines too: where `exact`, each frame has one.
fn is_same(found: &Frames, said: &Frames, exact: bool) -> bool {
    let is_line = |found: u64, said: u64| found == said || !exact && found == 0;
    found.len() == said.len()
        && found
            .iter()
            .zip(said)
            .all(|(found, said)| is_function(found, said) && is_line(found.2, said.2))
}

/// Compares stacks that have all their lines.
pub(crate) fn compare_interpreted(node: Command) {
    // Compiled functions have no lines, and V8 compiles what is called some ten times.
    let (report, truth) = traced(node, &["--no-sparkplug", "--no-opt"], &["worker"]);
    assert!(truth.len() >= 100, "{} stacks", truth.len());
    compare(&report, &truth, |found, said| is_same(found, said, true));
    assert!(report.counter("javascript_stacks") > truth.len() as u64);
    report.assert_files();
}

#[test]
fn javascript_stacks_equal_call_sites_line_by_line() {
    require_root!();
    require!(nodes::all_there());
    for node in nodes::VERSIONS.map(nodes::path) {
        compare_interpreted(Command::new(node));
    }
}

#[test]
fn javascript_stacks_as_node_is_started() {
    require_root!();
    require!(nodes::all_there());
    for node in nodes::VERSIONS.map(nodes::path) {
        let (report, truth) = traced(Command::new(node), &[], &[]);
        compare(&report, &truth, |found, said| is_same(found, said, false));
    }
}

/// Whether the functions are those that were said, but for some that were compiled into their callers.
fn is_part(found: &Frames, said: &Frames) -> bool {
    let mut said = said.iter();
    !found.is_empty()
        && found
            .iter()
            .all(|found| said.any(|said| is_function(found, said) && (found.2 == 0 || found.2 == said.2)))
}

/// The least size that the program uses, in bytes: what is allocated on the way is smaller.
const LEAST: u64 = 100_000;

#[test]
fn javascript_stacks_of_compiled_functions() {
    require_root!();
    require!(nodes::all_there());
    for node in nodes::VERSIONS.map(nodes::path) {
        let (report, truth) = traced(Command::new(node), &[], &["warm"]);
        let of = |row: &Value, what: &str| row["allocated"][what].as_u64().unwrap_or(0);
        let all = report.rows().iter();
        let rows: Vec<_> = all
            .filter(|row| row["op"] == "calloc" && of(row, "count") > 0 && of(row, "bytes") >= of(row, "count") * LEAST)
            .map(|row| (frames(row), of(row, "count"), of(row, "bytes")))
            .collect();
        // Without lines, and with functions compiled into their callers, stacks are one that were several.
        let sum = |of: fn(&(Frames, u64, u64)) -> u64| rows.iter().map(of).sum::<u64>();
        assert_eq!(sum(|row| row.1), truth.len() as u64, "blocks");
        assert_eq!(sum(|row| row.2), truth.keys().sum::<u64>(), "bytes");
        let in_scripts = |said: &Frames| -> Frames { said.iter().filter(|said| !said.1.is_empty()).cloned().collect() };
        let said: Vec<Frames> = truth.values().map(in_scripts).collect();
        for (found, ..) in &rows {
            assert!(said.iter().any(|said| is_part(found, said)), "nobody says {found:?}");
        }
        for said in &said {
            assert!(
                rows.iter().any(|(found, ..)| is_part(found, said)),
                "not found: {said:?}"
            );
        }
        let compiled = rows.iter().flat_map(|row| &row.0).filter(|frame| frame.2 == 0).count();
        println!("{} rows, {compiled} frames of compiled functions", rows.len());
        assert!(compiled > 0, "nothing was compiled");
    }
}
