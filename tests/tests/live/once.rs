//! Allocators of which one probe sees a whole allocation: nothing is missed, nothing counted twice, and every size is right.

#![expect(clippy::print_stdout, reason = "a test prints what it compared")]

use std::{path::Path, process::Command};

use memtrace_tests::{Memtrace, Program, Report, Truth, programs, require, require_root};

const LIBRARIES: &str = "/usr/lib/x86_64-linux-gnu";
const JEMALLOC: &str = "libjemalloc.so.2";
const MIMALLOC: &str = "libmimalloc.so.2";

/// Allocations of `once` by `malloc` and `operator new` that an allocator can serve without a look beyond the thread's cache: its rounds,
/// in four threads, at three sites.
const SMALL: u64 = 4 * 2000 * 3;

fn installed(library: &str) -> Result<(), String> {
    if Path::new(LIBRARIES).join(library).exists() {
        Ok(())
    } else {
        Err(format!("needs {library}, which is not installed"))
    }
}

/// Runs a program to its hold, with libraries put before the C library, and compares every site.
fn observed(program: &str, arguments: &[&str], preload: &str, options: &[&str]) -> (Report, Truth) {
    let program = Program::ready(
        Command::new(programs::path(program))
            .args(arguments)
            .env("LD_PRELOAD", preload),
    );
    let (report, truth) = Memtrace::traced(program, &[&["--ring-size", "64MiB"], options].concat());
    println!(
        "{} by one trap, {} hits, {} nested, {} abandoned",
        report.counter("one_trap"),
        report.counter("hits"),
        report.counter("nested"),
        report.counter("abandoned")
    );
    report.assert_exact(&truth);
    assert_eq!(report.counter("one_trap_wrong"), 0);
    // What the C++ library and the C library had before.
    report.assert_healthy(0..=200);
    (report, truth)
}

/// A site is one row, whichever way its calls took through the allocator.
fn assert_one_row(report: &Report, function: &str) {
    assert_eq!(report.rows_of(function).count(), 1, "{function}");
}

#[test]
fn jemalloc_with_exceptions_threads_and_a_child() {
    require_root!();
    require!(installed(JEMALLOC));
    let (report, _) = observed("once", &[], JEMALLOC, &[]);
    let one_trap = report.counter("one_trap");
    assert!((SMALL / 2..=2 * SMALL).contains(&one_trap), "{one_trap} of {SMALL}");
    // Each of the two functions that it calls; in four threads and with a pause between looks it is more.
    assert!(report.counter("one_trap_checked") >= 2 * 64);
    // The fast path and the slow part are one frame.
    assert_one_row(&report, "site_mixed");
    let (two, _) = observed("once", &[], JEMALLOC, &["--two-traps"]);
    assert_eq!(two.counter("one_trap"), 0);
    let hits = report.counter("hits") - report.counter("check_hits");
    assert!(two.counter("hits") > hits + one_trap / 2);
    assert_eq!((two.counter("one_trap_checked"), two.counter("check_hits")), (0, 0));
}

/// Has a program make allocations while memtrace was told wrong places, and the rest of its work when that was found.
fn observed_with_mutant(program: &str, preload: &str, options: &[&str]) -> Report {
    let mut command = Command::new(programs::path(program));
    let mut program = Program::ready(command.arg("switched").env("LD_PRELOAD", preload));
    let mut memtrace = Memtrace::attach(program.pid(), &[&["--ring-size", "64MiB"], options].concat());
    program.go();
    program.expect("before");
    memtrace
        .process()
        .expect_error("one trap did not see allocations as they were");
    program.go();
    let truth = program.truth();
    let report = memtrace.finish();
    assert!(program.end().0.success());
    println!("{} by one trap", report.counter("one_trap"));
    // Of what came later, everything.
    report.assert_exact(&truth);
    let notes = report.profile["health"]["notes"].to_string() + &report.profile["processes"].to_string();
    for words in ["sums are in doubt", "two traps see each since", "on purpose"] {
        assert!(notes.contains(words), "{words} is not in {notes}");
    }
    assert!(report.counter("one_trap_wrong") > 0);
    assert_eq!(report.profile["health"]["exact"], false);
    assert!(report.profile["health"]["gaps"].as_u64() >= Some(1));
    report
}

#[test]
fn wrong_places_are_found_and_two_traps_take_over() {
    require_root!();
    require!(installed(JEMALLOC));
    for mutant in ["size", "result", "when"] {
        let report = observed_with_mutant("once", JEMALLOC, &["--once-mutant", mutant]);
        // What came later is seen by two.
        assert!(report.counter("one_trap") < SMALL / 2, "{mutant}");
    }
}

#[test]
fn wrong_places_are_found_with_single_links_and_for_the_whole_machine() {
    require_root!();
    require!(installed(JEMALLOC));
    for option in ["--single-links", "--machine-wide"] {
        observed_with_mutant("once", JEMALLOC, &["--once-mutant", "result", option]);
    }
}

#[test]
fn wrong_places_of_mimalloc_are_found() {
    require_root!();
    require!(installed(MIMALLOC));
    for mutant in ["size", "result", "when"] {
        observed_with_mutant("once-aborts", MIMALLOC, &["--once-mutant", mutant]);
    }
}

#[test]
fn wrong_places_are_found_in_the_sample() {
    require_root!();
    require!(installed(JEMALLOC));
    observed_with_mutant("once", JEMALLOC, &["--once-mutant", "size", "--sample", "1B"]);
}

#[test]
fn a_sample_by_one_trap_of_every_block() {
    require_root!();
    require!(installed(JEMALLOC));
    let (report, _) = observed("once", &[], JEMALLOC, &["--sample", "1B"]);
    assert!(report.counter("one_trap") >= SMALL / 2);
    assert!(report.counter("drawn") > 0 && report.counter("unsampled") == 0);
}

#[test]
fn jemalloc_with_every_event() {
    require_root!();
    require!(installed(JEMALLOC));
    let (report, _) = observed("once", &[], JEMALLOC, &["--every-event"]);
    assert!(report.counter("one_trap") >= SMALL / 2);
    assert_eq!(report.counter("paired"), 0);
}

#[test]
fn jemalloc_by_single_links() {
    require_root!();
    require!(installed(JEMALLOC));
    let (report, _) = observed("once", &[], JEMALLOC, &["--single-links"]);
    assert!(report.counter("one_trap") >= SMALL / 2);
}

#[test]
fn jemalloc_with_a_stack_by_frame_pointer() {
    require_root!();
    require!(installed(JEMALLOC));
    let (report, _) = observed("once", &[], JEMALLOC, &["--stack", "fp"]);
    assert!(report.counter("one_trap") >= SMALL / 2);
}

#[test]
fn mimalloc_with_threads_and_a_child() {
    require_root!();
    require!(installed(MIMALLOC));
    let (report, _) = observed("once-aborts", &[], MIMALLOC, &[]);
    assert!(report.counter("one_trap") >= SMALL / 3);
    assert_one_row(&report, "site_mixed");
    let (two, _) = observed("once-aborts", &[], MIMALLOC, &["--two-traps"]);
    assert_eq!(two.counter("one_trap"), 0);
}

#[test]
fn blocks_that_die_young_from_one_trap() {
    require_root!();
    require!(installed(JEMALLOC));
    let (report, _) = observed("young", &["threads"], JEMALLOC, &[]);
    assert!(report.counter("one_trap") > 0 && report.counter("paired") > 0);
}

#[test]
fn a_wrapper_around_one_trap_counts_once() {
    require_root!();
    require!(installed(JEMALLOC));
    let wrapper = programs::path("libwrap.so");
    let preload = format!("{} {JEMALLOC}", wrapper.display());
    let (report, _) = observed("once", &[], &preload, &[]);
    assert!(
        report.counter("nested") >= SMALL / 2,
        "what the wrapper calls is its own"
    );
}

#[test]
fn the_doctor_says_where_one_trap_is_enough() {
    require_root!();
    require!(installed(JEMALLOC));
    let program = Program::ready(Command::new(programs::path("once")).env("LD_PRELOAD", JEMALLOC));
    let finished = Memtrace::finished(["doctor", "--pid", &program.pid().to_string()]);
    for words in [
        "jemalloc: one trap for an allocation by malloc, at malloc+",
        "; two for the slow part, from malloc+",
        "glibc: two traps for an allocation by malloc: its fast path uses the stack",
    ] {
        assert!(finished.stdout.contains(words), "{words} is not in {}", finished.stdout);
    }
}
