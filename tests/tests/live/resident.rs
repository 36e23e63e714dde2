//! Resident memory, split: against the kernel's own count, what the program did, and what its allocator says.

#![expect(clippy::print_stdout, reason = "a test prints what it compared")]

use std::fs;

use memtrace_tests::{Memtrace, Program, RESIDENT_PARTS, Report, Truth, kernel::rollup, programs, require_root};
use rustix::process::Signal;
use serde_json::Value;

const PAGE: u64 = 4096;
const MIB: u64 = 1 << 20;

/// What a part may change by that has no part in a test: buffers that the C library needs once, and pages of its code and data
/// that are touched for the first time.
const SMALL: u64 = 64 << 10;

/// Code and data of files that is touched for the first time: the whole C library has about two MiB.
const CODE: u64 = 2 * MIB;

/// What was found out of a program in a mode.
struct Found {
    truth: Truth,
    first: Value,
    last: Value,
    report: Report,
}

fn number(reading: &Value, field: &str) -> u64 {
    reading[field].as_u64().expect("a field of a reading")
}

impl Found {
    fn last(&self, field: &str) -> u64 {
        number(&self.last, field)
    }

    /// By how much a part grew.
    fn grew(&self, field: &str) -> i64 {
        let grew = self.last(field).cast_signed() - number(&self.first, field).cast_signed();
        println!("{field} grew by {grew} to {}", self.last(field));
        grew
    }

    /// Asserts that no part but these changed.
    fn assert_others_rest(&self, but: &[&str]) {
        for part in RESIDENT_PARTS.iter().filter(|part| !but.contains(part)) {
            let most = if *part == "files" { CODE } else { SMALL };
            assert!(self.grew(part).unsigned_abs() <= most, "{part}");
        }
    }
}

/// Has a program work under memtrace, and stops it before the last reading: what the kernel says is of the same moment. Its sums are
/// read while the probes are on, which have pages too.
fn observed(name: &str, mode: &str) -> Found {
    let mut program = Program::start(name, &[mode]);
    let memtrace = Memtrace::attach(program.pid(), &[]);
    program.go();
    let truth = program.truth();
    program.stop();
    let pid = program.pid();
    let [rss, pss, swap, huge, lazy_free] =
        ["Rss", "Pss", "Swap", "AnonHugePages", "LazyFree"].map(|field| rollup(pid, field));
    let mappings = fs::read_to_string(format!("/proc/{pid}/maps")).map_or(0, |maps| maps.lines().count() as u64);
    let report = memtrace.finish();
    program.signal(Signal::CONT);
    let readings = report.profile["resident"]["readings"].as_array().expect("readings");
    for reading in readings {
        let sum: u64 = RESIDENT_PARTS.iter().map(|part| number(reading, part)).sum();
        assert_eq!(sum, number(reading, "rss"), "{reading}");
        assert_eq!(number(reading, "coarse"), 0);
    }
    let (first, last) = (readings[0].clone(), readings[readings.len() - 1].clone());
    println!("{mode}: {} readings, last {last}", readings.len());
    assert_eq!(number(&last, "rss"), rss, "what smaps_rollup says");
    assert_eq!(number(&last, "swap"), swap);
    assert_eq!((number(&last, "huge"), number(&last, "lazy_free")), (huge, lazy_free));
    // The kernel cuts off what is less than a KiB of each mapping, or of all.
    assert!(number(&last, "pss").abs_diff(pss) <= 1024 * (mappings + 1), "{pss}");
    let process = &report.profile["processes"][0]["resident"]["readings"];
    assert_eq!(process.as_array().and_then(|all| all.last()), Some(&last));
    report.assert_exact(&truth);
    Found {
        truth,
        first,
        last,
        report,
    }
}

#[test]
fn blocks_that_were_touched_are_live_to_the_byte() {
    require_root!();
    let found = observed("resident", "touch");
    assert_eq!(found.last("live"), found.truth.live().0);
    assert_eq!(found.last("absent"), 0);
    // What the heap has besides, of which the end was never touched.
    assert!(found.last("held") <= found.truth.value("arena") - found.truth.live().0);
    found.assert_others_rest(&["live"]);
}

#[test]
fn blocks_that_were_not_touched_are_not_resident() {
    require_root!();
    let found = observed("resident", "leave");
    let (bytes, count) = found.truth.live();
    // Of each the first page, where the allocator's own words are.
    assert!(found.last("live") <= count * PAGE);
    assert_eq!(found.last("live") + found.last("absent"), bytes);
    found.assert_others_rest(&["live"]);
    assert!(found.grew("rss") < 3 * MIB.cast_signed());
    assert!(
        found.report.stdout.contains("Live but not resident: 63."),
        "{}",
        found.report.stdout
    );
}

#[test]
fn gaps_between_blocks_are_held_by_the_allocator() {
    require_root!();
    let found = observed("resident", "fragment");
    let live = found.truth.live().0;
    assert_eq!(found.last("live"), live);
    // All of the heap was touched but for the end of the top chunk; that which is in no block is held.
    let arena = found.truth.value("arena");
    let held = found.last("held");
    assert!(held <= arena - live, "{held} of {arena}");
    assert!(
        held + found.truth.value("top") + PAGE >= arena - live,
        "{held} of {arena}"
    );
    // As much as the allocator itself calls free, headers and rounding apart.
    assert!(held + found.truth.value("top") >= found.truth.value("free"));
    found.assert_others_rest(&["live", "held"]);
    let text = &found.report.stdout;
    assert!(
        text.contains("free memory that glibc holds") && text.contains("malloc_trim(3)"),
        "{text}"
    );
}

#[test]
fn what_the_program_maps_is_its_own_as_far_as_it_is_touched() {
    require_root!();
    let found = observed("resident", "map");
    assert_eq!(found.grew("mapped"), 16 * MIB.cast_signed());
    found.assert_others_rest(&["mapped"]);
}

#[test]
fn stacks_of_threads_that_start_and_of_those_that_were_there() {
    require_root!();
    for mode in ["stacks", "threads"] {
        let found = observed("resident", mode);
        let grew = found.grew("stacks").cast_unsigned();
        // Eight times 2 MiB, and a few pages of each thread: what the C library keeps there, and its calls.
        let pages = grew.checked_sub(8 * 2 * MIB).map(|more| more / PAGE);
        assert!(pages.is_some_and(|pages| pages <= 8 * 8), "{grew}");
        found.assert_others_rest(&["stacks"]);
    }
}

#[test]
fn stacks_that_were_not_asked_for_as_such_are_told_by_their_guard() {
    require_root!();
    if let Err(why) = programs::available("resident-musl") {
        println!("skipped: {why}");
        return;
    }
    for mode in ["stacks", "threads"] {
        let found = observed("resident-musl", mode);
        let grew = found.grew("stacks").cast_unsigned();
        let pages = grew.checked_sub(8 * 2 * MIB).map(|more| more / PAGE);
        assert!(pages.is_some_and(|pages| pages <= 8 * 8), "{grew}");
        found.assert_others_rest(&["stacks"]);
    }
}

#[test]
fn files_and_shared_memory() {
    require_root!();
    let found = observed("resident", "files");
    let grew = found.grew("files").cast_unsigned();
    assert!((16 * MIB..16 * MIB + CODE).contains(&grew), "{grew}");
    found.assert_others_rest(&["files"]);
}

#[test]
fn memory_from_before_is_told_apart_from_blocks() {
    require_root!();
    let found = observed("resident", "fat");
    // 48,000 blocks of 1000 bytes, which glibc makes 1008 each.
    let before = 48_000 * 1008;
    let first = number(&found.first, "before");
    assert!((before..before + SMALL).contains(&first), "{first}");
    assert_eq!(number(&found.first, "live"), 0);
    assert_eq!(found.last("live"), MIB);
    found.assert_others_rest(&["live"]);
}

#[test]
fn a_program_that_is_started_has_nothing_from_before() {
    require_root!();
    let mut memtrace = Memtrace::run(
        &["--duration", "5s"],
        std::process::Command::new(programs::path("resident")).arg("fragment"),
    );
    memtrace.process().expect("ready ");
    memtrace.process().go();
    let truth = memtrace.process().truth();
    // The last reading is of the end of the observation, not of the program's.
    memtrace.process().expect("reports are in ");
    memtrace.process().close();
    let report = memtrace.ended();
    let readings = report.profile["resident"]["readings"].as_array().expect("readings");
    let last = readings.last().expect("a reading");
    println!("{last}");
    assert!(number(last, "before") <= SMALL);
    assert_eq!(number(last, "live"), truth.live().0);
    assert!(number(last, "held") > 20 * MIB);
}

#[test]
fn jemalloc_holds_what_it_says() {
    require_root!();
    if let Err(why) = programs::available("resident-jemalloc") {
        println!("skipped: {why}");
        return;
    }
    let found = observed("resident-jemalloc", "fragment");
    let live = found.truth.live().0;
    assert_eq!(found.last("live"), live);
    let all = found.last("live") + found.last("held") + found.last("mapped") + found.last("before");
    // Its own count of what is resident is an upper bound: it counts each page that it has not given back.
    let (active, resident) = (found.truth.value("stats.active"), found.truth.value("stats.resident"));
    println!("{all} of {active} to {resident}");
    assert!(all <= resident + SMALL);
    assert!(all >= active);
    found.assert_others_rest(&["live", "held", "mapped"]);
    assert!(
        found.report.stdout.contains("dirty_decay_ms"),
        "{}",
        found.report.stdout
    );
}
