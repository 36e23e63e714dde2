//! Pools that Python's allocator takes, by call stack: as many as the interpreter says, and under the function that grows.

use std::{path::Path, process::Command};

use memtrace_tests::{Memtrace, Program, Report, programs, pythons, require_root};
use serde_json::Value;

/// Pools that may come and go while the program asks how many there are.
const ASKING: u64 = 2;

fn start(interpreter: &Path) -> Program {
    let script = programs::workspace().join("tests/programs/python_pools.py");
    Program::ready(Command::new(interpreter).arg(script))
}

/// Whether an interpreter takes pools in a function that does more than that: 3.8.
fn has_no_place(interpreter: &Path) -> bool {
    interpreter.to_string_lossy().contains("/3.8.")
}

/// A report of the program, and by how many pools its functions `grow` and `churn` made its heap grow, as the interpreter says.
fn observed(interpreter: &Path, options: &[&str]) -> (Report, [u64; 2]) {
    let mut program = start(interpreter);
    let memtrace = Memtrace::attach(program.pid(), options);
    program.go();
    let said = program.expect("pools ");
    program.expect("hold");
    let report = memtrace.finish();
    assert!(program.end().0.success());
    let said: Value = serde_json::from_str(said.trim_start_matches("pools ")).expect("the program prints JSON");
    let grown = ["grow", "churn"].map(|name| said[name].as_u64().expect("a number"));
    (report, grown)
}

/// Pools under a function of the program: how many there are, how many were ever taken, and the bytes of those that there are.
fn under(report: &Report, function: &str) -> [u64; 3] {
    let rows = report.rows().iter().filter(|row| row["class"] == "pools");
    let below = rows.filter(|row| {
        let mut frames = row["stack"].as_array().into_iter().flatten();
        frames.any(|frame| frame["kind"] == "python" && frame["function"].as_str().is_some_and(|name| name == function))
    });
    below.fold([0; 3], |sums, row| {
        let number = |of: &str, what: &str| row[of][what].as_u64().expect("a number in a site");
        [
            sums[0] + number("live", "count"),
            sums[1] + number("allocated", "count"),
            sums[2] + number("live", "bytes"),
        ]
    })
}

#[test]
fn python_pools_are_as_many_as_the_interpreter_says() {
    require_root!();
    let mut seen = 0;
    for interpreter in pythons() {
        let (report, [grown, churned]) = observed(&interpreter, &[]);
        let what = interpreter.display();
        let notes = report.profile["health"]["notes"].to_string();
        if has_no_place(&interpreter) {
            assert_eq!(under(&report, "main"), [0; 3], "{what}");
            assert!(notes.contains("as in 3.8"), "{what}: {notes}");
            continue;
        }
        let [live, taken, bytes] = under(&report, "grow");
        println!("{what}: grow {grown} pools, seen {live} of {taken}");
        assert!(grown > 100, "{what}: {grown}");
        // Of the whole interpreter, while the program asks for it too.
        assert!(live.abs_diff(grown) <= ASKING, "{what}: {live} of {grown}: {notes}");
        assert!((live..live + live / 10).contains(&taken), "{what}: {taken} taken");
        let pool = bytes / live;
        assert!([4096, 16384].contains(&pool) && pool * live == bytes, "{what}: {bytes}");
        // What it takes it gives back, but for what happens to be in a pool of others.
        let [live, taken, _] = under(&report, "churn");
        println!("{what}: churn {churned} pools, seen {live} of {taken}");
        assert!(live <= churned + ASKING && taken > 100, "{what}: {live} of {taken}");
        assert_eq!(report.class("pools").0, class_bytes(&report), "{what}");
        assert_eq!(report.counter("pymalloc_unknown"), 0, "{what}");
        assert!(
            report.stdout.contains("Pools: what Python's allocator has taken"),
            "{what}: {}",
            report.stdout
        );
        report.assert_files();
        seen += 1;
    }
    assert!(seen > 0 || pythons().is_empty(), "no interpreter has told of its pools");
}

/// Live bytes of all sites of the class.
fn class_bytes(report: &Report) -> u64 {
    let rows = report.rows().iter().filter(|row| row["class"] == "pools");
    rows.map(|row| row["live"]["bytes"].as_u64().expect("a number")).sum()
}

#[test]
fn python_pools_are_no_part_of_live_memory() {
    require_root!();
    let Some(interpreter) = pythons().into_iter().find(|path| !has_no_place(path)) else {
        return;
    };
    let (report, _) = observed(&interpreter, &["--every-call"]);
    let live = report.profile["totals"]["live"]["bytes"].as_u64().expect("a number");
    let of_memory = ["heap", "mapped"].map(|class| report.class(class).0);
    assert_eq!(live, of_memory.iter().sum::<u64>());
    assert!(report.class("pools").0 > 0);
}

#[test]
fn python_pools_are_not_told_of_where_each_object_is() {
    require_root!();
    let Some(interpreter) = pythons().into_iter().next_back() else {
        return;
    };
    let (report, _) = observed(&interpreter, &["--python-exact"]);
    assert_eq!(report.class("pools").0, 0);
}
