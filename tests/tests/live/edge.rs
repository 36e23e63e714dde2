//! Calls and mappings that are not a plain success.

#![expect(clippy::print_stdout, reason = "a test prints what it compared")]

use std::{ops::RangeInclusive, process::Command};

use memtrace_tests::{Memtrace, Program, Report, Truth, programs, require_root, thread_caches};

/// Attaches to a program that is ready, lets it work, and compares every site.
fn exact(program: Program) -> (Report, Truth) {
    exact_but(program, 0..=0)
}

/// The same for a program that has frees of which the tracer cannot know the allocation.
fn exact_but(program: Program, unmatched: RangeInclusive<u64>) -> (Report, Truth) {
    let (report, truth) = Memtrace::traced(program, &["--ring-size", "64MiB"]);
    report.assert_exact(&truth);
    report.assert_healthy(unmatched);
    (report, truth)
}

fn run(name: &str, mode: &str) -> (Report, Truth) {
    exact(Program::start(name, &[mode]))
}

/// A mode in which some calls fail: each of them is counted.
fn run_failing(mode: &str) {
    let (report, truth) = run("calls", mode);
    println!(
        "failed calls: truth {}, memtrace {}",
        truth.value("failed"),
        report.counter("failed")
    );
    assert_eq!(report.counter("failed"), truth.value("failed"));
}

#[test]
fn failed_realloc_keeps_the_block() {
    require_root!();
    run_failing("failed-realloc");
}

#[test]
fn realloc_to_zero_frees() {
    require_root!();
    run("calls", "realloc-zero");
}

#[test]
fn products_that_overflow_allocate_nothing() {
    require_root!();
    run_failing("overflow");
}

#[test]
fn failed_posix_memalign_leaves_its_out_pointer() {
    require_root!();
    run_failing("posix-memalign");
}

#[test]
fn free_of_null_is_nothing() {
    require_root!();
    run("calls", "free-null");
}

#[test]
fn malloc_of_zero_is_a_block() {
    require_root!();
    run("calls", "malloc-zero");
}

#[test]
fn frees_of_blocks_from_before_attach_are_unmatched() {
    require_root!();
    let (report, truth) = exact_but(Program::start("calls", &["before-attach"]), 60..=60);
    println!(
        "unmatched: truth {}, memtrace {}",
        truth.value("unmatched"),
        report.health("unmatched_frees")
    );
    assert_eq!(report.health("unmatched_frees"), truth.value("unmatched"));
}

#[test]
fn a_preloaded_malloc_counts_once() {
    require_root!();
    let mut command = Command::new(programs::path("calls"));
    exact(Program::ready(
        command.arg("nested").env("LD_PRELOAD", programs::path("libwrap.so")),
    ));
}

#[test]
fn a_malloc_of_the_program_counts_once() {
    require_root!();
    run("calls-own-malloc", "nested");
}

#[test]
fn without_address_space_randomisation() {
    require_root!();
    // The stack then lies where the kernel would like to put the page that probed functions return to.
    for (name, arguments) in [("calls-own-malloc", &["nested"][..]), ("hooks", &["1", "2000"])] {
        let mut command = Command::new("setarch");
        exact(Program::ready(
            command.arg("-R").arg(programs::path(name)).args(arguments),
        ));
    }
}

#[test]
fn partial_munmap_splits() {
    require_root!();
    run("ranges", "partial");
}

#[test]
fn munmap_across_mappings() {
    require_root!();
    run("ranges", "across");
}

#[test]
fn a_fixed_mapping_replaces() {
    require_root!();
    run("ranges", "fixed");
}

#[test]
fn mremap_that_keeps_the_old_range() {
    require_root!();
    run("ranges", "dontunmap");
}

#[test]
fn mapping_calls_that_fail_change_nothing() {
    require_root!();
    run("ranges", "fails");
}

#[test]
fn classes_of_mappings_are_apart() {
    require_root!();
    let (report, truth) = run("ranges", "classes");
    for class in ["mapped", "reserved", "file"] {
        println!(
            "{class}: truth {}, memtrace {:?}",
            truth.value(class),
            report.class(class)
        );
        assert_eq!(report.class(class).0, truth.value(class), "{class}");
    }
}

#[test]
fn addresses_reused_by_eight_threads() {
    require_root!();
    // Without caches a thread's end frees one block that the tracer does not know: its empty cache.
    let uncached = "glibc.malloc.arena_max=1:glibc.malloc.tcache_count=0";
    for (tunables, unmatched) in [("", thread_caches(8)), (uncached, 0..=8)] {
        println!("GLIBC_TUNABLES={tunables:?}");
        let mut command = Command::new(programs::path("reuse"));
        exact_but(
            Program::ready(command.args(["8", "300"]).env("GLIBC_TUNABLES", tunables)),
            unmatched,
        );
    }
}

/// A program whose calls of malloc do not return.
fn dying(mode: &str) -> Report {
    // The mode `exit` ends threads.
    let (report, truth) = exact_but(Program::start("dying", &[mode]), thread_caches(6));
    println!(
        "abandoned: truth {}, memtrace {}",
        truth.value("abandoned"),
        report.counter("abandoned")
    );
    report
}

#[test]
fn a_jump_out_of_malloc() {
    require_root!();
    assert!(
        dying("jump").counter("abandoned") > 0,
        "calls that never returned are counted"
    );
}

#[test]
fn a_jump_out_of_malloc_and_deeper_calls() {
    require_root!();
    // Deeper calls look like parts of the call that was left, until its place on the stack is overwritten or the thread
    // calls from further up: they may be missed, and are counted as nested. What comes after is seen again.
    let program = Program::start("dying", &["jump-deep"]);
    let (report, truth) = Memtrace::traced(program, &["--ring-size", "64MiB"]);
    report.assert_exact(&truth.clone().only(|site| site != "site_deeper"));
    let (deeper, seen) = (truth.site("site_deeper"), report.site("site_deeper"));
    println!("deeper: truth {deeper:?}, memtrace {seen:?}");
    let missed = deeper.live().1 - seen.live().1;
    assert!(report.counter("nested") >= missed, "what is missed is counted");
    assert!(report.counter("abandoned") > 0, "calls that never returned are counted");
}

#[test]
fn a_thread_that_dies_inside_malloc() {
    require_root!();
    dying("exit");
}
