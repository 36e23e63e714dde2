//! Heaps of running node programs, by their inspector: against what the programs know of their objects. Each program is in a network
//! namespace of its own, so that its ports are its own too.

use std::{fs, process::Command};

use memtrace_tests::{Finished, Memtrace, Program, nodes, programs, require, require_root};
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

const SCRIPT: &str = "live_heap.js";

/// Objects of `Kept` that the program has.
const KEPT: u64 = 4321;

/// A program with the number of its threads before anything is done to it.
struct Target {
    program: Program,
    threads: usize,
}

impl Target {
    fn start(version: u32) -> Self {
        let mut program = nodes::start(version, &[], SCRIPT, &[]);
        nodes::ask(&mut program, "answer");
        let threads = nodes::threads(&program);
        Self { program, threads }
    }

    /// The arguments of a verb for it.
    fn arguments<'a>(&self, verb: &'a str, more: &[&'a str]) -> Vec<String> {
        let pid = self.program.pid().to_string();
        let all = ["heap", verb, "--pid", &pid].into_iter().chain(more.iter().copied());
        all.map(str::to_owned).collect()
    }

    fn finished(&self, verb: &str, more: &[&str]) -> Finished {
        Memtrace::finished(self.arguments(verb, more))
    }

    fn spawned(&self, verb: &str, more: &[&str]) -> Program {
        Program::spawn(&mut Memtrace::command(self.arguments(verb, more)))
    }

    /// Nothing listens, no thread is left, and it goes on.
    fn assert_as_before(&mut self) {
        nodes::ask(&mut self.program, "answer");
        assert_eq!(nodes::listening(&self.program), 0, "{}", self.program.errors());
        assert_eq!(nodes::threads(&self.program), self.threads);
    }
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

fn done(finished: &Finished) -> Value {
    assert!(finished.status.success(), "{finished:?}");
    json(&finished.stdout)
}

/// How many objects of a class a snapshot has, by the file's own words.
fn counted(snapshot: &Value, class: &str) -> usize {
    let meta = &snapshot["snapshot"]["meta"];
    let fields = meta["node_fields"].as_array().expect("fields");
    let at = |name: &str| fields.iter().position(|field| field == name).expect("a field");
    let types = meta["node_types"][at("type")].as_array().expect("types");
    let object = types.iter().position(|kind| kind == "object").expect("a type");
    let strings = snapshot["strings"].as_array().expect("strings");
    let name = strings.iter().position(|string| string == class).expect("the name");
    let nodes = snapshot["nodes"].as_array().expect("nodes");
    nodes
        .chunks(fields.len())
        .filter(|node| node[at("type")] == object && node[at("name")] == name)
        .count()
}

#[test]
fn a_snapshot_has_the_programs_objects() {
    require_root!();
    require!(nodes::all_there());
    let here = TempDir::new().expect("a temporary directory");
    for version in nodes::VERSIONS {
        let mut target = Target::start(version);
        nodes::ask(&mut target.program, "allocate 321");
        let file = here.path().join(format!("{version}.heapsnapshot"));
        let finished = target.finished("snapshot", &["--yes", "-o", file.to_str().expect("text")]);
        assert!(finished.status.success(), "{finished:?}");
        finished.assert_says(&["more memory", "the snapshot is in"]);
        let snapshot = json(&fs::read_to_string(&file).expect("a snapshot"));
        // The prototype of a class is an object of that name too in some versions.
        for (class, wanted) in [("Kept", 4321), ("Fresh", 321)] {
            let found = counted(&snapshot, class);
            assert!(
                (wanted..=wanted + 1).contains(&found),
                "node {version}: {found} of {class}"
            );
        }
        target.assert_as_before();
    }
}

/// The row of a class.
fn class<'a>(rows: &'a Value, name: &str) -> &'a Value {
    let rows = rows["classes"].as_array().expect("classes");
    rows.iter().find(|row| row["name"] == name).expect(name)
}

#[test]
fn a_histogram_counts_the_programs_objects() {
    require_root!();
    require!(nodes::all_there());
    for version in nodes::VERSIONS {
        let mut target = Target::start(version);
        let found = done(&target.finished("histogram", &["--yes", "--json"]));
        let kept = class(&found["heap"], "Kept");
        assert_eq!(kept["count"].as_u64(), Some(KEPT), "node {version}: {kept}");
        assert!(kept["retained"].as_u64() >= kept["shallow"].as_u64(), "{kept}");
        target.assert_as_before();
        let text = target.finished("histogram", &["--yes", "--sort", "count"]).stdout;
        let row = text.lines().find(|line| line.contains(" Kept (script "));
        assert!(row.is_some_and(|row| row.trim().starts_with("4,321 ")), "{text}");
        target.assert_as_before();
    }
}

#[test]
fn a_difference_is_what_came_and_what_went() {
    require_root!();
    require!(nodes::all_there());
    for version in nodes::VERSIONS {
        let mut target = Target::start(version);
        nodes::ask(&mut target.program, "allocate 500");
        let mut memtrace = target.spawned("diff", &["--yes", "--json", "--interval", "1h"]);
        memtrace.expect_error("memtrace: the second snapshot is taken in");
        nodes::ask(&mut target.program, "forget");
        nodes::ask(&mut target.program, "allocate 77");
        memtrace.signal(Signal::INT);
        let (status, stdout) = memtrace.wait();
        assert!(status.success(), "{}", memtrace.errors());
        let found = json(&stdout);
        let fresh = class(&found["comparison"], "Fresh");
        let counts = [&fresh["added_count"], &fresh["removed_count"]].map(Value::as_u64);
        assert_eq!(counts, [Some(77), Some(500)], "node {version}: {fresh}");
        let rows = found["comparison"]["classes"].as_array().expect("classes");
        assert!(rows.iter().all(|row| row["name"] != "Kept"), "they stay what they are");
        target.assert_as_before();
    }
}

/// What a sample says of a function of the program: bytes of its own, and the line where it begins.
fn function<'a>(found: &'a Value, name: &str) -> Option<&'a Value> {
    let rows = found["sample"]["functions"].as_array().expect("functions");
    rows.iter()
        .find(|row| row["name"] == name && row["url"].as_str().is_some_and(|url| url.ends_with(SCRIPT)))
}

/// Samples the program while it leaks and churns.
fn sampled(target: &mut Target, more: &[&str]) -> Value {
    let mut memtrace = target.spawned("sample", &[&["--json", "--duration", "1h"], more].concat());
    memtrace.expect_error("memtrace: sampling process");
    nodes::ask(&mut target.program, "churn 4000");
    nodes::ask(&mut target.program, "leak 2000");
    memtrace.signal(Signal::INT);
    let (status, stdout) = memtrace.wait();
    assert!(status.success(), "{}", memtrace.errors());
    json(&stdout)
}

/// Bytes of 2000 arrays with 1000 elements of 8 bytes.
const LEAKED: u64 = 16_000_000;

/// Asserts bytes within what samples every 32 KiB tell of 16 MB: five standard deviations of some 490 samples are 23 %.
fn assert_about(row: &Value, wanted: u64) {
    let found = row["own"].as_u64().expect("bytes");
    assert!(
        found > wanted / 4 * 3 && found < wanted / 4 * 5,
        "{found} of {wanted}: {row}"
    );
}

#[test]
fn a_sample_names_the_function_that_leaks_with_its_line() {
    require_root!();
    require!(nodes::all_there());
    let source = fs::read_to_string(programs::source(SCRIPT)).expect("the program");
    let line = source
        .lines()
        .position(|line| line.starts_with("function leak("))
        .expect("the function")
        + 1;
    let here = TempDir::new().expect("a temporary directory");
    for version in nodes::VERSIONS {
        let mut target = Target::start(version);
        let file = here.path().join(format!("{version}.heapprofile"));
        let found = sampled(&mut target, &["-o", file.to_str().expect("text")]);
        let leak = function(&found, "leak").expect("the function that leaks");
        assert_about(leak, LEAKED);
        assert_eq!(leak["line"].as_u64(), Some(line as u64), "node {version}");
        let churned = function(&found, "churn").map_or(0, |row| row["own"].as_u64().expect("bytes"));
        assert!(
            churned < LEAKED / 10,
            "node {version}: {churned} bytes live that were collected"
        );
        target.assert_as_before();
        let profile = json(&fs::read_to_string(&file).expect("a profile"));
        assert_eq!(profile["head"]["callFrame"]["functionName"], "(root)");
    }
}

#[test]
fn all_that_was_allocated_is_sampled_where_v8_can() {
    require_root!();
    require!(nodes::all_there());
    for version in nodes::VERSIONS {
        let mut target = Target::start(version);
        if version < 20 {
            let finished = target.finished("sample", &["--allocated", "--duration", "1h"]);
            finished.assert_refused(&["--allocated takes node 20", "is node 18"]);
        } else {
            let found = sampled(&mut target, &["--allocated"]);
            assert_about(function(&found, "leak").expect("the function that leaks"), LEAKED);
            assert_about(
                function(&found, "churn").expect("the function that does not"),
                2 * LEAKED,
            );
        }
        target.assert_as_before();
    }
}

#[test]
fn an_inspector_that_is_open_is_used_and_stays_open() {
    require_root!();
    require!(nodes::all_there());
    for (version, options, more) in [
        (18, &["--inspect"][..], &[][..]),
        (24, &["--inspect=127.0.0.1:9301"], &[]),
        (
            22,
            &["--inspect=0.0.0.0:9301", "--disable-sigusr1"],
            &["--inspector-port", "9301"],
        ),
    ] {
        let mut program = nodes::start(version, options, SCRIPT, &[]);
        nodes::ask(&mut program, "answer");
        let threads = nodes::threads(&program);
        let mut target = Target { program, threads };
        for _ in 0..2 {
            let found = done(&target.finished("histogram", &[&["--yes", "--json"], more].concat()));
            assert_eq!(class(&found["heap"], "Kept")["count"].as_u64(), Some(KEPT));
            nodes::ask(&mut target.program, "answer");
            assert_eq!(nodes::listening(&target.program), 1, "it is not ours to close");
        }
        let finished = target.finished("histogram", &["--yes", "--inspector-port", "9999"]);
        finished.assert_refused(&["does not listen on port 9999"]);
    }
}

#[test]
fn a_port_of_somebody_else_is_not_taken_for_the_programs() {
    require_root!();
    require!(nodes::all_there());
    let first = nodes::start(22, &["--inspect"], SCRIPT, &[]);
    let program = nodes::start_beside(&first, 20, SCRIPT);
    let mut second = Target {
        threads: nodes::threads(&program),
        program,
    };
    let finished = second.finished("histogram", &["--yes"]);
    let owner = format!("process {} (", first.pid());
    finished.assert_refused(&["port 9229", "is taken by", &owner]);
    nodes::ask(&mut second.program, "answer");
    assert_eq!(nodes::threads(&second.program), second.threads);
    assert!(!second.program.errors().contains("inspector"), "no signal was sent");
    drop(first);
    // In its network namespace the way is another one.
    let mut command = Command::new("nsenter");
    command
        .args(["--net", "--target", &second.program.pid().to_string()])
        .arg(Memtrace::binary());
    let found = done(&Memtrace::finish_command(
        command.args(second.arguments("histogram", &["--yes", "--json"])),
    ));
    assert_eq!(class(&found["heap"], "Kept")["count"].as_u64(), Some(KEPT));
    second.assert_as_before();
}
