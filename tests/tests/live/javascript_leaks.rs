//! Leaks of node programs: each is named by its function, file and line; those on V8's heap by its inspector, those outside by what is attached.

use std::{collections::BTreeMap, thread, time::Duration};

use memtrace_tests::{Memtrace, Program, nodes, programs, require, require_root};
use serde_json::Value;

const SCRIPT: &str = "javascript_leaks.js";

/// How long leaks are looked at: eight times the age from which on blocks are suspected.
const OBSERVED: Duration = Duration::from_secs(8);

/// The program at work.
fn started(version: u32) -> Program {
    let library = programs::path("libnodeleak.so");
    nodes::start(version, &[], SCRIPT, &[library.to_str().expect("text")])
}

fn ended(program: Program, version: u32) {
    assert_eq!(nodes::listening(&program), 0, "node {version}");
    let (status, _) = program.end();
    assert!(status.success(), "node {version}: what it computes is right: {status}");
}

/// What each of these keeps at least: a fifth of 800 arrays with 250 elements, because V8 compiles some functions into their callers meanwhile, and then
/// counts them there.
const LEAKED: u64 = 320_000;

/// The four kinds that are on V8's heap.
const ON_HEAP: [&str; 4] = ["map", "listener", "closure", "timer"];

#[test]
fn javascript_leaks_on_the_heap_are_named_by_function_and_line() {
    require_root!();
    require!(nodes::all_there());
    let lines = programs::marked(SCRIPT, "// leak ");
    for version in nodes::VERSIONS {
        let mut program = started(version);
        program.go();
        program.expect("round 100");
        let pid = program.pid().to_string();
        let sampled = Memtrace::finished([
            "heap",
            "sample",
            "--pid",
            &pid,
            "--duration",
            "8s",
            "--interval",
            "4KiB",
            "--json",
        ]);
        assert!(sampled.status.success(), "{sampled:?}");
        let found: Value = serde_json::from_str(&sampled.stdout).expect("JSON");
        let functions = found["sample"]["functions"].as_array().expect("functions");
        let own = |line: u64| -> u64 {
            let of_line = functions.iter().filter(|row| {
                row["line"].as_u64() == Some(line) && row["url"].as_str().is_some_and(|url| url.ends_with(SCRIPT))
            });
            of_line.map(|row| row["own"].as_u64().expect("a number")).sum()
        };
        for kind in ON_HEAP {
            let leaked = own(lines[kind]);
            assert!(
                leaked > LEAKED,
                "node {version}: {leaked} bytes of {kind}: {functions:?}"
            );
        }
        for (kind, line) in programs::marked(SCRIPT, "// no leak ") {
            let kept = own(line);
            assert!(
                kept < LEAKED / 2,
                "node {version}: {kept} bytes of {kind}: {functions:?}"
            );
        }
        ended(program, version);
    }
}

/// What each of the two kinds outside of the heap keeps at least for a second and more: a third of 800 buffers of 20,000 bytes, and of 200 blocks of 100,000.
/// V8 compiles functions into their caller meanwhile, which is shown then.
const KEPT: u64 = 5_000_000;

/// Frames of JavaScript in the program's own file: function and line.
fn own_frames(row: &Value) -> Vec<(&str, Option<u64>)> {
    let frames = row["stack"].as_array().into_iter().flatten();
    let of_script = |frame: &&Value| {
        frame["kind"] == "javascript" && frame["file"].as_str().is_some_and(|file| file.ends_with(SCRIPT))
    };
    frames
        .filter(of_script)
        .map(|frame| (frame["function"].as_str().unwrap_or_default(), frame["line"].as_u64()))
        .collect()
}

#[test]
fn javascript_leaks_outside_of_the_heap_are_named_by_function_and_line() {
    require_root!();
    require!(nodes::all_there());
    let lines = programs::marked(SCRIPT, "// keeps ");
    for version in nodes::VERSIONS {
        let mut program = started(version);
        let memtrace = Memtrace::attach(program.pid(), &["--every-call", "--min-age", "1s"]);
        program.go();
        program.expect("round 100");
        thread::sleep(OBSERVED);
        let report = memtrace.finish();
        let (mut sums, mut places) = (BTreeMap::<&str, u64>::new(), Vec::new());
        for row in report.rows().iter().filter(|row| !row["verdict"].is_null()) {
            if let Some(&(function, line)) = own_frames(row).first() {
                *sums.entry(function).or_default() += row["suspected"]["bytes"].as_u64().expect("a number");
                places.push((function, line, row["stack"].to_string().contains("leak_native")));
            }
        }
        println!("node {version}: {sums:?}");
        for (kind, function) in [("buffer", "keepBuffer"), ("native", "keepNative")] {
            let kept = sums.get(function).copied().unwrap_or(0);
            assert!(kept > KEPT, "node {version}: {kind}: {}", report.stdout);
            // A site ends where V8 compiles one of its functions, and another one without that line begins.
            let mut of_function = places.iter().filter(|place| place.0 == function);
            assert!(
                of_function
                    .clone()
                    .all(|place| place.1.is_none_or(|line| line == lines[kind]))
            );
            assert!(of_function.any(|place| place.1.is_some() && place.2 == (kind == "native")));
        }
        // What nobody needs any more is there until V8 collects it.
        sums.retain(|function, _| !["keepBuffer", "keepNative", "turn"].contains(function));
        assert!(sums.values().all(|&bytes| bytes < KEPT), "node {version}: {sums:?}");
        ended(program, version);
    }
}
