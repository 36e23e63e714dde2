//! Censuses at the beginning and at the end of an observation: what grew, by type, as the program knows it.

use std::process::Command;

use memtrace_tests::{Memtrace, Program, Report, programs, pythons, require_root};
use serde_json::Value;

/// Objects that the function `grow` of the program keeps.
const KEPT: u64 = 40_000;

fn command(interpreter: &std::path::Path) -> Command {
    let mut command = Command::new(interpreter);
    command.arg(programs::workspace().join("tests/programs/python_pools.py"));
    command
}

#[test]
fn python_census_tells_what_grew_while_it_was_observed() {
    require_root!();
    for interpreter in pythons() {
        let what = interpreter.display();
        let mut program = Program::ready(&mut command(&interpreter));
        let memtrace = Memtrace::attach(program.pid(), &["--census"]);
        program.go();
        program.expect("hold");
        let report = memtrace.finish();
        let pid = program.pid();
        assert!(program.end().0.success());
        assert_grown(&report, pid, &what.to_string());
    }
}

/// One census of the program, which says how many objects it kept in the meantime.
pub(super) fn assert_grown(report: &Report, pid: u32, what: &str) {
    let all = report.profile["censuses"].as_array().expect("a list");
    assert_eq!(all.len(), 1, "{what}: {}", report.profile["health"]["notes"]);
    let census = &all[0];
    assert_eq!(census["pid"], pid, "{what}");
    let types: Vec<&Value> = census["types"].as_array().into_iter().flatten().collect();
    let orders = types
        .iter()
        .find(|row| row["name"] == "__main__.Order")
        .expect("the type");
    let count = |side: &str| orders[side]["count"].as_u64().expect("a number");
    assert_eq!(count("after") - count("before"), KEPT, "{what}: {orders}");
    assert!(census["after"]["complete"] == true, "{what}: {census}");
    let text = &report.stdout;
    assert!(
        text.contains("Order") && text.contains("Not told: where they were allocated"),
        "{what}: {text}"
    );
    report.assert_files();
}

#[test]
fn python_census_without_an_end_is_said_and_without_python_refused() {
    require_root!();
    let Some(interpreter) = pythons().pop() else { return };
    let mut program = Program::ready(&mut command(&interpreter));
    let memtrace = Memtrace::attach(program.pid(), &["--census"]);
    program.go();
    program.expect("hold");
    assert!(program.end().0.success());
    let report = memtrace.ended();
    let notes = report.profile["health"]["notes"].to_string();
    assert!(notes.contains("no census at the end"), "{notes}");
    assert_eq!(report.profile["censuses"].as_array().map(Vec::len), Some(0));

    let mut other = Program::spawn(Command::new("sleep").arg("60"));
    let pid = other.pid().to_string();
    let refused = Memtrace::finished(["attach", "--pid", &pid, "--census", "--duration", "1s"]);
    assert!(!refused.status.success());
    assert!(
        refused.stderr.contains("--census found no interpreter"),
        "{}",
        refused.stderr
    );
    let refused = Memtrace::finished(["run", "--census", "--", "true"]);
    assert!(
        !refused.status.success() && refused.stderr.contains("use attach"),
        "{}",
        refused.stderr
    );
    other.signal(rustix::process::Signal::TERM);
    other.wait();
}
