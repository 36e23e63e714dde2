//! What is seen of a Python program where nobody says what is to be: not every call, and the report says so.

use std::process::Command;

use memtrace_tests::{Memtrace, Program, Report, programs, require_root, require_tool};

/// What every such report must name.
const FLAG: &str = "--every-call";

fn program() -> Program {
    let script = programs::workspace().join("tests/programs/python_sites.py");
    Program::ready(Command::new("python3").arg(script))
}

/// A report of the program at work, attached to with these flags.
fn attached(options: &[&str]) -> Report {
    let mut program = program();
    let memtrace = Memtrace::attach(program.pid(), options);
    program.go();
    program.expect("hold");
    let report = memtrace.finish();
    assert!(program.end().0.success());
    report
}

/// Whether a note of the report says that this is less than every call.
fn says_so(report: &Report) -> bool {
    let notes = report.profile["health"]["notes"].to_string();
    notes.contains(FLAG) && report.stdout.contains(FLAG)
}

#[test]
fn python_is_looked_at_within_a_budget_by_default() {
    require_root!();
    require_tool!("python3");
    let report = attached(&[]);
    let health = &report.profile["health"];
    assert_eq!(health["budget"]["limit"], 0.05);
    assert!(says_so(&report), "{health}");
    assert!(health["exact"] == false && health["sampling"].is_object(), "{health}");
    report.assert_files();
}

#[test]
fn python_is_sampled_where_probes_cannot_come_and_go() {
    require_root!();
    require_tool!("python3");
    let report = attached(&["--single-links"]);
    let health = &report.profile["health"];
    assert!(health["budget"].is_null() && says_so(&report), "{health}");
    assert_eq!(health["sampling"]["interval_bytes"], 512 << 10);
}

#[test]
fn python_is_seen_as_the_user_says() {
    require_root!();
    require_tool!("python3");
    for options in [
        &["--every-call"][..],
        &["--every-event"],
        &["--fail-over", "1GiB"],
        &["--sample", "64KiB"],
        &["--budget", "20%"],
    ] {
        let report = attached(options);
        let health = &report.profile["health"];
        let asked = |flag: &str| options[0] == flag;
        assert!(!says_so(&report), "{options:?}: {health}");
        assert_eq!(health["budget"].is_object(), asked("--budget"), "{options:?}");
        let sampled = asked("--budget") || asked("--sample");
        assert_eq!(health["sampling"].is_object(), sampled, "{options:?}: {health}");
    }
}

#[test]
fn python_that_memtrace_starts_is_seen_whole() {
    require_root!();
    require_tool!("python3");
    let mut command = Command::new("python3");
    let report = Memtrace::run(
        &[],
        command.args(["-c", "print(len([bytes(1000) for _ in range(100)]))"]),
    )
    .ended();
    let health = &report.profile["health"];
    assert!(health["budget"].is_null() && health["sampling"].is_null(), "{health}");
    assert!(!says_so(&report), "{health}");
}
