//! Frames of JavaScript: node says by its call sites where it allocates, and reports say the same, line by line.

#![expect(
    clippy::panic,
    clippy::print_stdout,
    reason = "a test prints what it compared, and fails by panicking"
)]

use std::{collections::BTreeMap, ops::RangeInclusive, process::Command};

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
    let output = program.kill();
    assert_eq!(
        report.counter("javascript_foreign") + report.counter("javascript_unreadable"),
        0
    );
    (report, truth(&output))
}

/// The frames of a row that are JavaScript's and in a script, innermost first; the line is 0 where none is said.
pub(crate) fn frames(row: &Value) -> Frames {
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
pub(crate) fn is_same(found: &Frames, said: &Frames, exact: bool) -> bool {
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

/// What makes V8 run code of one compiler mostly, with the versions of node that have it.
const TIERS: [(&str, &[&str], RangeInclusive<u32>); 6] = [
    ("baseline", &["--always-sparkplug", "--no-opt"], 18..=20),
    ("baseline", &["--always-sparkplug", "--no-opt", "--no-maglev"], 22..=24),
    ("Maglev", &["--maglev", "--no-opt"], 22..=24),
    ("TurboFan", &["--no-maglev"], 22..=24),
    ("all", &["--maglev"], 22..=24),
    ("all", &[], 18..=24),
];

/// The least size that the program uses when it says its stacks, in bytes: what is allocated on the way is smaller.
const LEAST: u64 = 100_000;

/// Whether the functions and lines are those that were said. A frame without a line may have others compiled into it, of which nothing is told.
pub(crate) fn is_part(found: &Frames, said: &Frames) -> bool {
    let mut said = said.iter();
    let all = found.iter().all(|found| {
        if found.2 == 0 {
            said.any(|said| is_function(found, said))
        } else {
            said.next()
                .is_some_and(|said| is_function(found, said) && found.2 == said.2)
        }
    });
    all && said.next().is_none()
}

/// Deals what was said out to the rows that have the same functions and lines, those first of which each frame has one: a row without some line
/// has several stacks. Each must come out with nothing left.
fn assert_dealt_out(report: &Report, truth: &BTreeMap<u64, Frames>) -> (usize, usize) {
    let of = |row: &Value, what: &str| row["allocated"][what].as_u64().unwrap_or(0);
    let all = report.rows().iter();
    let mut rows: Vec<_> = all
        .filter(|row| row["op"] == "calloc" && of(row, "count") > 0 && of(row, "bytes") >= of(row, "count") * LEAST)
        .map(|row| (frames(row), of(row, "count"), of(row, "bytes")))
        .collect();
    let without = |frames: &Frames| frames.iter().filter(|frame| frame.2 == 0).count();
    rows.sort_by_key(|row| without(&row.0));
    let missing = rows.iter().map(|row| without(&row.0)).sum();
    let told = rows.iter().map(|row| row.0.len()).sum();
    for (size, said) in truth {
        let said: Frames = said.iter().filter(|(_, file, _)| !file.is_empty()).cloned().collect();
        let mut fitting = rows.iter_mut().filter(|row| is_part(&row.0, &said));
        let row = fitting.find(|row| row.1 > 0 && row.2 >= *size);
        let row = row.unwrap_or_else(|| panic!("no row has {size} bytes of {said:?}"));
        (row.1, row.2) = (row.1 - 1, row.2 - size);
    }
    for (frames, count, bytes) in &rows {
        assert_eq!((count, bytes), (&0, &0), "nobody says {frames:?}");
    }
    (told, missing)
}

#[test]
fn javascript_stacks_of_compiled_functions() {
    require_root!();
    require!(nodes::all_there());
    for version in nodes::VERSIONS {
        for (tier, flags, _) in TIERS.iter().filter(|tier| tier.2.contains(&version)) {
            let (report, truth) = traced(Command::new(nodes::path(version)), flags, &["warm"]);
            let (told, missing) = assert_dealt_out(&report, &truth);
            let codes = report.counter("javascript_codes");
            let stacks = report.rows().iter().filter_map(|row| row["stack"].as_array());
            let is_inlined = |frame: &&Value| frame["kind"] == "javascript" && frame["inlined"] == true;
            let inlined = stacks.flatten().filter(is_inlined).count();
            println!(
                "node {version}, {tier}: {codes} codes, {told} frames, {missing} of them without a line; {inlined} inlined"
            );
            assert!(codes > 20, "hardly anything was compiled");
            // Maglev of 12.4 compiles nothing into its callers.
            let inlines = *tier != "baseline" && (*tier != "Maglev" || version > 22);
            assert!(!inlines || inlined > 10, "hardly anything was inlined");
            // Code that was replaced, or thrown away, while it ran.
            assert!(missing * 20 <= told, "{missing} of {told}");
            assert_eq!(report.counter("javascript_codes_untold"), 0);
        }
    }
}

/// Starts the program with a loop that V8 compiles while it runs, and says what it does.
pub(crate) fn started_loop(node: &mut Command, flags: &[&str]) -> Program {
    println!("{node:?} {flags:?}");
    node.args(flags).args(["--trace-osr", "--trace-deopt"]);
    Program::ready(node.arg(programs::source(LOOP)))
}

/// Whether the loop runs in code that it was compiled to while it ran, as V8 says.
pub(crate) fn is_replaced(program: &Program) -> bool {
    let output = program.output();
    let of_loop = output.lines().filter(|line| line.contains(" loop"));
    let mut changes = of_loop.filter(|line| line.contains("[OSR - entry") || line.contains("[bailout"));
    changes.next_back().is_some_and(|line| line.contains("[OSR - entry"))
}

pub(crate) const LOOP: &str = "javascript_loop.js";

/// The loop is compiled from the interpreter's code, or from baseline code.
pub(crate) const BEFORE: [&[&str]; 2] = [&["--no-sparkplug"], &["--always-sparkplug"]];

#[test]
fn a_loop_that_is_compiled_while_it_runs_has_its_line() {
    require_root!();
    require!(nodes::all_there());
    for (version, flags) in nodes::VERSIONS
        .iter()
        .flat_map(|version| BEFORE.map(|flags| (version, flags)))
    {
        let mut program = started_loop(&mut Command::new(nodes::path(*version)), flags);
        let memtrace = Memtrace::attach(program.pid(), &["--every-call", "--ring-size", "32MiB"]);
        program.go();
        let line: u64 = program.expect("line ").parse().expect("a number");
        program.expect("hold");
        let report = memtrace.finish();
        assert!(is_replaced(&program), "it was not compiled while it ran");
        program.kill();
        let mut seen = BTreeMap::<u64, u64>::new();
        for row in report.rows().iter().filter(|row| row["op"] == "calloc") {
            let count = row["allocated"]["count"].as_u64().unwrap_or(0);
            for frame in frames(row).iter().filter(|frame| frame.0 == "loop") {
                *seen.entry(frame.2).or_default() += count;
            }
        }
        println!("node {version}: line {line}, seen {seen:?}");
        assert_eq!(line, line_of(LOOP, "calls"));
        assert!(seen.values().sum::<u64>() >= 3000, "{seen:?}");
        assert!(seen.keys().all(|&seen| seen == line || seen == 0), "{seen:?}");
        // Code that V8 has thrown away, or replaced by better code, while a call in it went on.
        assert!(seen.get(&0).is_none_or(|&without| without < 150), "{seen:?}");
    }
}

/// The line of a program's source that ends with a remark.
pub(crate) fn line_of(source: &str, remark: &str) -> u64 {
    let text = std::fs::read_to_string(programs::source(source)).expect("a source");
    let at = text.lines().position(|line| line.ends_with(&format!("// {remark}")));
    at.unwrap_or_else(|| panic!("no {remark} in {source}")) as u64 + 1
}

#[test]
fn modules_have_their_functions_and_lines() {
    const MODULE: &str = "javascript_module.mjs";
    const PART: &str = "javascript_part.mjs";
    require_root!();
    require!(nodes::all_there());
    let path = |source: &str| programs::source(source).display().to_string();
    let at = |name: &str, source: &str, remark: &str| {
        (
            name.to_owned(),
            format!("file://{}", path(source)),
            line_of(source, remark),
        )
    };
    for version in nodes::VERSIONS {
        let mut command = Command::new(nodes::path(version));
        let mut program = Program::ready(command.arg(programs::source(MODULE)));
        let memtrace = Memtrace::attach(program.pid(), &["--every-call"]);
        program.go();
        program.expect("hold");
        let report = memtrace.finish();
        program.kill();
        let stack_of = |bytes: u64| -> Frames {
            let row = report.rows().iter().find(|row| row["live"]["bytes"] == bytes);
            let all = frames(row.unwrap_or_else(|| panic!("nothing has {bytes} bytes")));
            all.into_iter().filter(|frame| frame.1.starts_with("file://")).collect()
        };
        let begin = "<anonymous:6:28>";
        let keep = at("keep", PART, "allocates");
        let first = [keep.clone(), at("add", PART, "passes on"), at(begin, MODULE, "asks")];
        assert_eq!(stack_of(150_007), first, "node {version}");
        assert_eq!(
            stack_of(150_009),
            [keep, at(begin, MODULE, "asks later")],
            "node {version}"
        );
    }
}
