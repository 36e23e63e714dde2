//! Live bytes of each Python line, beside what the standard library's `tracemalloc` counts in the same program.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use memtrace_tests::{Memtrace, Program, programs, require_root, require_tool};
use rustix::process::Signal;
use serde_json::Value;

use super::python::interpreters;

/// Bytes and blocks by line.
type Lines = BTreeMap<u64, (u64, u64)>;

fn script() -> PathBuf {
    programs::source("python_sites.py")
}

fn program(interpreter: &Path, argument: Option<&str>) -> Program {
    let mut command = Command::new(interpreter);
    command.arg(script());
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

/// A line of annotated source: live bytes of blocks that are allocated there and how exactly these are printed, its number, its text.
fn annotated(row: &str) -> Option<((f64, f64), u64, &str)> {
    const COLUMN: usize = 11;
    let (numbers, rest) = row.split_at_checked(4 * COLUMN)?;
    let rest = rest.trim_start();
    let (number, text) = rest.split_once(' ').unwrap_or((rest, ""));
    let mut live = numbers.get(..COLUMN)?.split_whitespace();
    let bytes = match (live.next(), live.next()) {
        (Some(value), Some(unit)) => {
            let power = ["B", "KiB", "MiB"].iter().position(|name| *name == unit)?;
            let unit = 1024_f64.powi(i32::try_from(power).ok()?);
            // With one digit behind the point.
            (value.parse::<f64>().ok()? * unit, unit / 20.0)
        }
        _ => (0.0, 0.0),
    };
    Some((bytes, number.parse().ok()?, text))
}

#[test]
fn python_source_is_annotated_with_what_tracemalloc_counts() {
    require_root!();
    require_tool!("python3");
    let Some(interpreter) = interpreters().into_iter().next() else {
        panic!("there is a python3, but none of a version that is supported");
    };
    let said = said(&interpreter);
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("session").to_string_lossy().into_owned();
    let mut program = program(&interpreter, None);
    let pid = program.pid().to_string();
    let mut recording = Program::spawn(&mut Memtrace::command([
        "record",
        "--pid",
        &pid,
        "--every-call",
        "-o",
        &file,
    ]));
    recording.expect_error("attached to");
    program.go();
    program.expect("hold");
    recording.signal(Signal::INT);
    let (status, _) = recording.wait();
    assert!(status.success(), "{}", recording.errors());
    assert!(program.end().0.success());

    let shown = Memtrace::finished(["annotate", &file, "python_sites.py"]);
    assert!(shown.status.success(), "{shown:?}");
    let source = fs::read_to_string(script()).expect("the program's source");
    let source: Vec<&str> = source.lines().collect();
    let rows: BTreeMap<u64, ((f64, f64), &str)> = shown
        .stdout
        .lines()
        .filter_map(annotated)
        .map(|(bytes, line, text)| (line, (bytes, text)))
        .collect();
    assert!(said.len() > 8, "{said:?}");
    for (line, (bytes, _)) in said {
        let number = usize::try_from(line).expect("a line's number");
        let wanted = source[number - 1].trim();
        // What the called function takes for its variables before its first line; to tracemalloc it is the caller's.
        if wanted == "closures(kept[3])" {
            continue;
        }
        let ((live, half), text) = rows
            .get(&line)
            .unwrap_or_else(|| panic!("no line {line}: {}", shown.stdout));
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        let bytes = bytes as f64;
        assert!((live - bytes).abs() <= *half, "line {line}: {bytes} and {live}");
        // It is cut at the terminal's width.
        let text = text.trim().trim_end_matches('…');
        assert!(!text.is_empty() && wanted.starts_with(text), "line {line}: {text:?}");
    }
}
