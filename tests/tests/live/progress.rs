//! What takes long says so on a terminal, and nowhere else.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command, thread, time::Duration};

use memtrace_tests::{Memtrace, Program, require_root, require_tool};
use rustix::process::Signal;

/// A recording of a moment.
fn recording(directory: &Path) -> String {
    let path = directory.join("recording").display().to_string();
    let finished = Memtrace::finished(["record", "-o", &path, "--", "ls", "/"]);
    assert!(finished.status.success(), "{finished:?}");
    path
}

/// The file that `debuginfod-find` waits for.
const GATE: &str = "gate";

/// A search path with a `debuginfod-find` before all others that finds nothing, and not before the gate is there (or a minute is over).
fn slow_servers(directory: &Path) -> String {
    let path = directory.join("debuginfod-find");
    let gate = directory.join(GATE).display().to_string();
    let script = format!(
        "#!/bin/sh\nturn=0\nwhile [ ! -e '{gate}' ] && [ $turn -lt 600 ]; do turn=$((turn + 1)); sleep 0.1; done\nexit 1\n"
    );
    fs::write(&path, script).expect("a file");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("permissions");
    format!("{}:/usr/bin:/bin", directory.display())
}

/// Lets the servers answer.
fn open_gate(directory: &Path) {
    fs::write(directory.join(GATE), "").expect("a file");
}

/// What asks servers for the names that a recording has not.
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
    let mut program = Program::spawn(&mut on_a_terminal(directory.path(), &arguments));
    program.expect_anywhere("asking debuginfod: ");
    open_gate(directory.path());
    let (status, terminal) = program.wait();
    assert!(status.success(), "{status}: {terminal:?}");
    // Nothing is drawn before a second is over.
    assert!(!terminal.contains(", 0 s"), "{terminal:?}");
    assert_eq!(shown(&terminal), "", "{terminal:?}");
    let output = fs::read_to_string(directory.path().join("output")).expect("the report");
    assert!(
        output.contains("sites with live bytes") && !output.contains('\u{1b}') && !output.contains("debuginfod: "),
        "{output}"
    );
}

#[test]
fn a_pipe_sees_nothing_of_it() {
    require_root!();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let recording = recording(directory.path());
    let mut command = Memtrace::command(["report", &recording, "--debuginfod"]);
    let mut program = Program::spawn(command.env("PATH", slow_servers(directory.path())));
    // Long enough for a terminal to be told.
    thread::sleep(Duration::from_millis(2500));
    assert!(program.status().is_none(), "it waits for the servers");
    open_gate(directory.path());
    let (status, output) = program.wait();
    assert!(status.success(), "{status}: {output}");
    assert_eq!(program.errors(), "");
    assert!(!output.contains("asking"), "{output}");
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
    program.press(3);
    let (status, output) = program.wait();
    assert_eq!(status.code(), Some(130), "{output:?}");
    assert_eq!(shown(&output).replace("^C", "").trim(), "", "{output:?}");
    program.signal(Signal::KILL);
}
