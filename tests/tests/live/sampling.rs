//! Samples: what is always taken is exact, what is drawn lies within its error bars, and what is freed is never live.

#![expect(clippy::print_stdout, reason = "a test prints what it compared")]

use std::{path::Path, process::Command};

use memtrace_tests::{Memtrace, Program, Report, Truth, programs, require, require_root};

/// Large enough that nothing is lost.
const RING: [&str; 2] = ["--ring-size", "64MiB"];

/// A right estimate is farther off than this many standard deviations once in a million times, where it is made of many blocks.
const DEVIATIONS: f64 = 5.0;

/// Of few it is, by so many intervals: that of blocks which come to as much none is drawn is as unlikely as e to the power of it.
const FEW: f64 = 8.0;

/// Steps under a budget.
const BURSTS: [&str; 6] = ["--budget", "100%", "--sample", "1KiB", "--step", "bursts"];
const PAGES: [&str; 6] = ["--budget", "100%", "--sample", "1KiB", "--step", "pages"];

const JEMALLOC: &str = "libjemalloc.so.2";

fn installed(library: &str) -> Result<(), String> {
    let path = Path::new("/usr/lib/x86_64-linux-gnu").join(library);
    path.exists()
        .then_some(())
        .ok_or(format!("needs {library}, which is not installed"))
}

fn traced(program: &str, arguments: &[&str], options: &[&str]) -> (Report, Truth) {
    Memtrace::traced(Program::start(program, arguments), &[&RING, options].concat())
}

/// The same with an allocator of which one probe sees most allocations.
fn traced_by_one_trap(program: &str, arguments: &[&str], options: &[&str]) -> (Report, Truth) {
    let mut command = Command::new(programs::path(program));
    let program = Program::ready(command.args(arguments).env("LD_PRELOAD", JEMALLOC));
    let (report, truth) = Memtrace::traced(program, &[&RING, options].concat());
    println!("{}", report.profile["health"]["counters"]);
    assert!(report.counter("one_trap") > 100);
    // What one probe does not see while it is off is not held against it.
    assert_eq!(report.counter("one_trap_wrong"), 0);
    (report, truth)
}

/// The half length of the error bar over all rows of a site: `live` or `allocated`.
fn error(report: &Report, site: &str, of: &str) -> f64 {
    let name = format!("{of}_error_bytes");
    let squares = report
        .rows_of(site)
        .map(|row| row[&name].as_f64().unwrap_or(0.0).powi(2));
    squares.sum::<f64>().sqrt()
}

/// Compares the estimates of all sites with the truth; the share of those that were not taken whole and within their error bar.
fn assert_estimates(report: &Report, truth: &Truth) -> f64 {
    let (mut inside, mut drawn) = (0.0, 0.0);
    for (name, &sums) in &truth.sites {
        let found = report.site(name);
        let parts = [
            ("live", sums.bytes, found.bytes),
            ("allocated", sums.allocated_bytes, found.allocated_bytes),
        ];
        for (part, wanted, found) in parts {
            let bar = error(report, name, part);
            let off = (wanted as f64 - found as f64).abs();
            println!("{name:<28} {part:<10} truth {wanted:>12} estimate {found:>12} ± {bar:.0}");
            // By the truth, for the bar is an estimate too: few blocks may all have been passed over.
            let deviation = (interval(report) * wanted as f64).sqrt();
            let most = DEVIATIONS * deviation + FEW * interval(report);
            assert!(
                off <= most,
                "{name}: {part} is off by {off}, {most} at most; its error bar is {bar}"
            );
            if off > 0.0 {
                drawn += 1.0;
                inside += if off <= bar.max(interval(report)) { 1.0 } else { 0.0 };
            }
        }
    }
    assert!(drawn > 0.0, "nothing was drawn");
    inside / drawn
}

fn interval(report: &Report) -> f64 {
    report.profile["health"]["sampling"]["interval_bytes"]
        .as_f64()
        .expect("the health section tells of the sample")
}

#[test]
fn an_interval_of_a_byte_takes_every_block_of_every_function() {
    require_root!();
    let (report, truth) = traced("hooks", &["8", "2000"], &["--sample", "1B"]);
    report.assert_exact(&truth);
    report.assert_healthy(0..=0);
    assert!(report.counter("drawn") > 0 && report.counter("unsampled") == 0);
}

#[test]
fn blocks_that_die_young_or_are_moved_in_the_sample() {
    require_root!();
    for mode in ["threads", "chain", "given"] {
        let options = ["--sample", "1B", "--pair", "wrap_take:wrap_give"];
        let (report, truth) = traced("young", &[mode], if mode == "given" { &options } else { &options[..2] });
        report.assert_exact(&truth);
        report.assert_healthy(0..=0);
        assert!(report.counter("paired") > 0, "{mode}");
    }
}

#[test]
fn a_child_frees_what_it_inherited_from_the_sample() {
    require_root!();
    let (report, truth) = traced("young", &["fork"], &["--sample", "1B"]);
    report.assert_exact(&truth);
    report.assert_healthy(0..=0);
}

#[test]
fn other_allocators_that_resize_in_place() {
    require_root!();
    for program in ["matrix-jemalloc", "matrix-mimalloc"] {
        let (report, truth) = traced(program, &["4", "1000"], &["--sample", "1B"]);
        report.assert_exact(&truth);
    }
}

#[test]
fn estimates_lie_within_their_error_bars() {
    require_root!();
    let (report, truth) = traced("hooks", &["8", "8000"], &["--sample", "4KiB"]);
    let inside = assert_estimates(&report, &truth);
    println!("{:.0} % within their error bars", 100.0 * inside);
    assert!(inside > 0.7, "19 of 20 should be");
    report.assert_healthy(0..=0);
    assert!(report.counter("unsampled") > report.counter("drawn"));
    assert!(report.counter("unsampled_frees") > 0, "most frees are passed over");
    assert!(report.stdout.contains(" ± "), "{}", report.stdout);
    assert_eq!(report.profile["health"]["exact"], false);
}

#[test]
fn blocks_from_before_the_filter_was_made_anew_are_seen_to_end() {
    require_root!();
    // So many blocks are drawn meanwhile that it is.
    let (report, truth) = traced("steady", &["long"], &["--sample", "1B"]);
    assert_eq!(truth.site("site_kept").live(), (0, 0), "it frees them at its end");
    report.assert_exact(&truth);
    report.assert_healthy(0..=0);
    assert!(report.counter("drawn") > 1 << 21);
}

#[test]
fn resized_and_moved_blocks_with_weights_are_seen_to_end() {
    require_root!();
    for program in ["matrix-jemalloc", "matrix-mimalloc"] {
        let (report, truth) = traced(program, &["4", "4000"], &["--sample", "2KiB"]);
        let inside = assert_estimates(&report, &truth);
        assert!(inside > 0.7, "{program}: {inside}");
    }
    let (report, truth) = traced("young", &["chain"], &["--sample", "2KiB"]);
    assert_estimates(&report, &truth);
}

#[test]
fn estimates_from_one_trap_lie_within_their_error_bars() {
    require_root!();
    require!(installed(JEMALLOC));
    let (report, truth) = traced_by_one_trap("once", &[], &["--sample", "2KiB"]);
    let inside = assert_estimates(&report, &truth);
    println!("{:.0} % within their error bars", 100.0 * inside);
    assert!(inside > 0.6, "19 of 20 should be, of some ten");
    assert!(report.counter("unsampled") > report.counter("drawn"));
}

#[test]
fn windows_show_rates_and_every_free() {
    require_root!();
    let (report, truth) = traced("steady", &["6000"], &BURSTS);
    assert_windows(&report, &truth);
}

#[test]
fn windows_of_one_trap_show_rates_and_every_free() {
    require_root!();
    require!(installed(JEMALLOC));
    let (report, truth) = traced_by_one_trap("steady", &["6000"], &BURSTS);
    assert_windows(&report, &truth);
}

fn assert_windows(report: &Report, truth: &Truth) {
    report.assert_healthy(0..=0);
    for row in report.rows_of("site_brief").filter(|row| row["class"] == "heap") {
        assert_eq!(row["live"]["bytes"], 0, "every free is seen: {row}");
    }
    for site in ["site_kept", "site_brief"] {
        let (wanted, found) = (truth.site(site).allocated_bytes as f64, heap(report, site, "allocated"));
        println!("{site}: allocated {wanted}, estimated {found}");
        assert!((0.7..1.4).contains(&(found / wanted)), "{site}: {found} of {wanted}");
    }
    let (wanted, found) = (truth.site("site_kept").bytes as f64, heap(report, "site_kept", "live"));
    assert!((0.7..1.4).contains(&(found / wanted)), "live: {found} of {wanted}");
    // Mappings are never sampled. Between windows it is not known whose they are.
    assert_eq!(report.site("site_mapped"), truth.site("site_mapped"));
    assert!(report.class("pages").0 > 0 && report.class("mapped").0 > 0);
    assert!(
        report.counter("hits") < truth.site("site_kept").allocated_count * 5,
        "probes were off most of the time"
    );
    assert_steps(report, &["bursts"]);
}

#[test]
fn page_level_shows_mappings_and_says_what_it_does_not_know() {
    require_root!();
    let (report, truth) = traced("steady", &["4000"], &PAGES);
    assert_page_level(&report, &truth);
}

#[test]
fn page_level_with_one_trap() {
    require_root!();
    require!(installed(JEMALLOC));
    let (report, truth) = traced_by_one_trap("steady", &["4000"], &PAGES);
    assert_page_level(&report, &truth);
}

fn assert_page_level(report: &Report, truth: &Truth) {
    report.assert_healthy(0..=0);
    assert_eq!(report.site("site_mapped"), truth.site("site_mapped"));
    let live: u64 = report
        .rows()
        .iter()
        .filter(|row| row["class"] == "heap")
        .filter_map(|row| row["live"]["bytes"].as_u64())
        .sum();
    assert_eq!(live, 0, "what is live is not known");
    let peak = report.profile["totals"]["peak_live_bytes"].as_u64().expect("a number");
    let most = truth.sites.values().map(|site| site.bytes).sum::<u64>() + (1 << 20);
    assert!(peak <= most, "{peak}: a look is no peak");
    let rows: Vec<_> = report.rows_of("site_kept").collect();
    let unknown: u64 = rows.iter().filter_map(|row| row["unknown"]["bytes"].as_u64()).sum();
    assert!(unknown > 0, "what was allocated in looks may have been freed since");
    let (wanted, found) = (
        truth.site("site_kept").allocated_bytes as f64,
        heap(report, "site_kept", "allocated"),
    );
    println!("allocated {wanted}, estimated {found}");
    assert!((0.6..1.7).contains(&(found / wanted)), "{found} of {wanted}");
    assert_steps(report, &["pages"]);
}

/// Bytes of a site that the allocator handed out: `live` or `allocated`.
fn heap(report: &Report, site: &str, of: &str) -> f64 {
    let rows = report.rows_of(site).filter(|row| row["class"] == "heap");
    rows.filter_map(|row| row[of]["bytes"].as_f64()).sum()
}

/// Asserts that the report tells of these steps and of no other.
fn assert_steps(report: &Report, wanted: &[&str]) {
    let budget = &report.profile["health"]["budget"];
    println!("{budget}");
    let steps: Vec<_> = budget["steps"]
        .as_array()
        .expect("steps")
        .iter()
        .filter_map(|step| step["step"].as_str())
        .collect();
    assert_eq!(steps, wanted);
    assert!(budget["trap_ns"].as_f64().expect("a number") > 0.0);
    assert!(budget["stepped_trap_ns"].as_f64() > budget["trap_ns"].as_f64());
    assert!(report.stdout.contains("slowed down by about"), "{}", report.stdout);
}

#[test]
fn a_quiet_program_is_observed_in_full_and_a_busy_one_less() {
    require_root!();
    let mut quiet = Command::new(programs::path("known"));
    // What it takes at once must be little for the few hundredths of a second between two measurements too.
    quiet.args(["100", "4", "1500", "2500"]);
    let report = Memtrace::run(&["--budget", "20%"], &mut quiet).ended();
    let steps = report.profile["health"]["budget"]["steps"].to_string();
    println!("{steps}");
    assert!(steps.contains("full"), "{steps}");
    assert!(
        !steps.contains("pages") && !steps.contains("bursts"),
        "it hardly works: {steps}"
    );
    assert_eq!(report.site("site_known").live(), (300, 3), "all was seen");

    let mut program = Program::start("life", &["churn"]);
    let memtrace = Memtrace::attach(program.pid(), &["--budget", "1%", "--duration", "3s"]);
    program.go();
    program.expect("working");
    let report = memtrace.ended();
    let steps = report.profile["health"]["budget"]["steps"].to_string();
    println!("{steps}");
    assert!(
        steps.contains("pages") || steps.contains("bursts"),
        "it does nothing else: {steps}"
    );
    program.send("stop");
    assert!(!program.truth().sites.is_empty());
    let (status, _) = program.end();
    assert!(status.success(), "{status}");
}

#[test]
fn what_cannot_be_held_is_refused() {
    require_root!();
    let program = Program::start("steady", &["1"]);
    let pid = program.pid().to_string();
    for (options, words) in [
        (&["--budget", "5%", "--no-follow"][..], "--no-follow"),
        (&["--budget", "5%", "--single-links"][..], "--single-links"),
        (&["--budget", "5"][..], "percentage"),
        (&["--sample", "0"][..], "--sample 0"),
        (&["--sample", "2GiB"][..], "1GiB is the most"),
    ] {
        Memtrace::tried(&pid, options).assert_refused(&[words]);
    }
}
