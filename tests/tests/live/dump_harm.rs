//! `memtrace dump` leaves no mark on what it looks at, whatever happens meanwhile.

#![expect(clippy::print_stdout, reason = "a test prints what it has seen")]

use std::{
    fs,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use memtrace_tests::{
    Memtrace, PATIENCE, Program,
    dump::{self, dump},
    require_root, require_tool, wait_until,
};
use rustix::process::Signal;

/// A number after a word of a line `done N interrupted M`.
fn said(output: &str, word: &str) -> u64 {
    let mut words = output.split_whitespace().skip_while(|found| *found != word);
    let number = words.nth(1).and_then(|number| number.parse().ok());
    assert!(number.is_some(), "{word} is not in {output}");
    number.unwrap_or_default()
}

/// A line of a process's `status`.
fn status(pid: u32, name: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or("").trim().to_owned()
}

/// Dumps a program that is at work many times; it must find its own results right.
fn dumped_often(name: &str, times: usize) -> (u64, u64) {
    let program = Program::start(name, &["busy"]);
    let pid = program.pid();
    let (mut resting, mut stopped) = (0, 0);
    for _ in 0..times {
        for thread in dump(pid, &[]).values() {
            assert!(thread.is_whole(), "{} {}", thread.entry, thread.stack);
            if thread.was_resting() {
                resting += 1;
            } else {
                stopped += 1;
            }
        }
    }
    assert_eq!(status(pid, "TracerPid"), "0");
    let (ended, output) = program.end();
    assert!(ended.success(), "{ended}: {output}");
    let (done, interrupted) = (said(&output, "done"), said(&output, "interrupted"));
    println!(
        "{name}: {times} dumps, {resting} stacks at rest, {stopped} stopped; {done} rounds, {interrupted} calls interrupted"
    );
    assert!(done > 100, "{output}");
    (stopped, interrupted)
}

#[test]
fn a_busy_program_stays_right() {
    require_root!();
    let (stopped, interrupted) = dumped_often("dump", 30);
    assert!(
        interrupted <= stopped,
        "only a thread that is stopped can be interrupted"
    );
}

#[test]
fn a_busy_program_with_frame_pointers_stays_right() {
    require_root!();
    let (stopped, interrupted) = dumped_often("dump-fp", 100);
    // Its stacks cannot be told without.
    assert!(stopped >= 100, "{stopped}");
    assert!(interrupted <= stopped);
}

#[test]
fn a_dump_that_is_killed_leaves_its_target_running() {
    require_root!();
    let program = Program::start("dump-fp", &["busy"]);
    let pid = program.pid();
    for turn in 0..60 {
        let mut command = Memtrace::command(["dump", "--pid", &pid.to_string()]);
        let mut tool = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("memtrace starts");
        thread::sleep(Duration::from_millis(turn));
        tool.kill().expect("a child can be killed");
        tool.wait().expect("a child can be waited for");
        let free = wait_until(PATIENCE, || (status(pid, "TracerPid") == "0").then_some(()));
        free.expect("nobody traces it");
        assert!(!status(pid, "State").starts_with(['T', 't']), "it runs");
    }
    let (ended, output) = program.end();
    assert!(ended.success() && said(&output, "done") > 100, "{ended}: {output}");
}

#[test]
fn a_target_that_ends_meanwhile() {
    require_root!();
    for turn in 0..40 {
        let mut program = Program::start("dump-fp", &["many", "60"]);
        let mut command = Memtrace::command(["dump", "--pid", &program.pid().to_string()]);
        let mut tool = Program::spawn(&mut command);
        thread::sleep(Duration::from_millis(2 * turn));
        program.signal(Signal::KILL);
        program.wait();
        let (ended, _) = tool.wait();
        let errors = tool.errors();
        assert!(matches!(ended.code(), Some(0 | 2)), "{ended}: {errors}");
        assert!(!errors.contains("panicked"), "{errors}");
    }
}

#[test]
fn a_program_that_is_stopped_stays_stopped() {
    require_root!();
    let mut program = Program::start("dump-fp", &["waits"]);
    program.signal(Signal::STOP);
    let pid = program.pid();
    let stopped = || status(pid, "State").starts_with('T').then_some(());
    wait_until(PATIENCE, stopped).expect("it stops");
    for thread in dump(pid, &[]).values() {
        assert!(
            thread.is_whole() && thread.entry["waits"]["state"] == "T",
            "{}",
            thread.entry
        );
    }
    wait_until(PATIENCE, stopped).expect("it is stopped as before");
    thread::sleep(Duration::from_millis(50));
    assert!(status(pid, "State").starts_with('T'), "{}", status(pid, "State"));
    program.signal(Signal::CONT);
    assert!(program.end().0.success());
}

#[test]
fn a_program_that_is_traced_already() {
    require_root!();
    require_tool!("strace");
    let program = Program::start("dump-fp", &["waits"]);
    let mut command = Command::new("timeout");
    command.args([
        "-s",
        "KILL",
        "60",
        "strace",
        "-f",
        "-o",
        "/dev/null",
        "-p",
        &program.pid().to_string(),
    ]);
    let mut tracer = Program::spawn(&mut command);
    wait_until(PATIENCE, || (status(program.pid(), "TracerPid") != "0").then_some(())).expect("it is traced");
    let finished = Memtrace::finished(["dump", "--json", "--pid", &program.pid().to_string()]);
    assert!(finished.status.success(), "{finished:?}");
    let threads = dump::threads(&finished);
    let spinner = threads
        .values()
        .find(|thread| thread.name == "spinner")
        .expect("the thread");
    let problem = spinner.entry["problem"].as_str().unwrap_or("");
    assert!(problem.contains("traced by strace"), "{}", spinner.entry);
    tracer.signal(Signal::TERM);
    tracer.wait();
    assert!(program.end().0.success());
}
