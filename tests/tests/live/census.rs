//! The census of a Python heap, against what the interpreter says of its own: by size from `sys._debugmallocstats`, by type from `gc`.

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use memtrace_tests::{Memtrace, PATIENCE, Program, pythons, require_root, wait_until};
use serde_json::Value;

/// Pools, blocks in use, free blocks of a size.
type Sizes = BTreeMap<u64, [u64; 3]>;

fn start(interpreter: &Path, environment: &[(&str, &str)]) -> Program {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/programs/heap.py");
    Program::ready(
        Command::new(interpreter)
            .env_remove("PYTHONMALLOC")
            .envs(environment.iter().copied())
            .arg(script),
    )
}

/// What a program says of itself after the `time`th step, and what the census says.
fn step(program: &mut Program, time: usize) -> (Value, Sizes, Value) {
    program.send("");
    // Two pipes, each read by a thread of its own: what was written first may come second.
    let told = wait_until(PATIENCE, || {
        let text = program.errors();
        let parts: Vec<&str> = text.split("stats are out\n").collect();
        let stats = (parts.len() == time + 2).then(|| sizes(parts[time]))?;
        let output = program.output();
        // Whole lines only.
        let lines = output.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        let truth = lines.filter_map(|line| line.strip_prefix("truth ")).nth(time)?;
        Some((stats, truth.to_owned()))
    });
    let (stats, truth) = told.expect("statistics of the interpreter and a line of truth");
    let truth = serde_json::from_str(&truth).expect("JSON");
    // It waits for its next step then.
    let waits = wait_until(PATIENCE, || {
        let call = fs::read_to_string(format!("/proc/{}/syscall", program.pid())).ok()?;
        call.starts_with("0 0x0 ").then_some(())
    });
    waits.expect("a program that waits");
    (truth, stats, census(program.pid()))
}

fn census(pid: u32) -> Value {
    let finished = Memtrace::finished(["census", "--json", "--pid", &pid.to_string()]);
    assert!(finished.status.success(), "{finished:?}");
    let census = serde_json::from_str(&finished.stdout).expect("JSON");
    assert_sums(&census);
    census
}

fn number(value: &Value, path: &str) -> u64 {
    value
        .pointer(path)
        .and_then(Value::as_u64)
        .expect("a number in a census")
}

/// Every block is of one kind.
fn assert_sums(census: &Value) {
    for unit in ["count", "bytes"] {
        let types = census["types"].as_array().expect("types").iter();
        let objects: u64 = types.map(|kind| number(kind, &format!("/objects/{unit}"))).sum();
        let rest: u64 = ["unowned", "unknown", "unread"]
            .map(|part| number(census, &format!("/{part}/{unit}")))
            .iter()
            .sum();
        assert_eq!(objects + rest, number(census, &format!("/blocks/{unit}")), "{unit}");
    }
}

/// The table of `sys._debugmallocstats`: class, bytes, pools, blocks in use, free blocks.
fn sizes(text: &str) -> Sizes {
    let rows = text.lines().filter_map(|line| {
        let numbers: Option<Vec<u64>> = line.split_whitespace().map(|word| word.parse().ok()).collect();
        let numbers: [u64; 5] = numbers?.try_into().ok()?;
        Some((numbers[1], [numbers[2], numbers[3], numbers[4]]))
    });
    rows.collect()
}

fn sizes_of(census: &Value) -> Sizes {
    let rows = census["sizes"].as_array().expect("sizes").iter();
    rows.map(|row| {
        (
            number(row, "/block"),
            ["pools", "used", "free"].map(|field| number(row, &format!("/{field}"))),
        )
    })
    .collect()
}

fn objects(census: &Value, name: &str) -> u64 {
    let in_script = format!("__main__.{name}");
    let mut rows = census["types"].as_array().expect("types").iter();
    let row = rows.find(|row| row["name"] == name || row["name"] == in_script);
    row.map_or(0, |row| number(row, "/objects/count"))
}

/// Asserts that blocks by size and objects by type are what the interpreter says.
fn assert_truth(truth: &Value, stats: &Sizes, census: &Value, debug: bool) {
    let mut wanted = stats.clone();
    // What `os.read` keeps ready while it waits.
    let waiting = if debug { 64 } else { 48 };
    let row = wanted.get_mut(&waiting).expect("blocks of that size");
    row[1] += 1;
    row[2] = row[2].checked_sub(1).expect("a free block");
    assert_eq!(sizes_of(census), wanted);
    for (name, count) in truth.as_object().expect("types") {
        assert_eq!(Some(objects(census, name)), count.as_u64(), "{name}");
    }
    assert!(
        census["health"]
            .as_object()
            .expect("health")
            .values()
            .all(|value| value == 0 || value == false)
    );
    assert_eq!(census["debug_hooks"], debug);
}

#[test]
fn blocks_and_objects_are_those_that_the_interpreter_counts() {
    require_root!();
    for interpreter in pythons() {
        for (environment, debug) in [(&[][..], false), (&[("PYTHONMALLOC", "debug")], true)] {
            let mut program = start(&interpreter, environment);
            let (before_truth, before_stats, before) = step(&mut program, 0);
            assert_truth(&before_truth, &before_stats, &before, debug);
            let (truth, stats, after) = step(&mut program, 1);
            assert_truth(&truth, &stats, &after, debug);
            println!(
                "{}: {} and {}: {truth}",
                interpreter.display(),
                before["blocks"],
                after["blocks"]
            );
            for (name, count) in [
                ("Plain", 20_000),
                ("Slots", 1_667),
                ("Bare", 3_000),
                ("Number", 1_234),
                ("Made", 777),
                ("Mapping", 55),
            ] {
                assert_eq!(objects(&after, name), count, "{name}");
            }
            assert_eq!(objects(&after, "float") - objects(&before, "float"), 7_777);
            assert_eq!(objects(&after, "function") - objects(&before, "function"), 1_000);
        }
    }
}

#[test]
fn two_censuses_tell_what_grew() {
    require_root!();
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let mut program = start(Path::new("/usr/bin/python3"), &[]);
    let pid = program.pid().to_string();
    step(&mut program, 0);
    let kept = Memtrace::finished(["census", "--pid", &pid, "-o", &file("a")]);
    assert!(
        kept.status.success() && kept.stdout.contains("Python heap of"),
        "{kept:?}"
    );
    step(&mut program, 1);
    assert!(
        Memtrace::finished(["census", "--pid", &pid, "-o", &file("b")])
            .status
            .success()
    );
    let text = Memtrace::finished(["census", "--diff", &file("a"), &file("b")]).stdout;
    println!("{text}");
    let row = text
        .lines()
        .find(|line| line.ends_with("  __main__.Plain"))
        .expect("a row of what grew");
    assert!(row.contains("+20,000"), "{row}");
    let document = Memtrace::finished(["census", "--json", "--diff", &file("a"), &file("b")]).stdout;
    let document: Value = serde_json::from_str(&document).expect("JSON");
    let types = document["types"].as_array().expect("types");
    let grown = types.iter().find(|row| row["name"] == "__main__.Bare").expect("a type");
    assert_eq!(number(grown, "/after/count") - number(grown, "/before/count"), 3_000);
    assert_eq!(document["same_process"], true);
}

#[test]
fn a_program_that_works_is_read_whole() {
    require_root!();
    let script = "import os\nkept = {}\nprint('ready ', flush=True)\nn = 0\nwhile True:\n    n += 1\n    kept[n % 10000] = [str(n), (n,), {n: n}]";
    for interpreter in pythons() {
        let program = Program::ready(Command::new(&interpreter).args(["-c", script]));
        for _ in 0..3 {
            let census = census(program.pid());
            let torn = number(&census, "/health/torn_pools") + number(&census, "/health/unreadable_pools");
            assert!(torn <= 8, "{}: {}", interpreter.display(), census["health"]);
        }
    }
}

#[test]
fn what_has_no_such_heap_is_refused() {
    require_root!();
    let census = |pid: u32| Memtrace::finished(["census", "--pid", &pid.to_string()]);
    let native = Program::start("life", &["plain"]);
    census(native.pid()).assert_refused(&["no interpreter of CPython", "_PyRuntime"]);
    let other = start(Path::new("/usr/bin/python3"), &[("PYTHONMALLOC", "malloc")]);
    census(other.pid()).assert_refused(&["PYTHONMALLOC=malloc"]);
    census(u32::MAX / 2).assert_refused(&["no process"]);
    Memtrace::finished(["census", "--diff", "/etc/passwd", "/nonexistent"])
        .assert_refused(&["/etc/passwd", "no census"]);
    assert_eq!(Memtrace::finished(["census"]).status.code(), Some(2));
}
