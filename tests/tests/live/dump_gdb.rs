//! Stacks of threads that wait, compared with those that gdb sees in the same process: frame by frame the same.

#![expect(clippy::print_stdout, reason = "a test prints what it compared")]

use std::process::Command;

use memtrace_tests::{PATIENCE, Program, dump::dump, gdb, require_root, require_tool, wait_until};

/// Compares all threads that were at rest before gdb came, and are the same after it has gone.
fn assert_as_gdb(pid: u32, least: usize) {
    let compared = wait_until(PATIENCE, || {
        // gdb has native frames only.
        let before = dump(pid, &["--native-only"]);
        let seen = gdb::threads(pid);
        let mut equal = 0;
        let mut deepest = 0;
        let mut differ = Vec::new();
        for (tid, frames) in &seen {
            let Some(thread) = before.get(tid) else { continue };
            if &thread.frames() == frames {
                equal += 1;
                deepest = deepest.max(frames.len());
            } else {
                differ.push(format!(
                    "{tid} {}\n  gdb      {}\n  memtrace {}",
                    thread.entry,
                    frames.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
                    thread
                        .frames()
                        .iter()
                        .map(ToString::to_string)
                        .collect::<Vec<_>>()
                        .join(" ")
                ));
            }
        }
        println!(
            "{equal} of {} threads are as gdb says, up to {deepest} frames; {}",
            seen.len(),
            differ.join("\n")
        );
        // A thread may have come to do something else in between.
        (differ.is_empty() && equal >= least).then_some(())
    });
    compared.expect("memtrace and gdb agree");
}

#[test]
fn a_program_with_several_threads() {
    require_root!();
    require_tool!("gdb");
    for name in ["dump", "dump-fp"] {
        let program = Program::start(name, &["rests"]);
        // gdb stops them all, which ends one call of `epoll_wait` and with it a thread.
        assert_as_gdb(program.pid(), 3);
        assert!(program.end().0.success());
    }
}

#[test]
fn a_handler_on_a_stack_of_its_own() {
    require_root!();
    require_tool!("gdb");
    let mut program = Program::start("dump", &["signal"]);
    program.expect("chain ");
    assert_as_gdb(program.pid(), 1);
    program.signal(rustix::process::Signal::KILL);
}

#[test]
fn python() {
    require_root!();
    require_tool!("gdb");
    require_tool!("python3");
    let script = "import threading, time, queue\n\
        def deep(n, wait):\n  return deep(n - 1, wait) if n else wait()\n\
        waits = [lambda: time.sleep(1000), queue.Queue().get, threading.Semaphore(0).acquire, threading.Event().wait]\n\
        for n, wait in enumerate(waits): threading.Thread(target=deep, args=(n * 3, wait), daemon=True).start()\n\
        print('ready ', flush=True)\n\
        input()\n";
    let mut program = Program::ready(Command::new("python3").args(["-c", script]));
    assert_as_gdb(program.pid(), 5);
    program.signal(rustix::process::Signal::KILL);
}

#[test]
fn redis() {
    require_root!();
    require_tool!("gdb");
    require_tool!("redis-server");
    let directory = tempfile::tempdir().expect("a temporary directory");
    let socket = directory.path().join("redis.sock");
    let mut server = Command::new("redis-server");
    // The fewer turns of its loop, the longer it waits in one.
    server.args([
        "--port",
        "0",
        "--save",
        "",
        "--hz",
        "1",
        "--dynamic-hz",
        "no",
        "--unixsocket",
    ]);
    let server = Program::spawn(server.arg(&socket).arg("--dir").arg(directory.path()));
    wait_until(PATIENCE, || socket.exists().then_some(())).expect("redis listens");
    assert_as_gdb(server.pid(), 4);
}

#[test]
fn node() {
    require_root!();
    require_tool!("gdb");
    require_tool!("node");
    let script = "process.stdin.on('data', () => {}); console.log('ready ');";
    let mut program = Program::ready(Command::new("node").args(["-e", script]));
    assert_as_gdb(program.pid(), 6);
    program.signal(rustix::process::Signal::KILL);
}
