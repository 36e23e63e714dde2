//! The heap of JavaScript's objects, against what V8 itself prints of it: `--trace-gc`, and in numbers `--trace-gc-nvp`.

#![expect(
    clippy::panic,
    clippy::print_stdout,
    reason = "a test prints what it compared, and fails by panicking"
)]

use std::{collections::BTreeMap, process::Command};

use memtrace_tests::{Memtrace, Program, Report, nodes, on_one_line, programs, require, require_root};
use serde_json::Value;
use tempfile::TempDir;

/// Bytes of V8's megabyte.
const MEGABYTE: f64 = 1_048_576.0;

fn start(mut command: Command, flags: &[&str], arguments: &[&str]) -> Program {
    command.env_remove("NODE_OPTIONS").args(flags).arg("--expose-gc");
    Program::ready(command.arg(programs::source("v8_heap.js")).args(arguments))
}

/// What memtrace and V8 say of a program's work, and what the program does.
struct Seen {
    report: Report,
    printed: String,
    pid: u32,
}

fn observed(node: Command, flags: &[&str], arguments: &[&str], options: &[&str]) -> Seen {
    let mut program = start(node, flags, arguments);
    let pid = program.pid();
    let memtrace = Memtrace::attach(pid, options);
    program.go();
    program.truth();
    let report = memtrace.finish();
    let (status, printed) = program.end();
    assert!(status.success(), "{status}");
    Seen { report, printed, pid }
}

impl Seen {
    /// The heap of the main thread.
    fn main(&self) -> &Value {
        self.report.js_heap(self.pid)
    }
}

fn list<'a>(heap: &'a Value, name: &str) -> &'a [Value] {
    heap[name].as_array().unwrap_or_else(|| panic!("no {name}: {heap}"))
}

fn number(value: &Value, name: &str) -> u64 {
    value[name].as_u64().unwrap_or_else(|| panic!("no {name}: {value}"))
}

/// The lines that V8 prints at collections, each with the isolate that it is about.
fn lines(printed: &str) -> Vec<(&str, &str)> {
    let all = printed.lines().filter_map(|line| {
        let (isolate, rest) = line.strip_prefix('[')?.split_once(']')?;
        Some((isolate, rest.split_once(" ms: ")?.1))
    });
    all.collect()
}

/// From the first to the last element that passes.
fn between<T>(all: &[T], passes: impl Fn(&T) -> bool) -> &[T] {
    let first = all.iter().position(&passes).expect("a first one");
    let last = all.iter().rposition(&passes).expect("a last one");
    &all[first..=last]
}

/// As V8 prints a size.
fn megabytes(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / MEGABYTE)
}

/// What a line of `--trace-gc` says that a collection which the program asked for has left, in megabytes.
fn after_asked(line: &str) -> Option<&str> {
    let (_, after) = line.split_once("-> ")?;
    line.contains("testing").then_some(after.split_once(' ')?.0)
}

/// A line of `--trace-gc` without the pause: `Scavenge 8.8 (13.1) -> 4.9 (13.1) MB`, and the reason.
fn shown(collection: &Value, version: u32) -> (String, String) {
    let kind = match collection["kind"].as_str() {
        Some("scavenge") => "Scavenge",
        // As the versions of V8 call it.
        Some("mark-compact") if version < 20 => "Mark-sweep",
        Some("mark-compact") => "Mark-Compact",
        other => panic!("{other:?}"),
    };
    let megabytes = |name: &str| megabytes(number(collection, name));
    let sizes = format!(
        "{kind} {} ({}) -> {} ({}) MB",
        megabytes("before_bytes"),
        megabytes("before_memory_bytes"),
        megabytes("after_bytes"),
        megabytes("after_memory_bytes")
    );
    (sizes, collection["reason"].as_str().expect("a reason").to_owned())
}

#[test]
fn collections_are_those_that_v8_prints() {
    require_root!();
    require!(nodes::all_there());
    for version in nodes::VERSIONS {
        let node = nodes::path(version);
        let seen = observed(Command::new(&node), &["--trace-gc"], &["json", "30000"], &[]);
        let printed = lines(&seen.printed);
        let printed = between(&printed, |(_, line)| line.contains("testing"));
        let all = list(seen.main(), "collections");
        let told = between(all, |collection| collection["reason"] == "testing");
        println!(
            "node {version}: {} collections printed, {} told",
            printed.len(),
            told.len()
        );
        assert!(printed.len() > 10, "{}", seen.printed);
        assert_eq!(printed.len(), told.len());
        for ((_, line), collection) in printed.iter().zip(told) {
            let (sizes, reason) = shown(collection, version);
            let line = line.replace("(reduce) ", "");
            assert!(
                line.starts_with(&sizes) && line.contains(&reason),
                "{sizes}, {reason}: {line}"
            );
            let paused = collection["pause_seconds"].as_f64().expect("a pause");
            assert!(paused > 0.0 && paused < 30.0, "{collection}");
        }
        let pauses = list(seen.main(), "pauses");
        let counted: u64 = pauses.iter().map(|pauses| number(pauses, "count")).sum();
        assert_eq!((counted, all.len() as u64), (number(seen.main(), "collected"), counted));
        for name in ["lost_js_allocations", "lost_collections", "unread_collections"] {
            assert_eq!(seen.report.counter(name), 0, "{name}");
        }
    }
}

/// A number of a line of `--trace-gc-nvp`, by the names that the versions of V8 have for it.
fn named(line: &str, names: [&str; 2]) -> i64 {
    let found = line.split_whitespace().find_map(|word| {
        let (name, number) = word.split_once('=')?;
        names.contains(&name).then(|| number.parse().ok())?
    });
    found.unwrap_or_else(|| panic!("no {names:?}: {line}"))
}

/// What V8 has seen taken between the first and the last full collection of each isolate: at each collection, how much larger the heap is than
/// the one before had left it. V8 prints that difference too (`allocated`), but what 10.2 prints at the first scavenge while marking goes on is
/// the size of the whole heap.
fn allocated(printed: &str) -> Vec<u64> {
    let mut isolates: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (isolate, line) in lines(printed).into_iter().filter(|(_, line)| line.contains(" gc=")) {
        isolates.entry(isolate).or_default().push(line);
    }
    let sums = isolates.values().filter_map(|lines| {
        let is_full = |line: &&str| line.contains(" gc=m");
        lines.iter().any(is_full).then_some(())?;
        let work = between(lines, is_full);
        let grown = work.windows(2).map(|pair| {
            let left = named(pair[0], ["total_size_after", "end_object_size"]);
            // Sweeping may have made it smaller.
            named(pair[1], ["total_size_before", "start_object_size"]) - left
        });
        Some(grown.sum::<i64>().cast_unsigned())
    });
    sums.collect()
}

/// Lines as V8 10.2 prints them: the second collection comes while marking goes on, and its `allocated` is wrong.
#[test]
fn what_was_taken_is_the_difference_of_sizes() {
    let printed = "[7:0x10]       10 ms: pause=1 gc=ms total_size_before=900 total_size_after=400 allocated=900\n\
                   [7:0x10]       12 ms: Scavenge 1.0 (2.0) -> 1.0 (2.0) MB\n\
                   [7:0x10]       20 ms: pause=1 gc=s total_size_before=1000 total_size_after=500 allocated=1000\n\
                   [7:0x10]       30 ms: pause=1 gc=ms total_size_before=450 total_size_after=300 allocated=18446744073709551566\n";
    assert_eq!(allocated(printed), [600 - 50]);
}

/// Asserts that two sums are the same within a hundredth.
fn assert_near(told: u64, counted: u64, what: &str) {
    println!("{what}: {told} told, {counted} counted");
    assert!(counted > 20_000_000, "{what}: too little work: {counted}");
    assert!(told.abs_diff(counted) <= counted / 100, "{what}: {told}, {counted}");
}

/// Asserts that all that a thread has taken is in some space, and nearly all in one that is known.
fn assert_spaces(heap: &Value) {
    let spaces = list(heap, "spaces").iter();
    let taken: BTreeMap<_, _> = spaces
        .map(|space| {
            (
                space["space"].as_str().expect("a name"),
                number(space, "allocated_bytes"),
            )
        })
        .collect();
    println!("  {taken:?}");
    let all = number(heap, "allocated_bytes");
    assert_eq!(taken.values().sum::<u64>(), all);
    let unknown = taken.get("unknown").copied().unwrap_or(0);
    assert!(unknown <= all / 100, "{taken:?}");
    assert!(
        taken["young"] > all / 2,
        "most of this work makes objects that are young: {taken:?}"
    );
}

/// Compares what a program's main thread takes.
pub(crate) fn compare_counted(node: Command, kind: &str, amount: &str, name: &str) {
    let seen = observed(node, &["--trace-gc-nvp", "--trace-gc"], &[kind, amount], &[]);
    let counted = allocated(&seen.printed);
    let main = seen.main();
    assert_eq!(counted.len(), 1, "{counted:?}");
    assert_near(number(main, "allocated_bytes"), counted[0], &format!("{name}, {kind}"));
    assert_spaces(main);
    let steps = list(main, "steps").iter().map(|step| step[1].as_u64().expect("bytes"));
    assert_eq!(steps.sum::<u64>(), number(main, "allocated_bytes"));
}

#[test]
fn what_is_allocated_is_what_v8_counts() {
    require_root!();
    require!(nodes::all_there());
    for version in nodes::VERSIONS {
        let node = nodes::path(version);
        for (kind, amount) in [("json", "60000"), ("http", "4000")] {
            compare_counted(Command::new(&node), kind, amount, &format!("node {version}"));
        }
    }
}

#[test]
fn each_worker_has_a_heap_of_its_own() {
    require_root!();
    require!(nodes::all_there());
    for version in nodes::VERSIONS {
        let node = nodes::path(version);
        let seen = observed(
            Command::new(&node),
            &["--trace-gc-nvp", "--trace-gc"],
            &["workers", "80000"],
            &[],
        );
        let mut counted = allocated(&seen.printed);
        counted.sort_unstable_by(|one, other| other.cmp(one));
        assert_eq!(counted.len(), 2, "{counted:?}");
        // Who has taken most comes first, and the main thread only waits.
        let told = seen.report.js_heaps().iter().take(counted.len());
        let told = told
            .inspect(|heap| assert_spaces(heap))
            .map(|heap| number(heap, "allocated_bytes"));
        for (told, counted) in told.zip(counted) {
            assert_near(told, counted, &format!("node {version}, a worker"));
        }
    }
}

#[test]
fn what_full_collections_leave_is_a_curve_that_is_recorded_too() {
    require_root!();
    require!(nodes::all_there());
    for version in nodes::VERSIONS {
        let node = nodes::path(version);
        let mut program = start(Command::new(&node), &["--trace-gc"], &["leak", "6"]);
        let folder = TempDir::new().expect("a folder");
        let file = folder.path().join("leak.memtrace");
        let mut recorder =
            Program::spawn(Memtrace::command(["record", "--pid", &program.pid().to_string(), "-o"]).arg(&file));
        recorder.expect_error("attached to");
        program.go();
        program.truth();
        recorder.signal(rustix::process::Signal::INT);
        let (status, said) = recorder.wait();
        assert!(status.success(), "{status}: {said}");
        let (status, printed) = program.end();
        assert!(status.success(), "{status}");
        let out = folder.path().join("report");
        let read = Memtrace::finish_command(Memtrace::command(["report"]).arg(&file).arg("-o").arg(&out));
        assert!(read.status.success(), "{read:?}");
        let profile = std::fs::read_to_string(out.join("profile.json")).expect("a profile");
        let profile: Value = serde_json::from_str(&profile).expect("JSON");
        let heap = &profile["javascript_heaps"][0];
        let points = list(heap, "after_full").iter();
        let told: Vec<u64> = points.map(|point| point[1].as_u64().expect("bytes")).collect();
        let shown: Vec<String> = told.iter().map(|bytes| megabytes(*bytes)).collect();
        let printed: Vec<&str> = lines(&printed)
            .into_iter()
            .filter_map(|(_, line)| after_asked(line))
            .collect();
        println!("node {version}: {told:?}");
        // One before, one in each round, two behind.
        assert_eq!((told.len(), shown.iter().map(String::as_str).collect()), (9, printed));
        assert!(told[6] > told[1] + 5_000_000, "{told:?}");
        let trend = &heap["trend"];
        assert_eq!(trend["points"], 9);
        assert!(trend["bytes_per_minute"].as_f64().expect("a slope") > 1e6, "{trend}");
        assert!(
            read.stdout
                .contains("After full collections the JavaScript heap grows by"),
            "{}",
            read.stdout
        );
    }
}

#[test]
fn without_symbols_native_memory_is_observed_and_the_reason_said() {
    require_root!();
    require!(nodes::all_there());
    let folder = TempDir::new().expect("a folder");
    let stripped = folder.path().join("node");
    let done = Command::new("objcopy")
        .arg("--strip-all")
        .args([&nodes::path(24), &stripped])
        .status();
    assert!(done.expect("objcopy of binutils").success());
    let program = start(Command::new(&stripped), &[], &["json", "100"]);
    let doctor = Memtrace::finished(["doctor", "--pid", &program.pid().to_string()]);
    assert!(doctor.stdout.contains("is not counted"), "{}", doctor.stdout);
    drop(program);
    let seen = observed(Command::new(&stripped), &[], &["json", "20000"], &[]);
    assert!(seen.report.js_heaps().is_empty());
    assert!(!seen.report.rows().is_empty(), "what native code allocates is seen");
    let words = on_one_line(&seen.report.stdout);
    assert!(words.contains("what JavaScript allocates is not counted in"), "{words}");
}

#[test]
fn doctor_says_where_v8_tells_of_its_heap() {
    require_root!();
    require!(nodes::all_there());
    for version in nodes::VERSIONS {
        let node = nodes::path(version);
        let program = start(Command::new(&node), &[], &["json", "100"]);
        let doctor = Memtrace::finished(["doctor", "--pid", &program.pid().to_string()]);
        let words = on_one_line(&doctor.stdout);
        assert!(
            words.contains("what JavaScript allocates and V8 collects is counted"),
            "node {version}: {}",
            doctor.stdout
        );
    }
}
