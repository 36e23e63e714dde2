//! What takes long says so on a terminal, and nowhere else.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

use memtrace_tests::{Memtrace, Program, require_root, require_tool};
use rustix::process::Signal;

/// A recording of a moment.
fn recording(directory: &Path) -> String {
    let path = directory.join("recording").display().to_string();
    let finished = Memtrace::finished(["record", "-o", &path, "--", "ls", "/"]);
    assert!(finished.status.success(), "{finished:?}");
    path
}

/// A folder with a `debuginfod-find` that takes its time and finds nothing.
fn slow_servers(directory: &Path) -> String {
    let path = directory.join("debuginfod-find");
    fs::write(&path, "#!/bin/sh\nsleep 2.5\nexit 1\n").expect("a file");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("permissions");
    // Nothing of this machine is found by its path, so that the servers are asked.
    format!("{}:/usr/bin:/bin", directory.display())
}

/// A program at work that is dumped slowly: one with much to be named is not at hand, so servers are asked for a recording.
fn report(recording: &str) -> Vec<String> {
    [
        Memtrace::binary().display().to_string().as_str(),
        "report",
        recording,
        "--debuginfod",
    ]
    .map(str::to_owned)
    .to_vec()
}

/// Runs it with a terminal for its errors, and a file for its output.
fn on_a_terminal(directory: &Path, arguments: &[String]) -> Command {
    let output = directory.join("output").display().to_string();
    let mut command = Command::new("script");
    let line = format!("{} > {output}", arguments.join(" "));
    command.args(["-q", "-e", "-c", &line, "/dev/null"]);
    command.env("TERM", "xterm").env("PATH", slow_servers(directory));
    command
}

/// What a terminal shows in the end: a line is what was written since it was last cleared.
fn shown(text: &str) -> String {
    let lines = text.split('\n').map(|line| {
        let since = line.rsplit("\u{1b}[2K").next().unwrap_or("");
        since.rsplit('\r').find(|part| !part.is_empty()).unwrap_or("")
    });
    lines
        .filter(|line| !line.trim().is_empty())
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn it_comes_after_a_second_and_goes_without_rest() {
    require_root!();
    require_tool!("script");
    let directory = tempfile::tempdir().expect("a temporary directory");
    let recording = recording(directory.path());
    let arguments = report(&recording);
    let finished = Memtrace::finish_command(&mut on_a_terminal(directory.path(), &arguments));
    assert!(finished.status.success(), "{finished:?}");
    assert!(finished.stdout.contains("asking debuginfod: "), "{:?}", finished.stdout);
    assert_eq!(shown(&finished.stdout), "", "{:?}", finished.stdout);
    let output = fs::read_to_string(directory.path().join("output")).expect("the report");
    assert!(
        output.contains("memtrace") && !output.contains('\u{1b}') && !output.contains("debuginfod: "),
        "{output}"
    );
}

#[test]
fn a_pipe_sees_nothing_of_it() {
    require_root!();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let recording = recording(directory.path());
    let mut command = Memtrace::command(["report", &recording, "--debuginfod"]);
    let finished = Memtrace::finish_command(command.env("PATH", slow_servers(directory.path())));
    assert!(finished.status.success(), "{finished:?}");
    assert_eq!(finished.stderr, "");
    assert!(!finished.stdout.contains("asking"), "{}", finished.stdout);
}

#[test]
fn it_goes_with_ctrl_c_too() {
    require_root!();
    require_tool!("script");
    let directory = tempfile::tempdir().expect("a temporary directory");
    let recording = recording(directory.path());
    let mut program = Program::spawn(&mut on_a_terminal(directory.path(), &report(&recording)));
    program.expect_anywhere("asking debuginfod: ");
    // The key of a terminal.
    program.send("\u{3}");
    let (status, output) = program.wait();
    assert_eq!(status.code(), Some(130), "{output:?}");
    assert_eq!(shown(&output).replace("^C", "").trim(), "", "{output:?}");
    program.signal(Signal::KILL);
}
