//! What must not happen to a program whose inspector is asked for: programs that end, that have other plans with the signal, disks that are
//! full, users who want to stop.

use std::{
    fs,
    path::Path,
    process::{Command, ExitStatus},
};

use memtrace_tests::{Finished, Memtrace, Program, nodes, require, require_root, require_tool};
use rustix::process::Signal;
use tempfile::TempDir;

const SCRIPT: &str = "live_heap.js";

fn start(version: u32) -> Program {
    let mut program = nodes::start(version, &[], SCRIPT, &[]);
    nodes::ask(&mut program, "answer");
    program
}

fn command(program: &Program, verb: &str, more: &[&str]) -> Command {
    let pid = program.pid().to_string();
    Memtrace::command(["heap", verb, "--pid", &pid].iter().chain(more))
}

fn finished(program: &Program, verb: &str, more: &[&str]) -> Finished {
    Memtrace::finish_command(&mut command(program, verb, more))
}

/// It goes on, and nothing listens.
fn assert_unharmed(program: &mut Program) {
    nodes::ask(program, "answer");
    assert_eq!(nodes::listening(program), 0, "{}", program.errors());
}

/// It was not sent the signal.
fn assert_untouched(program: &mut Program) {
    assert_unharmed(program);
    assert!(!program.errors().contains("ebugger"), "{}", program.errors());
}

#[test]
fn a_program_with_a_handler_of_its_own_goes_on() {
    require_root!();
    require!(nodes::all_there());
    for version in nodes::VERSIONS {
        let mut program = nodes::start(version, &[], SCRIPT, &["handler"]);
        let found = finished(&program, "histogram", &["--yes"]);
        found.assert_refused(&["no inspector opened within 10 s", "process.on('SIGUSR1')"]);
        assert_untouched(&mut program);
        assert_eq!(program.output().matches("handled").count(), 1);
    }
}

#[test]
fn a_program_that_does_not_take_the_signal_is_not_sent_it() {
    require_root!();
    require!(nodes::all_there());
    for version in [22, 24] {
        let mut program = nodes::start(version, &["--disable-sigusr1"], SCRIPT, &[]);
        finished(&program, "histogram", &["--yes"]).assert_refused(&["blocks that signal", "--disable-sigusr1"]);
        assert_untouched(&mut program);
    }
}

#[test]
fn another_program_is_not_sent_the_signal() {
    require_root!();
    // By default it would end it; this one counts.
    let counts = "import signal, sys\ncount = 0\ndef handler(*_):\n    global count\n    count += 1\n\
                  signal.signal(signal.SIGUSR1, handler)\nprint('ready to go', flush=True)\nsys.stdin.readline()\nprint(f'signals {count}')";
    let mut counting = Program::ready(Command::new("python3").args(["-c", counts]));
    let mut sleeping = Program::spawn(Command::new("sleep").arg("600"));
    for program in [&counting, &sleeping] {
        finished(program, "histogram", &["--yes"]).assert_refused(&["is not node", "no signal was sent"]);
    }
    assert!(sleeping.is_alive());
    counting.go();
    let (status, output) = counting.wait();
    assert!(status.success() && output.contains("signals 0"), "{output}");
    for pid in ["4294967295", "1"] {
        let found = Memtrace::finished(["heap", "histogram", "--yes", "--pid", pid]);
        assert_eq!(found.status.code(), Some(2), "{found:?}");
    }
}

#[test]
fn nothing_is_done_to_a_program_when_it_cannot_succeed() {
    require_root!();
    require!(nodes::all_there());
    let mut program = start(24);
    finished(&program, "histogram", &[]).assert_refused(&["--yes", "nobody is there to be asked"]);
    finished(&program, "snapshot", &["--yes", "-o", "/proc/x.heapsnapshot"]).assert_refused(&["/proc/x.heapsnapshot"]);
    finished(&program, "sample", &["--interval", "0"]).assert_refused(&["--interval 0"]);
    program.signal(Signal::STOP);
    let stat = format!("/proc/{}/stat", program.pid());
    while !fs::read_to_string(&stat).expect("it is there").contains(") T ") {
        std::thread::yield_now();
    }
    finished(&program, "histogram", &["--yes"]).assert_refused(&["is stopped"]);
    program.signal(Signal::CONT);
    assert_untouched(&mut program);
    for options in [&["--inspect-port=0.0.0.0:9229"][..], &["--inspect-port=0.0.0.0"]] {
        let mut exposed = nodes::start(24, options, SCRIPT, &[]);
        finished(&exposed, "histogram", &["--yes"]).assert_refused(&["0.0.0.0:9229", "others can reach"]);
        assert_untouched(&mut exposed);
    }
    // It listens itself where its inspector would.
    let mut listens = nodes::start(24, &[], SCRIPT, &["listen"]);
    finished(&listens, "histogram", &["--yes"]).assert_refused(&["127.0.0.1:9229", "is no inspector"]);
    nodes::ask(&mut listens, "answer");
    assert!(!listens.errors().contains("ebugger"), "{}", listens.errors());
    // The system chooses a port.
    let mut chosen = nodes::start(24, &["--inspect-port=0"], SCRIPT, &[]);
    assert!(finished(&chosen, "histogram", &["--yes"]).status.success());
    assert_unharmed(&mut chosen);
}

#[test]
fn who_is_there_is_asked() {
    require_root!();
    require!(nodes::all_there());
    require_tool!("script");
    let mut program = start(22);
    let line = format!(
        "{} heap histogram --pid {}",
        Memtrace::binary().display(),
        program.pid()
    );
    for (answer, wanted, status) in [("y", " class", 0), ("n", "not wanted", 2), ("", "not wanted", 2)] {
        // On a terminal of its own, which hands on its status.
        let mut terminal = Program::spawn(Command::new("script").args(["-qec", &line, "/dev/null"]));
        terminal.expect_anywhere("more memory");
        terminal.expect_anywhere("take it? [y/N]");
        terminal.send(answer);
        let (found, output) = terminal.wait();
        assert!(
            found.code() == Some(status) && output.contains(wanted),
            "{found}: {output}"
        );
        assert_unharmed(&mut program);
    }
}

/// What is in a directory.
fn left(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("a directory").flatten();
    entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}

#[test]
fn a_program_that_ends_is_not_kept() {
    require_root!();
    require!(nodes::all_there());
    for version in nodes::VERSIONS {
        let mut program = start(version);
        let mut memtrace = Program::spawn(&mut command(&program, "sample", &["--duration", "1h"]));
        memtrace.expect_error("memtrace: sampling process");
        nodes::ask(&mut program, "leak 500");
        program.send("end");
        let (status, output) = memtrace.wait();
        assert!(status.success(), "{}", memtrace.errors());
        assert!(output.contains(" leak ("), "{output}");
        assert!(
            memtrace.errors().contains("has come to its end"),
            "{}",
            memtrace.errors()
        );
        assert_eq!(program.wait().0.code(), Some(7), "it ends as it would have");
    }
}

/// A snapshot of a heap that takes a while, from the moment on at which it is taken.
fn snapshotting(program: &mut Program, file: &Path) -> Program {
    nodes::ask(program, "grow 100000");
    let mut command = command(program, "snapshot", &["--yes", "-o"]);
    let memtrace = Program::spawn(command.arg(file));
    memtrace.expect_error("memtrace: process");
    memtrace
}

fn assert_failed(status: ExitStatus, memtrace: &mut Program, words: &str) {
    let errors = memtrace.errors();
    assert_eq!(status.code(), Some(2), "{errors}");
    assert!(errors.contains(words) && !errors.contains("panicked"), "{errors}");
}

#[test]
fn a_program_that_is_killed_in_the_middle_leaves_no_snapshot() {
    require_root!();
    require!(nodes::all_there());
    for version in [18, 24] {
        let here = TempDir::new().expect("a temporary directory");
        let mut program = start(version);
        let mut memtrace = snapshotting(&mut program, &here.path().join("a.heapsnapshot"));
        program.signal(Signal::KILL);
        let (status, _) = memtrace.wait();
        assert_failed(status, &mut memtrace, "has ended");
        assert_eq!(left(here.path()), [""; 0]);
    }
}

#[test]
fn a_user_who_stops_it_leaves_no_inspector_and_no_snapshot() {
    require_root!();
    require!(nodes::all_there());
    for version in nodes::VERSIONS {
        let here = TempDir::new().expect("a temporary directory");
        let mut program = start(version);
        let threads = nodes::threads(&program);
        let mut memtrace = snapshotting(&mut program, &here.path().join("a.heapsnapshot"));
        memtrace.signal(Signal::INT);
        let (status, _) = memtrace.wait();
        assert_failed(status, &mut memtrace, "stopped by a signal");
        assert_eq!(left(here.path()), [""; 0]);
        assert_unharmed(&mut program);
        assert_eq!(nodes::threads(&program), threads);
    }
}

#[test]
fn a_full_disk_leaves_no_inspector_and_no_snapshot() {
    require_root!();
    require!(nodes::all_there());
    let mut program = start(22);
    let threads = nodes::threads(&program);
    for (arguments, words) in [
        ("snapshot --yes -o \"$1/a.heapsnapshot\"", "a.heapsnapshot"),
        ("histogram --yes", "TMPDIR"),
    ] {
        let here = TempDir::new().expect("a temporary directory");
        let script = format!(
            "mount -t tmpfs -o size=1m tmpfs \"$1\" && TMPDIR=\"$1\" \"$0\" heap {arguments} --pid \"$2\"; status=$?; ls \"$1\" >&2; exit $status"
        );
        let found = Memtrace::finish_command(
            Command::new("unshare")
                .args(["--mount", "sh", "-c", &script])
                .arg(Memtrace::binary())
                .arg(here.path())
                .arg(program.pid().to_string()),
        );
        found.assert_refused(&["No space left on device", words]);
        assert!(
            !found.stderr.ends_with("a.heapsnapshot\n") && !found.stderr.contains(".part"),
            "{found:?}"
        );
        assert_unharmed(&mut program);
        assert_eq!(nodes::threads(&program), threads);
    }
}
