//! Call stacks of programs whose code changes while they are observed: libraries that come and go, and other programs.

#![expect(clippy::print_stdout, reason = "a test prints what it compared")]

use std::{process::Command, thread, time::Duration};

use memtrace_tests::{Memtrace, PATIENCE, Program, Report, Stacks, programs, require_root, wait_until};

/// How long the tracer gets to read new code, which takes it milliseconds, before it has to know it.
const SETTLE: Duration = Duration::from_secs(2);

fn finished(memtrace: Memtrace, program: Program) -> (Report, Stacks) {
    let report = memtrace.finish();
    println!("health.stacks: {}", report.profile["health"]["stacks"]);
    let truth = Stacks::of_program(&program.output());
    let (status, _) = program.end();
    assert!(status.success(), "the program ended with {status}");
    (report, truth)
}

/// What was allocated before new code was known may have other stacks, if that is counted; later there is no excuse.
fn assert_whole_once_known(report: &Report, truth: &Stacks, later: &str) {
    truth.clone().only(|site| site == later).compare(report).assert_whole();
    truth.compare(report).assert_whole_but(report.health("stacks.early"));
}

/// Gives `unwind-load` orders, and waits for the end of each. `settle` is time for the tracer.
fn ordered(orders: &[String]) -> (Report, Stacks) {
    let mut program = Program::start("unwind-load", &[]);
    let memtrace = Memtrace::attach(program.pid(), &["--ring-size", "64MiB"]);
    program.go();
    let mut done = 0;
    for order in orders {
        if order == "settle" {
            thread::sleep(SETTLE);
            continue;
        }
        done += 1;
        program.send(order);
        program.expect(&format!("done {done}"));
    }
    program.send("end");
    program.expect("hold");
    finished(memtrace, program)
}

fn load(library: &str) -> String {
    format!("load {}", programs::path(library).display())
}

/// Loads each library in the place of the one before, and allocates below it at once and, below the last, later.
fn loaded(libraries: &[&str]) {
    let mut orders: Vec<String> = libraries
        .iter()
        .flat_map(|library| [load(library), "use".into()])
        .collect();
    orders.extend(["settle".into(), "last".into()]);
    let (report, truth) = ordered(&orders);
    assert_whole_once_known(&report, &truth, "site_last");
}

#[test]
fn a_library_that_is_loaded_after_attach() {
    require_root!();
    loaded(&["libunwind-small.so"]);
}

/// The code is nearly the same and the tables are not: with the old one's every caller would be wrong.
#[test]
fn a_library_in_the_place_of_another() {
    require_root!();
    loaded(&["libunwind-small.so", "libunwind-large.so"]);
    loaded(&["libunwind-large.so", "libunwind-small.so"]);
}

#[test]
fn the_same_library_comes_and_goes() {
    require_root!();
    loaded(&["libunwind-small.so", "libunwind-large.so"].repeat(20));
}

/// Nothing but the name differs, so that each stack of the second has the very addresses of one of the first.
#[test]
fn a_library_in_the_place_of_its_twin() {
    require_root!();
    let below = |library| [load(library), "settle".into(), "last".into()];
    let (report, truth) = ordered(&[below("libunwind-small.so"), below("libunwind-twin.so")].concat());
    truth.compare(&report).assert_whole();
}

fn replacing() -> (Memtrace, Program) {
    let other = programs::path("unwind-deep");
    let mut program = Program::ready(Command::new(programs::path("unwind-replace")).arg(other));
    let memtrace = Memtrace::attach(program.pid(), &["--ring-size", "64MiB"]);
    program.go();
    program.expect("replaced");
    (memtrace, program)
}

#[test]
fn children_by_vfork_fork_and_spawn() {
    require_root!();
    let (memtrace, program) = replacing();
    let (report, truth) = finished(memtrace, program);
    truth.compare(&report).assert_whole();
    report.assert_starts(1000);
    // The children are other programs, whose files may be new.
    report.assert_complete(&["early"]);
}

#[test]
fn another_program_by_exec() {
    require_root!();
    let (memtrace, mut program) = replacing();
    program.go();
    // The new program says once more that it is ready.
    let ready = wait_until(PATIENCE, || {
        (program.output().matches("ready ").count() == 2).then_some(())
    });
    ready.expect("the program becomes another");
    thread::sleep(SETTLE);
    program.go();
    program.expect("hold");
    let (report, truth) = finished(memtrace, program);
    truth.compare(&report).assert_whole();
    report.assert_complete(&["early"]);
}
