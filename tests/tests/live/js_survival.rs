//! What becomes of young objects, against a program that knows how long its own live.

#![expect(
    clippy::panic,
    clippy::print_stdout,
    reason = "a test prints what it compared, and fails by panicking"
)]

use std::process::Command;

use memtrace_tests::{Memtrace, Program, nodes, on_one_line, programs, require, require_root};
use serde_json::Value;

/// Each half of young space has 4 MiB, and V8 puts nothing into old space by itself: the program's header says what follows.
const FLAGS: [&str; 3] = [
    "--no-allocation-site-pretenuring",
    "--min-semi-space-size=4",
    "--max-semi-space-size=4",
];

/// Some 370 MB: of each function there are tens of objects.
const ROUNDS: &str = "4000";

fn start(version: u32, kind: &str) -> Program {
    let mut command = Command::new(nodes::path(version));
    command.env_remove("NODE_OPTIONS").args(FLAGS);
    Program::ready(command.arg(programs::source("js_survival.js")).args([kind, ROUNDS]))
}

fn number(value: &Value, name: &str) -> f64 {
    value[name].as_f64().unwrap_or_else(|| panic!("no {name}: {value}"))
}

/// What is told of a function.
#[derive(Debug)]
struct Told {
    followed: f64,
    survived: f64,
    promoted: f64,
    low: f64,
    high: f64,
    bytes: f64,
}

fn told(heap: &Value, name: &str) -> Told {
    let functions = heap["functions"].as_array().expect("a list of functions");
    let found = functions.iter().find(|function| function["function"] == name);
    let function = found.unwrap_or_else(|| panic!("no {name}: {functions:?}"));
    Told {
        followed: number(function, "followed"),
        survived: number(function, "survived"),
        promoted: number(function, "promoted"),
        low: number(function, "promoted_share_low"),
        high: number(function, "promoted_share_high"),
        bytes: number(function, "estimated_promoted_bytes"),
    }
}

fn what_lives_is_told(kind: &str) {
    require_root!();
    require!(nodes::all_there());
    for version in nodes::VERSIONS {
        let (report, truth) = Memtrace::traced(start(version, kind), &["--javascript-sites"]);
        let heaps = report.profile["javascript_heaps"].as_array().expect("a list of heaps");
        let heap = heaps.iter().max_by_key(|heap| heap["samples"].as_u64());
        let heap = heap.unwrap_or_else(|| panic!("no heap: {}", report.stdout));
        let [leak, ring, short] = ["leak", "ring", "short"].map(|name| told(heap, name));
        println!("node {version}, {kind}:\n  leak {leak:?}\n  ring {ring:?}\n  short {short:?}");
        for (of, least) in [(&leak, 8.0), (&ring, 20.0), (&short, 50.0)] {
            assert!(of.followed >= least, "node {version}: {of:?}");
            assert!(of.survived >= of.promoted && of.followed >= of.survived, "{of:?}");
            let share = of.promoted / of.followed;
            assert!(of.low <= share && share <= of.high, "{of:?}");
        }
        // Whatever is taken for an object of another function is told of the wrong one: one in ten is allowed.
        assert!(leak.promoted >= 0.9 * leak.followed, "node {version}: {leak:?}");
        assert!(ring.promoted <= 0.1 * ring.followed, "node {version}: {ring:?}");
        assert!(short.survived <= 0.1 * short.followed, "node {version}: {short:?}");
        // About half of it, as young space has 4 MiB less what has survived there.
        let survived = ring.survived / ring.followed;
        assert!((0.3..0.95).contains(&survived), "node {version}: {ring:?}");
        // Of these bytes there are few samples.
        let kept = truth.value("leak") as f64;
        println!("  {} of {kept} bytes that are kept", leak.bytes);
        assert!(
            (0.4..2.0).contains(&(leak.bytes / kept)),
            "node {version}: {leak:?}, {kept}"
        );
        for name in ["js_followed_unread", "lost_js_survivals"] {
            assert_eq!(report.counter(name), 0, "node {version}: {name}");
        }
        let words = on_one_line(&report.stdout);
        assert!(words.contains("What became of its young objects, by"), "{words}");
    }
}

#[test]
fn what_leaks_becomes_old_and_what_is_short_lived_does_not() {
    what_lives_is_told("main");
}

#[test]
fn objects_of_a_worker_are_followed_as_those_of_the_main_thread() {
    what_lives_is_told("worker");
}
