//! Real programs under load: their answers are those they give alone, and they go on after the tracer.

#![expect(
    clippy::panic,
    clippy::print_stdout,
    reason = "a test prints what it compared and panics to fail"
)]

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use memtrace_tests::{Memtrace, PATIENCE, Program, Report, kernel, require_root, require_tool, wait_until};

/// What a command prints by itself.
fn alone(command: &mut Command) -> String {
    let output = command
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn assert_sound(report: &Report) {
    println!("health: {}", report.profile["health"]);
    println!("live: {}", report.profile["totals"]["live"]);
    assert!(report.status.success(), "{}", report.stderr);
    for name in ["conflicts", "malformed", "forgotten_frees", "stacks.collisions"] {
        assert_eq!(report.health(name), 0, "health.{name}");
    }
    report.assert_files();
}

/// Runs a script of an interpreter twice, once traced from its first line on; both print the same.
fn same_answer(interpreter: &str, arguments: &[&str]) -> Report {
    let script = |command: &mut Program| {
        command.expect("ready");
        command.go();
    };
    let start = || Program::spawn(Command::new(interpreter).args(arguments));
    let answer = |program: &mut Program| program.expect("answer ");
    let mut reference = start();
    script(&mut reference);
    let wanted = answer(&mut reference);
    assert!(reference.end().0.success());

    let mut program = start();
    program.expect("ready");
    let memtrace = Memtrace::attach(program.pid(), &["--every-call", "--ring-size", "64MiB"]);
    script(&mut program);
    let traced = answer(&mut program);
    let report = memtrace.finish();
    println!("alone: {wanted}\ntraced: {traced}");
    assert_eq!(traced, wanted);
    assert!(program.is_alive(), "the program goes on");
    assert_eq!(
        kernel::patched(program.pid()).expect("the code can be read"),
        Vec::<String>::new()
    );
    let (status, _) = program.end();
    assert!(status.success(), "the program ended with {status}");
    assert_sound(&report);
    report
}

#[test]
fn redis_under_load() {
    require_root!();
    require_tool!("redis-server");
    require_tool!("redis-benchmark");
    let directory = tempfile::tempdir().expect("a temporary directory");
    let socket = directory.path().join("redis.sock");
    let client = |arguments: &[&str]| alone(Command::new("redis-cli").arg("-s").arg(&socket).args(arguments));
    let load = |tests: &str| {
        let mut command = Command::new("redis-benchmark");
        command
            .arg("-s")
            .arg(&socket)
            .args(["-q", "-n", "20000", "-r", "5000", "-d", "100", "-t", tests]);
        alone(&mut command)
    };
    let mut server = Command::new("redis-server");
    server
        .args([
            "--port",
            "0",
            "--save",
            "",
            "--appendonly",
            "no",
            "--daemonize",
            "no",
            "--unixsocket",
        ])
        .arg(&socket);
    let mut server = Program::spawn(server.arg("--dir").arg(directory.path()));
    wait_until(PATIENCE, || Path::new(&socket).exists().then_some(())).expect("redis listens");
    client(&["SET", "before", "1"]);

    let memtrace = Memtrace::attach(server.pid(), &["--ring-size", "64MiB"]);
    println!("{}", load("set,get,lpush,hset"));
    for number in 0..50 {
        client(&["SET", &format!("answer:{number}"), &(number * number).to_string()]);
    }
    let report = memtrace.finish();
    for number in [0, 7, 49] {
        assert_eq!(
            client(&["GET", &format!("answer:{number}")]).trim(),
            (number * number).to_string()
        );
    }
    assert_eq!(client(&["GET", "before"]).trim(), "1");
    assert_eq!(
        client(&["LLEN", "mylist"]).trim(),
        "20000",
        "every push of the benchmark arrived"
    );
    println!("{}", load("set"));
    assert!(server.is_alive(), "redis goes on");
    assert_eq!(
        kernel::patched(server.pid()).expect("the code can be read"),
        Vec::<String>::new()
    );
    println!("allocators: {}", report.profile["target"]["allocators"]);
    assert_sound(&report);
    server.signal(rustix::process::Signal::TERM);
    assert!(server.wait().0.success(), "redis ends well");
}

#[test]
fn python() {
    require_root!();
    require_tool!("python3");
    let script = r#"
import hashlib, json, sys
print("ready", flush=True)
sys.stdin.readline()
big = bytearray(50_000_000)
kept = [("key%d" % n, [n] * 20, {"n": n}) for n in range(20000)]
text = json.dumps(kept)
print("answer", hashlib.sha256(text.encode()).hexdigest(), len(big), flush=True)
sys.stdin.readline()
"#;
    let report = same_answer("python3", &["-c", script]);
    let (bytes, _) = report.class("heap");
    println!("live heap {bytes} bytes, of which 50000001 are one bytearray");
    assert!((50_000_001..400_000_000).contains(&bytes), "{bytes}");
    let largest = report
        .rows()
        .iter()
        .filter_map(|row| row["live"]["bytes"].as_u64())
        .max();
    assert!(largest >= Some(50_000_001), "one site holds the bytearray: {largest:?}");
}

#[test]
fn node() {
    require_root!();
    require_tool!("node");
    let script = r#"
const crypto = require("crypto");
console.log("ready");
let input = process.stdin;
let started = false;
input.on("data", () => {
  if (started) return;
  started = true;
  const kept = [];
  for (let n = 0; n < 200; n++) kept.push(Buffer.alloc(100000, n % 251));
  const hash = crypto.createHash("sha256");
  for (const buffer of kept) hash.update(buffer);
  globalThis.kept = kept;
  console.log("answer " + hash.digest("hex"));
});
input.on("end", () => process.exit(0));
"#;
    let report = same_answer("node", &["-e", script]);
    let (bytes, _) = report.class("heap");
    println!("live heap {bytes} bytes, of which 20000000 are buffers");
    assert!(bytes >= 20_000_000, "{bytes}");
}

#[test]
fn git() {
    require_root!();
    require_tool!("git");
    let directory = tempfile::tempdir().expect("a temporary directory");
    let git = |arguments: &[&str]| {
        let mut command = Command::new("git");
        command
            .current_dir(directory.path())
            .args(["-c", "user.name=Test", "-c", "user.email=test@example.com"]);
        // No settings and no helpers of the user who runs the test.
        command
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .args(arguments);
        command
    };
    alone(&mut git(&["init", "--quiet"]));
    for number in 0..40 {
        let lines: Vec<String> = (0..200).map(|line| (line * number % 97).to_string()).collect();
        fs::write(directory.path().join(format!("file{}", number % 7)), lines.join("\n")).expect("a file");
        alone(&mut git(&["add", "."]));
        alone(&mut git(&[
            "commit",
            "--quiet",
            "--message",
            &format!("change {number}"),
        ]));
    }
    let output = directory.path().join(".git/traced");
    let log = |target: &str| git(&["log", "--patch", "--stat", &format!("--output={target}")]);
    alone(&mut log(".git/alone"));
    let report = Memtrace::run(&["--ring-size", "64MiB"], &mut log(".git/traced")).ended();
    let [wanted, traced] =
        [directory.path().join(".git/alone"), output].map(|path| fs::read(path).expect("the output"));
    println!("git log printed {} bytes", traced.len());
    assert!(
        traced == wanted && traced.len() > 10_000,
        "the traced git printed something else"
    );
    assert_sound(&report);
    let (bytes, blocks) = (
        &report.profile["totals"]["allocated"]["bytes"],
        &report.profile["totals"]["allocated"]["count"],
    );
    println!("allocated {bytes} bytes in {blocks} blocks");
    assert!(
        blocks.as_u64() > Some(1000),
        "a log of 40 changes takes more than a thousand blocks"
    );
}

#[test]
fn sqlite() {
    require_root!();
    require_tool!("sqlite3");
    let directory = tempfile::tempdir().expect("a temporary directory");
    let query = "create table t(n, s);
        with recursive c(n) as (select 1 union all select n + 1 from c where n < 20000)
        insert into t select n, hex(n * n) || printf('%050d', n) from c;
        create index i on t(s);
        select count(*), sum(n), max(s), total(length(s)) from t;
        select s from t where n % 1000 = 0 order by s desc;";
    let sqlite = |name: &str| {
        let mut command = Command::new("sqlite3");
        command.arg(directory.path().join(name)).arg(query);
        command
    };
    let wanted = alone(&mut sqlite("alone.db"));
    let report = Memtrace::run(&["--ring-size", "64MiB"], &mut sqlite("traced.db")).ended();
    println!("sqlite3 printed {} bytes", wanted.len());
    assert!(
        report.stdout.starts_with(&wanted) && wanted.len() > 500,
        "the traced sqlite3 printed something else"
    );
    assert_sound(&report);
    assert_eq!(report.end(), "exited");
    assert!(
        report.rows_of("sqlite3_malloc64").next().is_some() || report.rows().len() > 5,
        "no sites of sqlite"
    );
    let check = alone(
        Command::new("sqlite3")
            .arg(directory.path().join("traced.db"))
            .arg("pragma integrity_check;"),
    );
    assert_eq!(check.trim(), "ok");
}
