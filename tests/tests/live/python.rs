//! Python frames: interpreters of several versions say by `traceback` where they allocate, and reports say the same, line by line.

#![expect(clippy::print_stdout, reason = "a test prints what it compared")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use memtrace_tests::{Memtrace, Program, Report, programs, require_root, require_tool};
use serde_json::Value;

/// Python frames, with the marks between them, that a stack has at most.
const MOST: usize = 128;

/// Minor versions that are supported.
const SUPPORTED: std::ops::RangeInclusive<u32> = 8..=14;

/// A stack as the program says it: function, file, line.
pub(crate) type Frames = Vec<(String, String, u64)>;

/// Debian's interpreters, and those of pyenv.
pub(crate) fn interpreters() -> Vec<PathBuf> {
    let home = std::env::var_os("HOME").map_or_else(|| PathBuf::from("/root"), PathBuf::from);
    let mut folders = vec![PathBuf::from("/usr/bin")];
    for version in fs::read_dir(home.join(".pyenv/versions"))
        .into_iter()
        .flatten()
        .flatten()
    {
        folders.push(version.path().join("bin"));
    }
    let found = folders
        .iter()
        .flat_map(|folder| SUPPORTED.map(move |minor| folder.join(format!("python3.{minor}"))));
    found.filter(|path| path.exists()).collect()
}

/// What an interpreter prints of an expression; `None` when it fails.
pub(crate) fn evaluated(interpreter: &Path, expression: &str) -> Option<String> {
    let output = Command::new(interpreter).args(["-c", expression]).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    output.status.success().then_some(text)
}

/// The folder of an interpreter's headers, when they are here.
pub(crate) fn headers(interpreter: &Path) -> Option<String> {
    let folder = evaluated(interpreter, "import sysconfig; print(sysconfig.get_paths()['include'])");
    folder.filter(|folder| Path::new(folder).join("Python.h").exists())
}

pub(crate) fn script() -> PathBuf {
    programs::workspace().join("tests/programs/python_stacks.py")
}

/// What the lines `stacks` say, by size.
pub(crate) fn truth(output: &str) -> BTreeMap<u64, Frames> {
    let lines = output.lines().filter_map(|line| line.strip_prefix("stacks "));
    let mut all = BTreeMap::new();
    for line in lines {
        let stacks: Vec<(u64, Frames)> = serde_json::from_str(line).expect("the program prints JSON");
        for (size, frames) in stacks {
            assert!(all.insert(size, frames).is_none(), "size {size} occurs twice");
        }
    }
    all
}

/// The Python frames of a row, innermost first.
pub(crate) fn python_frames(row: &Value) -> Frames {
    let frames = row["stack"].as_array().into_iter().flatten();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let frame = |frame: &Value| {
        let line = frame["line"].as_u64().unwrap_or(0);
        (text(&frame["function"]), text(&frame["file"]), line)
    };
    frames.filter(|frame| frame["kind"] == "python").map(frame).collect()
}

/// The rows of a profile.
pub(crate) fn rows(profile: &Value) -> impl Iterator<Item = &Value> {
    profile["sites"].as_array().into_iter().flatten()
}

/// The least size that the program uses, in bytes: what the interpreter allocates for itself in the same lines is smaller.
const LEAST: u64 = 100_000;

/// Blocks and bytes by Python frames, as the report has them. Lists that grow in the same lines are reallocated.
fn reported(profile: &Value) -> BTreeMap<Frames, (u64, u64)> {
    let mut all = BTreeMap::new();
    for row in rows(profile).filter(|row| row["op"] == "malloc") {
        let of = |what: &str| row["allocated"][what].as_u64().unwrap_or(0);
        let (count, bytes) = (of("count"), of("bytes"));
        if bytes >= count * LEAST {
            let sums: &mut (u64, u64) = all.entry(python_frames(row)).or_default();
            sums.0 += count;
            sums.1 += bytes;
        }
    }
    all
}

/// Asserts that the report has the stacks of the program, each as it says, with the blocks that it says.
pub(crate) fn assert_equal(profile: &Value, truth: &BTreeMap<u64, Frames>) {
    let mut wanted = BTreeMap::<&Frames, (u64, u64)>::new();
    for (size, frames) in truth {
        let sums = wanted.entry(frames).or_default();
        sums.0 += 1;
        sums.1 += size;
    }
    let found = reported(profile);
    let wrong: Vec<_> = wanted
        .iter()
        .filter(|(frames, sums)| found.get(**frames) != Some(sums))
        .collect();
    for (frames, sums) in &wrong {
        let near = found.iter().find(|(_, found)| found == sums).map(|(frames, _)| frames);
        println!(
            "{sums:?} said  {frames:?}\n  found {:?} there, the same sums at {near:?}",
            found.get(**frames)
        );
    }
    println!(
        "{} stacks of {} blocks compared, {} differ",
        wanted.len(),
        truth.len(),
        wrong.len()
    );
    println!("notes: {}", profile["health"]["notes"]);
    assert!(wrong.is_empty(), "stacks differ");
}

/// Asserts that a report has what `traceback` says in a program, which ends well and says at least so many stacks.
pub(crate) fn assert_as_said(report: &Report, program: Program, least: usize) {
    let (status, output) = program.end();
    assert!(status.success(), "{status}");
    let truth = truth(&output);
    assert!(truth.len() >= least, "{} stacks", truth.len());
    assert_equal(&report.profile, &truth);
    assert_eq!(
        report.counter("python_foreign") + report.counter("python_unreadable"),
        0
    );
}

/// Runs the program in an interpreter, and compares.
fn compare(interpreter: &Path, arguments: &[&str], options: &[&str], least: usize) {
    println!("{}", interpreter.display());
    let mut command = Command::new(interpreter);
    command.arg("-I").arg(script()).args(arguments);
    let mut program = Program::ready(&mut command);
    let options = [
        &["--every-call", "--ring-size", "32MiB", "--interpreter-frames"],
        options,
    ]
    .concat();
    let memtrace = Memtrace::attach(program.pid(), &options);
    program.go();
    program.expect("hold");
    let report = memtrace.finish();
    assert_as_said(&report, program, least);
    assert_merged(&report, interpreter);
    report.assert_files();
}

/// Asserts that each Python frame is where it is executed: behind a run of Python frames comes a call of the evaluator.
fn assert_merged(report: &Report, interpreter: &Path) {
    for row in report.rows() {
        assert_executed(&row["stack"], interpreter);
    }
}

/// The same for a stack.
pub(crate) fn assert_executed(stack: &Value, interpreter: &Path) {
    let frames = stack.as_array().into_iter().flatten();
    // What is inlined into the evaluator shares its address.
    let physical = frames.filter(|frame| frame["inlined"] == false);
    let frames: Vec<(&str, bool)> = physical
        .map(|frame| {
            (
                frame["function"].as_str().unwrap_or_default(),
                frame["kind"] == "python",
            )
        })
        .collect();
    for pair in frames.windows(2) {
        let [(inner, true), (outer, is_python)] = pair else {
            continue;
        };
        assert!(
            *is_python || outer.contains("_PyEval_EvalFrameDefault"),
            "{}: {inner} called by {outer}",
            interpreter.display()
        );
    }
}

#[test]
fn python_stacks_equal_traceback_line_by_line() {
    require_root!();
    require_tool!("python3");
    for interpreter in interpreters() {
        compare(&interpreter, &[], &[], 80);
    }
}

#[test]
fn python_stacks_of_forked_and_started_children() {
    require_root!();
    require_tool!("python3");
    // Children are seen from their first call on, which all programs of the machine pay for: two interpreters are enough.
    for interpreter in interpreters()
        .iter()
        .take(1)
        .chain(interpreters().iter().filter(|path| path.ends_with("python3.8")))
    {
        compare(interpreter, &["children"], &["--machine-wide"], 84);
    }
}

#[test]
fn python_stacks_have_their_innermost_frames_where_there_are_too_many() {
    require_root!();
    require_tool!("python3");
    let Some(interpreter) = interpreters().pop() else {
        return;
    };
    let mut program = Program::ready(Command::new(&interpreter).arg(script()).arg("deepest"));
    let memtrace = Memtrace::attach(program.pid(), &["--every-call"]);
    program.go();
    program.expect("hold");
    let report = memtrace.finish();
    let (status, output) = program.end();
    assert!(status.success(), "{status}");
    let truth = truth(&output);
    let (deepest, others): (BTreeMap<_, _>, _) = truth.into_iter().partition(|(_, frames)| frames.len() > 300);
    assert_equal(&report.profile, &others);
    assert_eq!(deepest.len(), 2);
    for (size, wanted) in deepest {
        let is_it = |row: &&Value| row["allocated"]["bytes"] == size && row["allocated"]["count"] == 1;
        let rows: Vec<_> = report.rows().iter().filter(is_it).collect();
        assert_eq!(rows.len(), 1, "{size} bytes");
        let found = python_frames(rows[0]);
        assert_eq!(found, wanted[..MOST], "{size} bytes");
    }
    assert!(report.counter("python_deep") >= 2);
    assert!(report.health("stacks.broken") + report.health("stacks.deep") > 0);
}

#[test]
fn python_stacks_of_a_program_from_its_beginning() {
    require_root!();
    require_tool!("python3");
    for interpreter in interpreters() {
        println!("{}", interpreter.display());
        let mut command = Command::new(&interpreter);
        command.arg(script());
        let mut memtrace = Memtrace::run(&[], &mut command);
        let program = memtrace.process();
        program.expect("ready");
        program.go();
        program.expect("hold");
        program.close();
        let output = program.output();
        let report = memtrace.ended();
        assert!(
            Path::new(&script()).exists() && report.status.success(),
            "{}",
            report.stderr
        );
        assert_equal(&report.profile, &truth(&output));
    }
}
