//! Live bytes of each Python line, beside what the standard library's `tracemalloc` counts in the same program.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    process::Command,
};

use memtrace_tests::{Memtrace, Program, programs, require_root, require_tool};
use serde_json::Value;

use super::python::interpreters;

/// Bytes and blocks by line.
type Lines = BTreeMap<u64, (u64, u64)>;

fn program(interpreter: &Path, argument: Option<&str>) -> Program {
    let mut command = Command::new(interpreter);
    command.arg(programs::workspace().join("tests/programs/python_sites.py"));
    command.args(argument);
    // Each object is a block of the C library's. Which strings share a place in a table does not change from run to run.
    command.env("PYTHONMALLOC", "malloc").env("PYTHONHASHSEED", "0");
    Program::ready(&mut command)
}

/// What the program says of itself.
fn said(interpreter: &Path) -> Lines {
    let mut program = program(interpreter, Some("tracemalloc"));
    program.go();
    let line = program.expect("lines ");
    program.expect("hold");
    let (status, _) = program.end();
    assert!(status.success(), "{status}");
    let lines: BTreeMap<String, (u64, u64)> =
        serde_json::from_str(line.trim_start_matches("lines ")).expect("the program prints JSON");
    let number = |(line, sums): (String, _)| (line.parse().expect("a line's number"), sums);
    lines.into_iter().map(number).collect()
}

/// What the report says, by the innermost Python frame.
fn reported(interpreter: &Path) -> Lines {
    let mut program = program(interpreter, None);
    let memtrace = Memtrace::attach(program.pid(), &["--every-call"]);
    program.go();
    program.expect("hold");
    let report = memtrace.finish();
    let (status, _) = program.end();
    assert!(status.success(), "{status}");
    let mut lines = Lines::new();
    for row in report.rows() {
        let mut frames = row["stack"].as_array().into_iter().flatten();
        // A function that still prepares its variables has no line yet; to tracemalloc it is not there.
        let begun = |frame: &&Value| frame["kind"] == "python" && frame["line"].is_u64();
        let Some(frame) = frames.find(begun).filter(|frame| is_own(frame)) else {
            continue;
        };
        let number = |name: &str| row["live"][name].as_u64().expect("a number");
        if number("count") > 0 {
            let sums = lines.entry(frame["line"].as_u64().expect("a line")).or_default();
            sums.0 += number("bytes");
            sums.1 += number("count");
        }
    }
    lines
}

/// Whether it is of what the program says, which is not of how it says it.
fn is_own(frame: &Value) -> bool {
    let ends = |name: &str, end: &str| frame[name].as_str().is_some_and(|text| text.ends_with(end));
    ends("file", "/python_sites.py") && !ends("function", "main") && !ends("function", "said")
}

#[test]
fn python_lines_have_the_bytes_that_tracemalloc_counts() {
    require_root!();
    require_tool!("python3");
    let all = interpreters();
    assert!(
        !all.is_empty(),
        "there is a python3, but none of a version that is supported"
    );
    for interpreter in all {
        let (said, reported) = (said(&interpreter), reported(&interpreter));
        println!("{}: {} lines", interpreter.display(), said.len());
        assert!(said.len() > 8, "{said:?}");
        let lines: BTreeSet<_> = said.keys().chain(reported.keys()).collect();
        let differ: Vec<_> = lines
            .into_iter()
            .filter(|line| said.get(line) != reported.get(line))
            .map(|line| (line, said.get(line), reported.get(line)))
            .collect();
        assert!(
            differ.is_empty(),
            "{}: line, said, reported: {differ:?}",
            interpreter.display()
        );
    }
}
