//! Blocks that die young: counted in the kernel, and still exact to the byte.

#![expect(clippy::print_stdout, reason = "a test prints what it compared")]

use memtrace_tests::{Memtrace, Program, Report, Truth, require_root, thread_caches};

/// Large enough that nothing is lost when every event is sent.
const RING: [&str; 2] = ["--ring-size", "64MiB"];

/// What a site had that was freed again, from its own numbers and from its histograms.
fn assert_spread(report: &Report, truth: &Truth, function: &str) {
    let number = |value: &serde_json::Value| value.as_u64().expect("a number");
    let sums = truth.site(function);
    let (mut bytes, mut count, mut sizes, mut lifetimes) = (0, 0, 0, 0);
    for row in report.rows_of(function) {
        bytes += number(&row["temporary"]["bytes"]);
        count += number(&row["temporary"]["count"]);
        let all = |name: &str| row[name].as_array().expect("a histogram").clone();
        sizes += all("sizes").iter().map(|pair| number(&pair[1])).sum::<u64>();
        lifetimes += all("lifetimes").iter().map(|pair| number(&pair[1])).sum::<u64>();
    }
    let freed = sums.allocated_count - sums.count;
    println!("{function}: {sizes} sizes, {lifetimes} lifetimes, temporary {count} of {bytes} bytes");
    assert_eq!((bytes, count), (sums.allocated_bytes - sums.bytes, freed));
    assert_eq!((sizes, lifetimes), (sums.allocated_count, freed));
}

fn observed(mode: &str, options: &[&str]) -> (Report, Truth) {
    let (report, truth) = Memtrace::traced(Program::start("young", &[mode]), &[&RING, options].concat());
    println!("{} paired, {} sent", report.counter("paired"), report.counter("sent"));
    report.assert_exact(&truth);
    (report, truth)
}

#[test]
fn blocks_that_four_threads_free_at_once_or_for_each_other() {
    require_root!();
    let (report, truth) = observed("threads", &[]);
    report.assert_healthy(thread_caches(4));
    for site in ["site_passed", "site_shared"] {
        assert_spread(&report, &truth, site);
    }
    let all = truth.site("site_passed").allocated_count + truth.site("site_shared").allocated_count;
    assert!(report.counter("paired") > all / 10 * 9, "most never cross the ring");
    assert!(report.counter("sent") < all / 5);
}

#[test]
fn an_address_that_is_freed_through_two_hooks_and_given_out_again() {
    require_root!();
    let (report, _) = observed("given", &["--pair", "wrap_take:wrap_give"]);
    report.assert_healthy(0..=0);
    assert!(report.counter("paired") > 0);
}

#[test]
fn every_event_is_sent_on_request_and_comes_to_the_same() {
    require_root!();
    let (report, truth) = observed("threads", &["--every-event"]);
    report.assert_healthy(thread_caches(4));
    for site in ["site_passed", "site_shared"] {
        assert_spread(&report, &truth, site);
    }
    assert_eq!(report.counter("paired"), 0);
    assert!(report.counter("sent") >= 2 * truth.site("site_passed").allocated_count);
}

#[test]
fn blocks_that_are_moved_while_they_are_young() {
    require_root!();
    let (report, truth) = observed("chain", &[]);
    report.assert_healthy(0..=0);
    for site in ["site_first", "site_moved"] {
        assert_spread(&report, &truth, site);
    }
    let moved = truth.site("site_moved").allocated_count;
    assert!(
        report.counter("paired") > moved,
        "the old blocks, and most of the new ones"
    );
}

#[test]
fn a_child_inherits_what_was_just_allocated() {
    require_root!();
    let (report, _) = observed("fork", &["--machine-wide"]);
    report.assert_healthy(0..=0);
    assert!(report.counter("paired") >= 50, "the child's own");
}

#[test]
fn what_is_left_by_a_program_that_ends_at_once_is_a_leak() {
    require_root!();
    let mut program = Program::start("young", &["leave"]);
    let memtrace = Memtrace::attach(program.pid(), &[]);
    program.go();
    let truth = program.truth();
    assert!(program.wait().0.success());
    let report = memtrace.ended();
    report.assert_exact(&truth);
    report.assert_healthy(0..=0);
    assert_spread(&report, &truth, "site_passed");
    assert_eq!(report.end(), "exited");
    assert!(report.verdicts("site_left").contains("leaked"));
    assert!(report.counter("paired") > 150);
}
