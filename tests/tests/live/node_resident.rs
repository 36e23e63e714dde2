//! Resident memory of node programs that grow by their heap, by buffers, or by memory of a library: each is named for what it is.

use memtrace_tests::{Memtrace, Program, Report, nodes, on_one_line, programs, require, require_root};

const SCRIPT: &str = "live_heap.js";

/// Bytes of a buffer, and of a block of the library.
const BLOCK: u64 = 100_000;

/// To be told of every call.
const WHOLE: &[&str] = &["--every-call"];

/// The report of a program that does something while it is observed.
fn observed(version: u32, line: &str, options: &[&str]) -> (Report, Program) {
    let library = programs::path("libnodeleak.so");
    let mut program = nodes::start(version, &[], SCRIPT, &["native", library.to_str().expect("text")]);
    nodes::ask(&mut program, "answer");
    let memtrace = Memtrace::attach(program.pid(), options);
    nodes::ask(&mut program, line);
    (memtrace.finish(), program)
}

/// What the report says of JavaScript, on one line.
fn said(report: &Report) -> String {
    let text = on_one_line(&report.stdout);
    // The second is in the first.
    let at = text
        .find("It is not JavaScript:")
        .or_else(|| text.find("JavaScript: of what was taken"));
    let at = at.expect("something is said of JavaScript");
    text[at..].split(". ").next().expect("a sentence").to_owned()
}

/// Bytes of the number before a word: `71.9 MiB are mapped`.
fn number(sentence: &str, before: &str) -> f64 {
    let words: Vec<_> = sentence
        .split(before)
        .next()
        .expect(before)
        .split_whitespace()
        .collect();
    let [number, unit] = words.last_chunk().expect("a number");
    let units = ["B", "KiB", "MiB", "GiB"];
    let scale = units.iter().position(|known| known == unit).expect("a unit");
    number.parse::<f64>().expect("a number") * 1024_f64.powi(i32::try_from(scale).expect("a small number"))
}

/// Bytes of live blocks that a file asked for, by its row in the summary.
fn asked(report: &Report, who: &str) -> f64 {
    let (_, rows) = report
        .stdout
        .split_once("by the file whose code asked for them:")
        .expect("rows of files");
    let row = rows.lines().find(|row| row.ends_with(who));
    assert!(row.is_some(), "no row of {who}: {rows}");
    number(row.unwrap_or_default(), who)
}

#[test]
fn a_heap_that_grows_is_v8s() {
    require_root!();
    require!(nodes::all_there());
    for version in nodes::VERSIONS {
        let (report, mut program) = observed(version, "grow 300000", WHOLE);
        let sentence = said(&report);
        assert!(sentence.starts_with("JavaScript: "), "node {version}: {sentence}");
        // Two objects and the numbers of an array: 80 bytes and more each.
        assert!(
            number(&sentence, " are mapped for V8's heap") > 24e6,
            "node {version}: {sentence}"
        );
        assert!(number(&sentence, " are in buffers") < 5e6, "node {version}: {sentence}");
        nodes::ask(&mut program, "answer");
    }
}

/// Within a budget too: what V8 maps is always seen, and of buffers what the allocator takes.
#[test]
fn what_grew_is_named_by_default() {
    require_root!();
    require!(nodes::all_there());
    for version in nodes::VERSIONS {
        for line in ["grow 300000", "buffers 400"] {
            let (report, mut program) = observed(version, line, &[]);
            let sentence = said(&report);
            assert!(sentence.starts_with("JavaScript: "), "node {version}: {sentence}");
            let (heap, buffers) = (
                number(&sentence, " are mapped for V8's heap"),
                number(&sentence, " are in buffers"),
            );
            let (more, less) = if line.starts_with("grow") {
                (heap, buffers)
            } else {
                (buffers, heap)
            };
            assert!(more > 20e6 && less < 10e6, "node {version}, {line}: {sentence}");
            nodes::ask(&mut program, "answer");
        }
    }
}

#[test]
fn buffers_that_are_kept_are_buffers() {
    require_root!();
    require!(nodes::all_there());
    for version in nodes::VERSIONS {
        let (report, mut program) = observed(version, "buffers 400", WHOLE);
        let sentence = said(&report);
        assert!(sentence.starts_with("JavaScript: "), "node {version}: {sentence}");
        let (found, wanted) = (number(&sentence, " are in buffers"), (400 * BLOCK) as f64);
        // Shown with three digits; the program's own buffers for its output are there too.
        assert!(
            (wanted * 0.99..wanted * 1.05).contains(&found),
            "node {version}: {sentence}"
        );
        let row = asked(&report, "buffers of JavaScript (Buffer, ArrayBuffer)");
        assert!((wanted * 0.99..wanted * 1.05).contains(&row), "node {version}: {row}");
        nodes::ask(&mut program, "answer");
    }
}

#[test]
fn memory_of_a_library_is_not_javascripts() {
    require_root!();
    require!(nodes::all_there());
    for version in nodes::VERSIONS {
        let (report, mut program) = observed(version, "native 600", WHOLE);
        let sentence = said(&report);
        assert!(
            sentence.starts_with("It is not JavaScript: "),
            "node {version}: {sentence}"
        );
        assert_eq!(report.site("leak_native").bytes, 600 * BLOCK, "node {version}");
        // Shown with three digits.
        let (row, wanted) = (asked(&report, "libnodeleak.so"), (600 * BLOCK) as f64);
        assert!((wanted * 0.999..wanted * 1.001).contains(&row), "node {version}: {row}");
        nodes::ask(&mut program, "answer");
    }
}
