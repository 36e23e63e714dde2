//! Programs whose JavaScript heap is full: what is told of it, against what node prints as it ends, and the program's source.

#![expect(
    clippy::panic,
    clippy::print_stdout,
    reason = "a test prints what it compared, and fails by panicking"
)]

use std::{fs, os::unix::process::ExitStatusExt as _, process::Command};

use memtrace_tests::{Memtrace, Program, Report, nodes, on_one_line, programs, require, require_root};
use rustix::process::{Pid, Resource, Rlimit, prlimit, setrlimit};
use serde_json::Value;
use tempfile::TempDir;

const PROGRAM: &str = "out_of_heap.js";

/// The limit that programs are given.
const LIMIT: u64 = 40 << 20;
const LIMITED: &str = "--max-old-space-size=40";

/// The flags by which a version compiles nothing: compiled functions have no lines.
const fn interpreted(version: u32) -> &'static [&'static str] {
    match version {
        ..20 => &["--no-sparkplug", "--no-opt"],
        _ => &["--no-sparkplug", "--no-opt", "--no-maglev"],
    }
}

/// Starts the program. Who aborts leaves no file behind.
fn start((mut command, version): (Command, u32), flags: &[&str], arguments: &[&str]) -> Program {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    setrlimit(Resource::Core, none).expect("a limit can be lowered");
    command
        .env_remove("NODE_OPTIONS")
        .args(interpreted(version))
        .args(flags);
    Program::ready(command.arg(programs::source(PROGRAM)).args(arguments))
}

/// A version from npm.
fn of(version: u32) -> (Command, u32) {
    (Command::new(nodes::path(version)), version)
}

/// What is told in a report.
fn shortages(profile: &Value) -> &[Value] {
    assert_eq!(profile["javascript_shortages_dropped"], 0);
    profile["javascript_shortages"].as_array().expect("a list")
}

/// Lines of the program from one that has `begin` to the next that has `end`, from 1 on.
fn lines(begin: &str, end: &str) -> (u64, u64) {
    let source = fs::read_to_string(programs::source(PROGRAM)).expect("the program's source");
    let mut numbered = (1..).zip(source.lines());
    let (first, line) = numbered.find(|(_, line)| line.contains(begin)).expect(begin);
    let last = if line.contains(end) {
        first
    } else {
        numbered.find(|(_, line)| line.starts_with(end)).expect(end).0
    };
    (first, last)
}

/// Asserts that the innermost functions of JavaScript are those that fill the heap, at their lines, with native frames below and above.
fn assert_stack(shortage: &Value, top: &str) {
    let stack = shortage["stack"].as_array().expect("a stack");
    let is_javascript = |frame: &&Value| frame["kind"] == "javascript" && frame["file"].is_string();
    let own: Vec<_> = stack.iter().filter(is_javascript).collect();
    let text = |frame: &Value| frame["function"].as_str().unwrap_or_default().to_owned();
    let functions: Vec<_> = own.iter().map(|frame| text(frame)).collect();
    assert_eq!(functions[..2], ["keep", "serve"], "{shortage}");
    assert!(own[0]["file"].as_str().expect("a file").ends_with(PROGRAM));
    let (begin, end) = lines("function keep(", "}");
    let at = own[0]["line"].as_u64().expect("a line");
    assert!(begin < at && at < end, "{at} is not in {begin} to {end}");
    assert_eq!(own[1]["line"].as_u64(), Some(lines("// the call", "// the call").0));
    let native = |frame: &Value| frame["kind"] == "native" && text(frame).contains("::");
    assert!(text(&stack[0]).contains(top), "{}", stack[0]);
    assert!(
        stack.iter().take_while(|frame| native(frame)).count() >= 3,
        "V8's own: {stack:?}"
    );
    let last = text(stack.last().expect("a last frame"));
    assert!(["_start", "clone3"].contains(&&*last), "{stack:?}");
}

/// The object megabytes that the last collection which node prints has left.
fn left(errors: &str) -> f64 {
    let (_, last) = errors.rsplit_once(") -> ").expect("a collection");
    let (left, _) = last.split_once(' ').expect("a number");
    left.parse().expect("megabytes")
}

/// Asserts that a profile of a program that V8 has ended says so as node does.
fn assert_end(profile: &Value, pid: u32, errors: &str) {
    let all = shortages(profile);
    assert_eq!(all.len(), 1, "{all:?}");
    let end = &all[0];
    assert_eq!(
        (&end["kind"], &end["limit_bytes"]),
        (&"out_of_heap".into(), &LIMIT.into())
    );
    assert_eq!((&end["pid"], &end["tid"]), (&pid.into(), &pid.into()));
    let words = end["words"].as_str().expect("V8's words");
    let fatal = format!("FATAL ERROR: {words} Allocation failed - JavaScript heap out of memory");
    assert!(errors.contains(&fatal), "{words}: {errors}");
    let used = end["used_bytes"].as_u64().expect("a size") as f64 / 1_048_576.0;
    let left = left(errors);
    println!("{words}: {used:.1} MiB in objects, {left} MiB printed");
    // Where V8 gives up within a collection, node prints that one too.
    assert!((used - left).abs() < left / 10.0, "{used}, {left}");
    assert_stack(end, "FatalProcessOutOfMemory");
}

/// Asserts that V8 has ended a program.
fn assert_aborted(mut program: Program) -> String {
    let (status, _) = program.wait();
    let errors = program.errors();
    // Node aborts, or traps where the compiler has put an instruction for that.
    assert!(status.signal().is_some(), "{status}: {errors}");
    errors
}

/// Asserts that it was said at once, and that there is a profile of the moment, when it went on.
fn assert_own_profile(report: &Report, said: &str) {
    let line = report.stderr.lines().find(|line| line.starts_with(said));
    let directory = report.file("shortage-1");
    let line = line.unwrap_or_else(|| panic!("{said}: {}", report.stderr));
    assert!(line.ends_with(&format!("is in {}", directory.display())), "{line}");
    let profile = fs::read_to_string(directory.join("profile.json")).expect("a profile of that moment");
    let profile: Value = serde_json::from_str(&profile).expect("JSON");
    assert_eq!(shortages(&profile), shortages(&report.profile));
    assert_eq!(profile["target"]["end"], Value::Null);
    let observed = |profile: &Value| profile["observed_seconds"].as_f64().expect("seconds");
    let at = profile["javascript_shortages"][0]["at_seconds"]
        .as_f64()
        .expect("seconds");
    assert!(at <= observed(&profile) && observed(&profile) <= observed(&report.profile));
}

/// The end of a program in a node: what is told, where, and that reports begin with it.
pub(crate) fn compare_end(node: Command, version: u32) {
    println!("node {version}");
    let mut program = start((node, version), &[LIMITED], &["main"]);
    let pid = program.pid();
    let memtrace = Memtrace::attach(pid, &["--interpreter-frames"]);
    program.go();
    let report = memtrace.ended();
    let errors = assert_aborted(program);
    assert_end(&report.profile, pid, &errors);
    assert_own_profile(&report, "JavaScript: V8 ran out of heap after");
    let leaks = fs::read_to_string(report.directory.path().join("leaks.txt")).expect("a leak report");
    for text in [&report.stdout, &leaks] {
        assert!(on_one_line(text).contains("V8 ran out of heap after"), "{text}");
        assert!(text.contains("keep (programs/out_of_heap.js:"), "{text}");
    }
    report.assert_files();
}

#[test]
fn the_end_of_a_program_is_told_with_its_stack() {
    require_root!();
    require!(nodes::all_there());
    for version in nodes::VERSIONS {
        compare_end(Command::new(nodes::path(version)), version);
    }
}

#[test]
fn a_worker_that_is_ended_is_told_while_the_process_lives_on() {
    require_root!();
    require!(nodes::all_there());
    for version in nodes::VERSIONS {
        let mut program = start(of(version), &[], &["worker", "20"]);
        let pid = program.pid();
        let memtrace = Memtrace::attach(pid, &["--interpreter-frames"]);
        program.go();
        let thread: u64 = program.expect("thread ").trim().parse().expect("a number");
        program.truth();
        let report: Report = memtrace.finish();
        let (status, printed) = program.end();
        assert!(status.success(), "{status}");
        assert!(printed.contains("error ERR_WORKER_OUT_OF_MEMORY"), "{printed}");
        let all = shortages(&report.profile);
        println!("node {version}: {} told, limit {}", all.len(), all[0]["limit_bytes"]);
        assert_eq!(all.len(), 1, "{all:?}");
        let ended = &all[0];
        assert_eq!(
            (&ended["kind"], &ended["limit_bytes"], &ended["words"]),
            (&"worker_out_of_heap".into(), &(20_u64 << 20).into(), &Value::Null)
        );
        assert_eq!((&ended["pid"], &ended["tid"]), (&pid.into(), &thread.into()));
        assert_stack(ended, "node::worker::Worker::NearHeapLimit");
        assert_own_profile(
            &report,
            &format!("JavaScript: A worker ran out of heap in thread {thread} after"),
        );
        let said = format!("A worker ran out of heap in thread {thread} after");
        assert!(on_one_line(&report.stdout).contains(&said), "{}", report.stdout);
    }
}

#[test]
fn a_heap_snapshot_near_the_limit_is_told_and_what_comes_then_is_recorded() {
    require_root!();
    require!(nodes::all_there());
    for version in nodes::VERSIONS {
        let folder = TempDir::new().expect("a folder");
        let to = format!("--diagnostic-dir={}", folder.path().display());
        let flags = [LIMITED, "--heapsnapshot-near-heap-limit=1", &to];
        let mut program = start(of(version), &flags, &["main"]);
        let pid = program.pid();
        let file = folder.path().join("end.memtrace");
        let mut recorder = Program::spawn(Memtrace::command(["record", "--pid", &pid.to_string(), "-o"]).arg(&file));
        recorder.expect_error("attached to");
        program.go();
        let (status, said) = recorder.wait();
        assert!(status.success(), "{status}: {said}");
        let errors = assert_aborted(program);
        let out = folder.path().join("report");
        let read = Memtrace::finish_command(
            Memtrace::command(["report", "--interpreter-frames"])
                .arg(&file)
                .arg("-o")
                .arg(&out),
        );
        assert!(read.status.success(), "{read:?}");
        let profile = fs::read_to_string(out.join("profile.json")).expect("a profile");
        let profile: Value = serde_json::from_str(&profile).expect("JSON");
        let all = shortages(&profile);
        let kinds: Vec<_> = all.iter().map(|shortage| shortage["kind"].as_str()).collect();
        println!("node {version}: {kinds:?}");
        // Where the snapshot itself needs more than there is, V8 asks again.
        let (last, before) = kinds.split_last().expect("some");
        assert_eq!(*last, Some("out_of_heap"));
        assert!(
            !before.is_empty() && before.iter().all(|kind| *kind == Some("near_limit")),
            "{kinds:?}"
        );
        assert_eq!(all[0]["limit_bytes"], LIMIT);
        assert_stack(&all[0], "node::Environment::NearHeapLimitCallback");
        let last = all.last().expect("a last one");
        assert!(last["limit_bytes"].as_u64() >= Some(LIMIT), "{last}");
        let words = last["words"].as_str().expect("V8's words");
        assert!(errors.contains(&format!("FATAL ERROR: {words} ")), "{words}: {errors}");
        assert!(read.stdout.contains("V8 ran out of heap"), "{}", read.stdout);
    }
}

/// How much more memory than it has a program may map.
const MORE: u64 = 30 << 20;

/// Bytes that a process has mapped.
fn mapped(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
    let size = status.lines().find_map(|line| line.strip_prefix("VmSize:"));
    let kibibytes = size.and_then(|size| size.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kibibytes.expect("its size") << 10
}

#[test]
fn memory_that_is_not_of_the_heap_is_told_apart() {
    require_root!();
    require!(nodes::all_there());
    for version in nodes::VERSIONS {
        let mut program = start(of(version), &[], &["parse"]);
        let pid = program.pid();
        let memtrace = Memtrace::attach(pid, &["--interpreter-frames"]);
        let most = Rlimit {
            current: Some(mapped(pid) + MORE),
            maximum: None,
        };
        let raw = i32::try_from(pid).ok().and_then(Pid::from_raw);
        prlimit(raw, Resource::As, most).expect("a limit can be set");
        program.go();
        let report = memtrace.ended();
        let errors = assert_aborted(program);
        let all = shortages(&report.profile);
        assert_eq!(all.len(), 1, "{errors}");
        let words = all[0]["words"].as_str().expect("V8's words");
        println!("node {version}: {words}");
        assert_eq!(
            (&all[0]["kind"], &all[0]["tid"]),
            (&"out_of_memory".into(), &pid.into())
        );
        let fatal = format!("FATAL ERROR: {words} Allocation failed - process out of memory");
        assert!(errors.contains(&fatal), "{words}: {errors}");
        let mut stack = all[0]["stack"].as_array().expect("a stack").iter();
        let own = |frame: &&Value| frame["file"].as_str().is_some_and(|file| file.ends_with(PROGRAM));
        let line = lines("// the parser", "// the parser").0;
        let first = stack.find(own).expect("a function of the program");
        assert_eq!((&first["function"], &first["line"]), (&"parse".into(), &line.into()));
        let said = "V8 ran out of memory for something else than objects after";
        assert!(on_one_line(&report.stdout).contains(said), "{}", report.stdout);
        assert_own_profile(&report, &format!("JavaScript: {said}"));
    }
}
