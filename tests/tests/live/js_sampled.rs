//! Where JavaScript's objects are allocated, against V8's own sampler.

#![expect(clippy::print_stdout, reason = "a test prints what it compared")]

use std::{collections::BTreeMap, process::Command};

use memtrace_tests::{Memtrace, Program, nodes, programs, require, require_root};
use serde_json::Value;

/// The versions whose sampler can count what is collected meanwhile too; that of 18 counts what is live.
const VERSIONS: [u32; 3] = [20, 22, 24];

const UNINLINED: [&str; 2] = ["--no-turbo-inlining", "--no-maglev-inlining"];

/// How many functions are compared: those to which V8 charges most.
const COMPARED: usize = 10;

/// By how much a share may differ, where there are enough samples to tell.
const NEAR: f64 = 0.03;

/// Parts of all bytes, by function and script; what no function of a name has is one.
type Shares = BTreeMap<(String, String), f64>;

/// What V8 says. It names what is not a function of JavaScript in parentheses.
fn charged(values: &BTreeMap<String, u64>) -> Shares {
    let all: u64 = values.values().sum();
    let mut shares = Shares::new();
    for (name, bytes) in values {
        let (function, script) = name.split_once(' ').expect("function and script");
        let key = match function.strip_prefix('(') {
            Some(_) => Default::default(),
            None => (function.to_owned(), script.to_owned()),
        };
        *shares.entry(key).or_default() += *bytes as f64 / all as f64;
    }
    shares
}

/// What memtrace says, and the part of what nobody has written to. It tells functions without a name apart by where they begin.
fn told(heap: &Value) -> (Shares, f64) {
    let functions = heap["functions"].as_array().expect("a list of functions");
    let is_written = |function: &&Value| function["is_written"].as_bool().expect("a truth");
    let share = |function: &Value| function["share"].as_f64().expect("a share");
    let unwritten = functions
        .iter()
        .find(|function| !is_written(function))
        .map_or(0.0, share);
    let mut shares = Shares::new();
    for function in functions.iter().filter(is_written) {
        let text = |name: &str| function[name].as_str().unwrap_or_default().to_owned();
        let name = text("function");
        let name = if name.starts_with("<anonymous") {
            String::new()
        } else {
            name
        };
        *shares.entry((name, text("file"))).or_default() += share(function);
    }
    (shares, unwritten)
}

fn compare(kind: &str, amount: &str) {
    require_root!();
    require!(nodes::all_there());
    for version in VERSIONS {
        let mut command = Command::new(nodes::path(version));
        command.env_remove("NODE_OPTIONS");
        // What V8 compiles into a caller is charged to the caller from then on, and it may do so between what is compared.
        command
            .args(UNINLINED)
            .arg(programs::source("js_sampled.js"))
            .args([kind, amount]);
        let mut program = Program::ready(&mut command);
        let pid = program.pid();
        let memtrace = Memtrace::attach(pid, &["--javascript-sites"]);
        program.go();
        program.expect("worked");
        let report = memtrace.finish();
        program.send("again");
        let truth = program.truth();
        program.kill();
        let heap = report.js_heap(pid);
        let samples = heap["samples"].as_f64().expect("a number");
        println!(
            "node {version}, {kind}: {samples} samples for {} of {} bytes",
            heap["sampled_bytes"], heap["allocated_bytes"]
        );
        // On a busy machine there are half as many as on a quiet one.
        assert!(samples > 250.0, "{}", report.stdout);
        let (told, unwritten) = told(heap);
        println!("  {:.1} % were never written to", 100.0 * unwritten);
        let number = |name: &str| heap[name].as_f64().expect("a number");
        let seen = number("sampled_bytes") / number("allocated_bytes");
        // Where memtrace says that it has missed much, as on a busy machine, shares are of what was seen, and anybody may have the rest.
        let (seen, missed) = if seen < 0.9 { (seen, 1.0 - seen) } else { (1.0, 0.0) };
        let mut charged: Vec<_> = charged(&truth.values).into_iter().collect();
        charged.sort_unstable_by(|(_, one), (_, other)| other.total_cmp(one));
        for (key, share) in charged.into_iter().take(COMPARED) {
            let found = told.get(&key).copied().unwrap_or_default();
            // What the number of samples allows: three and a half standard deviations.
            let deviation = (share * (1.0 - share) / samples).sqrt();
            println!("  {key:?}: {:.1} % told, {:.1} % by V8", 100.0 * found, 100.0 * share);
            let near = NEAR.max(3.5 * deviation);
            // V8 charges a function for what it has taken and given back too.
            assert!(
                seen * found < share + near && seen * found + missed > share - unwritten - near,
                "node {version}, {kind}, {key:?}: {found}, {share}, {missed} missed"
            );
        }
    }
}

#[test]
fn shares_of_a_server_are_those_of_the_sampler_of_v8() {
    compare("http", "100000");
}

#[test]
fn shares_of_a_loop_are_those_of_the_sampler_of_v8() {
    compare("json", "400000");
}
