//! What reports and recordings show of Python frames.

use std::process::Command;

use memtrace_tests::{Memtrace, Program, Report, require_root, require_tool};
use rustix::process::Signal;
use serde_json::Value;

use super::python::{Frames, assert_equal, interpreters, python_frames, rows, script, truth};

/// A report of the program, and what it has printed.
fn traced(options: &[&str]) -> Option<(Report, String)> {
    let interpreter = interpreters().into_iter().next()?;
    let mut program = Program::ready(Command::new(interpreter).arg(script()));
    let memtrace = Memtrace::attach(program.pid(), &[&["--every-call"], options].concat());
    program.go();
    program.expect("hold");
    let report = memtrace.finish();
    let (status, output) = program.end();
    assert!(status.success(), "{status}");
    Some((report, output))
}

fn frames(row: &Value) -> impl Iterator<Item = &Value> {
    row["stack"].as_array().into_iter().flatten()
}

fn is_python(row: &Value) -> bool {
    frames(row).any(|frame| frame["kind"] == "python")
}

fn function(frame: &Value) -> &str {
    frame["function"].as_str().unwrap_or_default()
}

#[test]
fn python_reports_leave_out_by_what_the_interpreter_calls_itself() {
    require_root!();
    require_tool!("python3");
    let Some((report, output)) = traced(&[]) else { return };
    assert_equal(&report.profile, &truth(&output));
    let mut seen = 0;
    for row in report.rows().iter().filter(|row| is_python(row)) {
        seen += 1;
        let names: Vec<&str> = frames(row).map(function).collect();
        let mut names = names.iter();
        assert!(!names.clone().any(|name| name.starts_with("_PyEval_")), "{row}");
        assert!(
            names.any(|name| *name == "main" || name.contains("clone")),
            "the root stays: {row}"
        );
    }
    assert!(seen > 50, "{seen} rows");
    report.assert_files();
}

#[test]
fn python_frames_alone_and_native_frames_alone() {
    require_root!();
    require_tool!("python3");
    let Some((report, output)) = traced(&["--python-only"]) else {
        return;
    };
    let shown: Vec<Frames> = report.rows().iter().map(python_frames).collect();
    for (size, wanted) in truth(&output) {
        assert!(shown.contains(&wanted), "{size} bytes: {wanted:?}");
    }
    for row in report.rows() {
        let alone = frames(row).all(|frame| frame["kind"] == "python");
        assert!(
            alone || frames(row).all(|frame| function(frame) == "(no Python)"),
            "{row}"
        );
    }
    assert!(report.stdout.contains("Python frames only"), "{}", report.stdout);
    report.assert_files();

    let Some((report, _)) = traced(&["--native-only"]) else {
        return;
    };
    assert!(!report.rows().iter().any(is_python));
    let evaluated = |row: &&Value| frames(row).any(|frame| function(frame) == "_PyEval_EvalFrameDefault");
    assert!(report.rows().iter().filter(evaluated).count() > 50);
    assert!(report.stdout.contains("native frames only"), "{}", report.stdout);
}

#[test]
fn python_frames_are_in_recordings_with_their_names() {
    require_root!();
    require_tool!("python3");
    let Some(interpreter) = interpreters().into_iter().next() else {
        return;
    };
    for options in [&["--every-call"], &["--events"]] {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let file = directory.path().join("session");
        let mut program = Program::ready(Command::new(&interpreter).arg(script()));
        let mut command = Memtrace::command(["record", "--pid", &program.pid().to_string(), "-o"]);
        command.arg(&file).args(options);
        let mut recording = Program::spawn(&mut command);
        recording.expect_error("attached to");
        program.go();
        program.expect("hold");
        recording.signal(Signal::INT);
        let (status, _) = recording.wait();
        assert!(status.success(), "{}", recording.errors());
        let (_, output) = program.end();
        let out = directory.path().join("out");
        let finished = Memtrace::finished(["report", &file.to_string_lossy(), "-o", &out.to_string_lossy()]);
        assert!(finished.status.success(), "{finished:?}");
        let text = std::fs::read_to_string(out.join("profile.json")).expect("a profile");
        let profile: Value = serde_json::from_str(&text).expect("the profile is JSON");
        assert_equal(&profile, &truth(&output));
        assert!(rows(&profile).any(is_python));
    }
}

#[test]
fn python_stacks_on_kernels_without_the_newer_loop() {
    require_root!();
    require_tool!("python3");
    let Some((report, output)) = traced(&["--old-loop"]) else {
        return;
    };
    assert_equal(&report.profile, &truth(&output));
}
