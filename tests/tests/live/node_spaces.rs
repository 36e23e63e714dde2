//! The pages of V8's heaps among resident memory, against V8's own count of them and the kernel's of the whole.

use std::ops::RangeInclusive;

use memtrace_tests::{Memtrace, Program, RESIDENT_PARTS, Report, kernel::rollup, nodes, require, require_root};
use rustix::process::Signal;
use serde_json::Value;

const SCRIPT: &str = "v8_spaces.js";

/// So that functions have code of their own when they are called first, and collections can be asked for.
const OPTIONS: &[&str] = &["--always-sparkplug", "--expose-gc"];

/// An area of each heap: what a thread has been given to allocate in counts as used, and was not written to yet; a page more or less may be there when a
/// collection ends.
const SMALL: u64 = 2 << 18;

/// What V8 counts of a space, of all heaps of a process.
struct Counted {
    /// Bytes of its pages (`space_size`).
    size: RangeInclusive<u64>,
    /// Bytes of its objects (`space_used_size`), at least.
    used: u64,
}

/// What V8 counts, by so many of the last lines that the program has printed of it.
fn counted(program: &Program, space: &str, lines: usize) -> Counted {
    let output = program.output();
    let counts = output.lines().filter_map(|line| line.strip_prefix("counted "));
    let (mut sizes, mut used) = (Vec::new(), Vec::new());
    for line in counts.rev().take(lines) {
        let rows: Vec<(String, u64, u64)> = serde_json::from_str(line).expect("rows of numbers");
        let of = |number: fn(&(String, u64, u64)) -> u64| rows.iter().filter(|row| row.0 == space).map(number).sum();
        sizes.push(of(|row| row.1));
        used.push(of(|row| row.2));
    }
    sizes.sort_unstable();
    Counted {
        size: sizes[0]..=sizes[sizes.len() - 1],
        used: used.into_iter().min().expect("a count"),
    }
}

fn readings(report: &Report) -> &[Value] {
    report.profile["resident"]["readings"].as_array().expect("readings")
}

fn number(value: &Value, field: &str) -> u64 {
    value[field].as_u64().expect(field)
}

/// Pages, bytes, and resident bytes of a space in a reading.
fn space(reading: &Value, name: &str) -> [u64; 3] {
    let spaces = reading["spaces"].as_array().expect("spaces");
    let found = spaces.iter().find(|found| found["space"] == name);
    found.map_or([0; 3], |found| {
        ["pages", "bytes", "resident"].map(|field| number(found, field))
    })
}

/// A program that has heaps with something in most spaces before it is observed.
fn started(version: u32) -> Program {
    let mut program = nodes::start(version, OPTIONS, SCRIPT, &[]);
    for line in ["objects 100000", "large 10", "entries 20000", "compile 1000"] {
        nodes::ask(&mut program, line);
    }
    program
}

/// Counts that [`ended`] has made.
const AT_END: usize = 2;

/// Has the program count, and ends the observation while it stands still; what the kernel counts is of that moment too. Threads of V8's
/// compile beside the program, and what they have made may need a page of code between the count and the moment: so it counts again afterwards, before a
/// collection gives that page back.
fn ended(program: &mut Program, memtrace: Memtrace) -> Report {
    nodes::ask(program, "count");
    program.stop();
    let rss = rollup(program.pid(), "Rss");
    let report = memtrace.finish();
    program.signal(Signal::CONT);
    nodes::ask(program, "recount");
    for reading in readings(&report) {
        let sum: u64 = RESIDENT_PARTS.iter().map(|part| number(reading, part)).sum();
        assert_eq!(sum, number(reading, "rss"), "{reading}");
    }
    assert_eq!(number(readings(&report).last().expect("a reading"), "rss"), rss);
    report
}

/// Names of the spaces of all versions, in V8's words, but for what all heaps share.
const SPACES: [&str; 10] = [
    "new_space",
    "old_space",
    "code_space",
    "map_space",
    "shared_space",
    "trusted_space",
    "new_large_object_space",
    "large_object_space",
    "code_large_object_space",
    "trusted_large_object_space",
];

#[test]
fn spaces_have_the_pages_that_v8_counts() {
    require_root!();
    require!(nodes::all_there());
    for version in nodes::VERSIONS {
        let mut program = started(version);
        let memtrace = Memtrace::attach(program.pid(), &[]);
        let report = ended(&mut program, memtrace);
        let last = readings(&report).last().expect("a reading");
        assert_eq!(number(last, "heaps"), 2, "node {version}: that of the worker too");
        let mut resident = 0;
        for name in SPACES {
            let [pages, bytes, there] = space(last, name);
            let v8 = counted(&program, name, AT_END);
            assert!(
                v8.size.contains(&bytes),
                "node {version}: {name} has {pages} pages, {bytes} bytes of {:?}",
                v8.size
            );
            // Objects have been written to; of what is free between them some pages may have been given back.
            assert!(
                (v8.used.saturating_sub(SMALL)..=bytes).contains(&there),
                "node {version}: {name}, {there} of {bytes}"
            );
            if !name.contains("code") {
                resident += there;
            }
        }
        // Besides there are what all heaps share, and pages without objects.
        let others: u64 = ["read_only_space", "pooled"]
            .map(|name| space(last, name)[2])
            .iter()
            .sum();
        assert_eq!(number(last, "js_heap"), resident + others, "node {version}");
        let [read_only, bytes, there] = space(last, "read_only_space");
        assert!(read_only >= 1 && there > 0 && there <= bytes, "node {version}");
        let code: u64 = ["code_space", "code_large_object_space"]
            .map(|name| space(last, name)[2])
            .iter()
            .sum();
        assert!(
            (code..code + SMALL).contains(&number(last, "js_code")),
            "node {version}: {last}"
        );
        // What V8 had before is not from before, nor is what it mapped the program's.
        assert!(number(last, "before") < 16 << 20, "node {version}: {last}");
        assert!(report.stdout.contains("Pages of V8, 2 heaps"), "{}", report.stdout);
        nodes::ask(&mut program, "objects 1");
    }
}

#[test]
fn what_grows_grows_in_its_space() {
    require_root!();
    require!(nodes::all_there());
    let grown = [
        // Two objects and the numbers of an array: 80 bytes and more each.
        ("objects 200000", "old_space", 200_000 * 80),
        ("large 20", "large_object_space", 20 * 800_000),
        // Some hundred instructions each.
        ("compile 4000", "code_space", 4000 * 200),
    ];
    for version in nodes::VERSIONS {
        let mut program = started(version);
        nodes::ask(&mut program, "count");
        let before = grown.map(|(_, name, _)| counted(&program, name, 1));
        let memtrace = Memtrace::attach(program.pid(), &[]);
        for (line, ..) in grown {
            nodes::ask(&mut program, line);
        }
        let report = ended(&mut program, memtrace);
        let (first, last) = (&readings(&report)[0], readings(&report).last().expect("a reading"));
        for ((_, name, least), before) in grown.into_iter().zip(before) {
            // V8 may give pages back while memtrace attaches, but none with an object.
            let whole = before.used..=before.size.end() + SMALL;
            let [[pages_before, size, was], [pages, size_after, is]] =
                [first, last].map(|reading| space(reading, name));
            assert!(whole.contains(&size), "node {version}, {name}: {first}");
            let after = counted(&program, name, AT_END).size;
            assert!(
                *after.start() >= before.used + least,
                "node {version}, {name}: {after:?}"
            );
            assert!(
                after.contains(&size_after),
                "node {version}, {name}: {size_after} of {after:?}"
            );
            assert!(
                pages > pages_before,
                "node {version}, {name}: {pages_before} pages, {pages} then"
            );
            assert!(is > was + least / 2, "node {version}, {name}: {was}, {is} then");
        }
        nodes::ask(&mut program, "objects 1");
    }
}
