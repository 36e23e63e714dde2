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
    // The fast path and the slow part are one frame.
    assert_one_row(&report, "site_mixed");
    let (two, _) = observed("once", &[], JEMALLOC, &["--two-traps"]);
    assert_eq!(two.counter("one_trap"), 0);
    assert!(two.counter("hits") > report.counter("hits") + one_trap / 2);
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
