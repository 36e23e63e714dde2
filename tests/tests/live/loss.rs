//! A ring that is too small: what is lost is counted, and a lost free is not a leak.

#![expect(clippy::print_stdout, reason = "a test prints what it compared")]

use std::time::Duration;

use memtrace_tests::{Memtrace, Program, Report, Truth, require_root};

/// Traces a flood with the smallest ring; the tracer is stopped now and then, so that the ring overflows for
/// certain and not only on a slow machine.
fn flood(threads: &str, pauses: &[u64]) -> (Report, Truth) {
    let mut program = Program::start("flood", &[threads, "0"]);
    // Blocks that die young would not even reach it.
    let mut memtrace = Memtrace::attach(program.pid(), &["--ring-size", "64KiB", "--every-event"]);
    program.go();
    program.expect("working");
    for &pause in pauses {
        std::thread::sleep(Duration::from_millis(50));
        memtrace.pause(|| std::thread::sleep(Duration::from_millis(pause)));
    }
    std::thread::sleep(Duration::from_millis(50));
    program.send("stop");
    program.expect("freed");
    program.go();
    let truth = program.truth();
    let report = memtrace.finish();
    assert!(report.status.success(), "{}", report.stderr);
    assert!(program.end().0.success());
    (report, truth)
}

fn assert_bounds(report: &Report, truth: &Truth) {
    let health = |name| report.health(name);
    println!(
        "events {}, lost allocations {} of {} bytes, frees applied late {}, frees forgotten {}, other {}",
        health("events"),
        health("lost_allocations"),
        health("lost_bytes"),
        health("recovered_frees"),
        health("forgotten_frees"),
        health("lost_other")
    );
    assert!(health("lost_allocations") > 0, "the ring was full and it is not said");
    assert!(
        health("lost_bytes") >= health("lost_allocations") * 16,
        "every block has 16 bytes or more"
    );
    assert!(health("recovered_frees") > 0, "frees were lost too");
    for site in ["site_churn", "site_grown"] {
        let (sums, reported) = (truth.site(site), report.site(site));
        println!("{site}: truth {sums:?}, memtrace {reported:?}");
        assert!(
            reported.count <= sums.count + health("forgotten_frees"),
            "lost frees of {site} became leaks"
        );
        assert!(reported.allocated_count <= sums.allocated_count, "{site}");
    }
    let missing: u64 = ["site_churn", "site_grown"]
        .map(|site| truth.site(site).allocated_count - report.site(site).allocated_count)
        .iter()
        .sum();
    // A stack that was lost hides the site of its allocation, which is then not among the site's.
    println!("missing allocations: {missing}");
    assert!(
        missing <= health("lost_allocations") + health("stacks.lost") + health("lost_other"),
        "allocations are missing that no counter tells of"
    );
}

#[test]
fn lost_frees_do_not_become_leaks() {
    require_root!();
    let (report, truth) = flood("2", &[60, 60, 60]);
    assert_bounds(&report, &truth);
    assert_eq!(
        report.health("forgotten_frees"),
        0,
        "short losses fit into the memory for lost frees"
    );
    // What happened after the flood was seen in full.
    assert_eq!(report.site("site_kept"), truth.site("site_kept"));
    assert!(
        !report.stdout.contains("nothing was lost"),
        "the summary says it:
{}",
        report.stdout
    );
}

#[test]
fn long_losses_are_counted() {
    require_root!();
    let (report, truth) = flood("4", &[1500]);
    assert_bounds(&report, &truth);
}

#[test]
fn a_tracer_far_behind_waits_with_lost_frees() {
    require_root!();
    // 96 bytes of the ring for each pair, 56 for each block of which only the allocation fits.
    let (ring, late) = (32_u64 << 20, 15_000_u64);
    let pairs = (ring - 56 * late - (256 << 10)) / 96;
    let mut program = Program::start("late", &[&pairs.to_string(), &late.to_string()]);
    let mut memtrace = Memtrace::attach(program.pid(), &["--ring-size", "32MiB", "--every-event"]);
    memtrace.pause(|| {
        program.go();
        program.truth();
    });
    // It works on what lies in the ring for a moment, is stopped again, and finds that it is time for the lost frees. Their
    // blocks' allocations are the last in the ring.
    std::thread::sleep(Duration::from_millis(15));
    memtrace.pause(|| std::thread::sleep(Duration::from_millis(700)));
    std::thread::sleep(Duration::from_secs(2));
    let report = memtrace.finish();
    let (reported, lost) = (report.site("site_late"), report.counter("lost_frees"));
    println!(
        "lost frees {lost}, forgotten {}, site_late: {reported:?}",
        report.health("forgotten_frees")
    );
    assert!(lost > late / 2, "the ring was full");
    assert_eq!(reported.count, report.health("forgotten_frees"));
    assert!(program.end().0.success());
}

#[test]
fn frees_that_could_not_be_remembered_are_told() {
    require_root!();
    // More blocks than the memory for lost frees (memtrace_common::limits::MAX_LOST_FREES) and the ring hold together.
    let mut program = Program::start("flood", &["0", "100000"]);
    let mut memtrace = Memtrace::attach(program.pid(), &["--ring-size", "512KiB"]);
    program.go();
    program.expect("working");
    memtrace.pause(|| {
        program.send("free them all");
        program.expect("freed");
    });
    program.go();
    let truth = program.truth();
    let report = memtrace.finish();
    let (reported, forgotten) = (report.site("site_burst"), report.health("forgotten_frees"));
    println!(
        "frees applied late {}, forgotten {forgotten}",
        report.health("recovered_frees")
    );
    println!(
        "site_burst: truth {:?}, memtrace {reported:?}",
        truth.site("site_burst")
    );
    assert_eq!(report.health("lost_allocations"), 0, "only frees were lost");
    assert!(
        report.health("recovered_frees") > 0 && forgotten > 0,
        "frees were lost, and some for good"
    );
    assert_eq!(
        reported.count, forgotten,
        "each forgotten free leaves one block, and nothing else does"
    );
    assert!(
        !report.stdout.contains("nothing was lost"),
        "the summary says it:
{}",
        report.stdout
    );
    let exact = report.profile["health"]["exact"].as_bool();
    assert_eq!(exact, Some(false), "such a report is not called exact");
    assert!(program.end().0.success());
}
