//! Reports and messages that cannot be written, or that nobody takes.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    process::{Command, Stdio},
    time::Duration,
};

use memtrace_tests::{Finished, Memtrace, PATIENCE, Program, kernel, programs, require_root, wait_until};

#[test]
fn a_new_output_directory_is_made() {
    require_root!();
    let program = Program::start("life", &["plain"]);
    let directory = tempfile::tempdir().expect("a temporary directory");
    let new = directory.path().join("new");
    let finished = Memtrace::tried(&program.pid().to_string(), &["-o", &new.to_string_lossy()]);
    assert!(finished.status.success(), "{finished:?}");
    assert!(new.join("profile.json").is_file());
}

#[test]
fn an_output_directory_that_cannot_be() {
    require_root!();
    let mut program = Program::start("life", &["plain"]);
    let pid = program.pid().to_string();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("file");
    fs::write(&file, "").expect("a file");
    let missing = directory.path().join("missing/inner");
    for path in [&file, &missing] {
        Memtrace::tried(&pid, &["-o", &path.to_string_lossy()]).assert_refused(&[&path.to_string_lossy()]);
    }
    assert!(program.is_alive());
}

/// Attaches with `-o` in a file system of its own, mounted with these options in a mount namespace of its own,
/// which is gone with the tool.
fn attach_on_mount(pid: u32, options: &str) -> Finished {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let script = "mount -t tmpfs -o \"$1\" tmpfs \"$2\" && exec \"$0\" attach --duration 500ms --pid \"$3\" -o \"$2\"";
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", script]).arg(Memtrace::binary());
    command.arg(options).arg(directory.path()).arg(pid.to_string());
    Memtrace::finish_command(&mut command)
}

#[test]
fn a_read_only_output_directory() {
    require_root!();
    let mut program = Program::start("life", &["plain"]);
    let finished = attach_on_mount(program.pid(), "ro");
    finished.assert_refused(&["read-only"]);
    assert!(program.is_alive());
}

#[test]
fn a_full_disk() {
    require_root!();
    let mut program = Program::start("life", &["churn"]);
    program.go();
    program.expect("working");
    let finished = attach_on_mount(program.pid(), "size=8k");
    println!("{}: {}", finished.status, finished.stderr);
    assert_eq!(finished.status.code(), Some(2), "{finished:?}");
    finished.assert_says(&["no space"]);
    assert!(
        finished.stdout.contains(&program.pid().to_string()) && finished.stdout.to_lowercase().contains("health"),
        "the summary is not lost: {finished:?}"
    );
    assert_eq!(
        kernel::patched(program.pid()).expect("the code can be read"),
        Vec::<String>::new()
    );
    program.send("stop");
    program.truth();
    assert!(program.end().0.success());
}

#[test]
fn a_closed_pipe_is_no_error() {
    require_root!();
    let mut program = Program::start("life", &["plain"]);
    program.go();
    program.truth();
    let script = "set -o pipefail; \"$0\" attach --duration 300ms --pid \"$1\" | head -c 1";
    let mut command = Command::new("bash");
    command
        .args(["-c", script])
        .arg(Memtrace::binary())
        .arg(program.pid().to_string());
    let finished = Memtrace::finish_command(&mut command);
    assert!(finished.status.success(), "{finished:?}");
    finished.assert_says(&[]);
    let mut command = Command::new("sh");
    command
        .args(["-c", "\"$0\" attach --duration 300ms --pid \"$1\" >&-"])
        .arg(Memtrace::binary());
    let finished = Memtrace::finish_command(command.arg(program.pid().to_string()));
    println!("no stdout at all: {}", finished.status);
    finished.assert_says(&[]);
    assert!(program.is_alive());
}

#[test]
fn messages_that_nobody_reads_are_no_error() {
    require_root!();
    let mut program = Program::start("life", &["plain"]);
    program.go();
    program.truth();
    for nowhere in ["2>/dev/full", "2> >(true)"] {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let mut command = Command::new("bash");
        command
            .args([
                "-c",
                &format!("\"$0\" attach --duration 300ms --pid \"$1\" -o \"$2\" {nowhere}"),
            ])
            .arg(Memtrace::binary())
            .arg(program.pid().to_string())
            .arg(directory.path());
        let finished = Memtrace::finish_command(&mut command);
        println!("{nowhere}: {}", finished.status);
        assert!(finished.status.success(), "{finished:?}");
        assert!(directory.path().join("profile.json").is_file(), "{nowhere}");
    }
    assert!(program.is_alive());
}

#[test]
fn names_in_messages_are_escaped() {
    require_root!();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let hostile = directory.path().join("a\u{1b}[2Jb");
    fs::copy(programs::path("matrix-musl-stripped"), &hostile).expect("a copy of a program");
    let mut program = Program::ready(Command::new(&hostile).args(["1", "1"]));
    let finished = Memtrace::tried(&program.pid().to_string(), &[]);
    finished.assert_refused(&["static"]);
    assert!(!finished.stderr.contains('\u{1b}'), "{finished:?}");
    assert!(program.is_alive());
}

#[test]
fn output_that_cannot_be_written_is_an_error() {
    require_root!();
    let program = Program::start("life", &["plain"]);
    let mut command = Command::new("sh");
    command
        .args(["-c", "\"$0\" attach --duration 300ms --pid \"$1\" >/dev/full"])
        .arg(Memtrace::binary());
    let finished = Memtrace::finish_command(command.arg(program.pid().to_string()));
    println!("{}: {}", finished.status, finished.stderr);
    assert_eq!(finished.status.code(), Some(2), "{finished:?}");
    finished.assert_says(&["no space"]);
}

#[test]
fn a_stopped_terminal_keeps_no_probes_on() {
    require_root!();
    let mut program = Program::start("life", &["churn"]);
    program.go();
    program.expect("working");
    let line = format!(
        "exec {} attach --interval 100ms --top 1000 --pid {} 2>/dev/null",
        Memtrace::binary().display(),
        program.pid()
    );
    let mut terminal = Command::new("script")
        .args(["-qec", &line, "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("script starts");
    let patched = |pid| !kernel::patched(pid).expect("the code can be read").is_empty();
    wait_until(PATIENCE, || patched(program.pid()).then_some(())).expect("probes");
    // Ctrl-S: what writes to the terminal waits.
    let mut keys = terminal.stdin.take().expect("the input is piped");
    keys.write_all(b"\x13").expect("script reads");
    std::thread::sleep(Duration::from_secs(1));
    let children = format!("/proc/{0}/task/{0}/children", terminal.id());
    let memtrace = fs::read_to_string(children).expect("the children of script");
    let memtrace: i32 = memtrace.trim().parse().expect("one child");
    let memtrace = rustix::process::Pid::from_raw(memtrace).expect("a pid");
    let interrupt = || rustix::process::kill_process(memtrace, rustix::process::Signal::INT);
    interrupt().expect("memtrace runs");
    let off = wait_until(Duration::from_secs(10), || (!patched(program.pid())).then_some(()));
    // Another gives up what cannot be shown.
    let exe = format!("/proc/{}/exe", memtrace.as_raw_nonzero());
    let ended = wait_until(Duration::from_secs(10), || {
        let _gone = interrupt();
        std::thread::sleep(Duration::from_millis(200));
        fs::read_link(&exe).is_err().then_some(())
    });
    drop(keys);
    let _gone = rustix::process::kill_process(memtrace, rustix::process::Signal::KILL);
    terminal.wait().expect("script ends");
    assert!(off.is_some(), "the probes are taken off at once");
    assert!(ended.is_some(), "and the report can be given up");
    program.send("stop");
    program.truth();
}

#[test]
fn a_report_that_nobody_takes_can_be_given_up() {
    require_root!();
    let mut program = Program::start("life", &["plain"]);
    let (reader, mut full) = std::io::pipe().expect("a pipe");
    // As much as a pipe holds (pipe(7)): nothing more can be written until somebody reads.
    full.write_all(&vec![b'x'; 1 << 16]).expect("room in a new pipe");
    let mut command = Memtrace::command(["attach", "--pid", &program.pid().to_string()]);
    let mut memtrace = command
        .stdin(Stdio::null())
        .stdout(full)
        .stderr(Stdio::piped())
        .spawn()
        .expect("memtrace starts");
    let mut errors = BufReader::new(memtrace.stderr.take().expect("the errors are piped"));
    let mut line = String::new();
    errors.read_line(&mut line).expect("a line of errors");
    assert!(line.contains("attached to"), "{line}");
    let pid = rustix::process::Pid::from_child(&memtrace);
    let status = wait_until(PATIENCE, || {
        // The first ends the observation, another the wait for the report.
        rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("a child can be signalled");
        std::thread::sleep(Duration::from_millis(500));
        memtrace.try_wait().expect("a child can be waited for")
    });
    if status.is_none() {
        memtrace.kill().expect("a child can be killed");
        memtrace.wait().expect("a child can be waited for");
    }
    drop(reader);
    assert_eq!(
        status.and_then(|status| status.code()),
        Some(2),
        "given up, and said so"
    );
    assert!(program.is_alive());
}
