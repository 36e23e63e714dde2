//! `memtrace dump`: stacks of threads as the program itself knows them.

#![expect(clippy::print_stdout, reason = "a test prints what it has seen")]

use std::{collections::BTreeMap, fs, process::Command};

use memtrace_tests::{
    Memtrace, PATIENCE, Program,
    dump::{Thread, dump},
    programs, require_root, wait_until,
};
use rustix::process::Signal;

/// The chains that a program has printed: functions by thread.
fn chains(program: &Program) -> BTreeMap<u32, Vec<String>> {
    let output = program.output();
    let lines = output.lines().filter_map(|line| line.strip_prefix("chain "));
    lines
        .map(|line| {
            let mut words = line.split(' ').map(str::to_owned);
            let tid = words
                .next()
                .and_then(|word| word.parse().ok())
                .expect("a thread's number");
            (tid, words.collect())
        })
        .collect()
}

/// Asserts that each thread has exactly the functions that it says, and a whole stack.
fn assert_chains(threads: &BTreeMap<u32, Thread>, chains: &BTreeMap<u32, Vec<String>>, module: &str) {
    assert!(!chains.is_empty());
    for (tid, chain) in chains {
        let thread = threads.get(tid).expect("each thread is in the dump");
        println!("{tid} {}: {:?} {}", thread.name, thread.functions(module), thread.entry);
        assert_eq!(&thread.functions(module), chain, "{}", thread.name);
        assert!(thread.is_whole(), "{}", thread.stack);
    }
}

/// Asks until the threads that are to wait have come to it: each prints its chain before.
fn settled(program: &Program, module: &str, count: usize) -> BTreeMap<u32, Thread> {
    let chains = chains(program);
    assert_eq!(chains.len(), count);
    let right = || {
        let threads = dump(program.pid(), &[]);
        let same = |(tid, chain): (&u32, &Vec<String>)| {
            threads
                .get(tid)
                .is_some_and(|thread| &thread.functions(module) == chain)
        };
        chains.iter().all(same).then_some(threads)
    };
    let threads = wait_until(PATIENCE, right).unwrap_or_else(|| dump(program.pid(), &[]));
    assert_chains(&threads, &chains, module);
    threads
}

#[test]
fn each_thread_has_its_own_chain() {
    require_root!();
    let program = Program::start("dump", &["waits"]);
    let threads = settled(&program, "dump", 4);
    for thread in threads.values() {
        assert_eq!(thread.was_resting(), thread.name != "spinner", "{}", thread.entry);
        let state = if thread.name == "spinner" { "R" } else { "S" };
        assert_eq!(thread.entry["waits"]["state"], state, "{}", thread.entry);
    }
    let call = |name: &str| {
        let thread = threads.values().find(|thread| thread.name == name).expect("the thread");
        thread.entry["waits"]["call"].as_str().map(str::to_owned)
    };
    assert_eq!(call("reader").as_deref(), Some("read"));
    assert_eq!(call("conditioned").as_deref(), Some("futex"));
    assert_eq!(call("epoller").as_deref(), Some("epoll_wait"));
    // Those that wait are not touched: none of their calls is interrupted, however often it is asked.
    for _ in 0..10 {
        dump(program.pid(), &[]);
    }
    let (status, output) = program.end();
    assert!(status.success(), "{status}");
    assert!(output.contains("done 0 interrupted 0\n"), "{output}");
}

#[test]
fn with_frame_pointers_too() {
    require_root!();
    let program = Program::start("dump-fp", &["waits"]);
    settled(&program, "dump-fp", 4);
    let threads = dump(program.pid(), &["--no-stop"]);
    let spinner = threads
        .values()
        .find(|thread| thread.name == "spinner")
        .expect("the thread");
    assert!(
        spinner.stack.is_null() && spinner.entry["problem"].is_string(),
        "{}",
        spinner.entry
    );
    assert!(program.end().0.success());
}

#[test]
fn a_handler_on_a_stack_of_its_own() {
    require_root!();
    for name in ["dump", "dump-fp"] {
        let mut program = Program::start(name, &["signal"]);
        program.expect("chain ");
        let right = || {
            let threads = dump(program.pid(), &[]);
            let thread = threads.get(&program.pid())?.clone();
            thread
                .functions(name)
                .first()
                .is_some_and(|first| first == "in_handler")
                .then_some(thread)
        };
        let thread = wait_until(PATIENCE, right).expect("the handler is seen");
        assert_eq!(
            thread.functions(name)[..5],
            ["in_handler", "handler", "raises", "raise_one", "main"],
            "{}",
            thread.stack
        );
        assert!(thread.is_whole(), "{}", thread.stack);
        program.signal(Signal::KILL);
    }
}

#[test]
fn threads_that_are_alike_are_one_entry() {
    require_root!();
    let program = Program::start("dump", &["many", "500"]);
    let all = || {
        let threads = dump(program.pid(), &[]);
        let waits = threads
            .values()
            .filter(|thread| thread.functions("dump").first().is_some_and(|first| first == "in_read"));
        (waits.count() == 500).then_some(threads)
    };
    let threads = wait_until(PATIENCE, all).expect("all threads come to wait");
    assert_eq!(threads.len(), 501);
    assert!(threads.values().all(Thread::is_whole));
    let text = |options: &[&str]| {
        let finished = Memtrace::finished(["dump", "--pid", &program.pid().to_string()].iter().chain(options));
        assert!(finished.status.success(), "{finished:?}");
        finished.stdout
    };
    let folded = text(&[]);
    println!("{folded}");
    assert!(folded.contains("500 threads: sleeping in read"), "{folded}");
    assert_eq!(folded.matches("in_read").count(), 1);
    assert_eq!(text(&["--all-threads"]).matches("in_read").count(), 500);
    assert!(program.end().0.success());
}

#[test]
fn several_processes_and_one_that_is_not_there() {
    require_root!();
    let (one, two) = (
        Program::start("dump", &["rests"]),
        Program::start("dump-fp", &["rests"]),
    );
    let pids = format!("{},{}", one.pid(), two.pid());
    let finished = Memtrace::finished(["dump", "--pid", &pids]);
    assert!(finished.status.success(), "{finished:?}");
    for pid in [one.pid(), two.pid()] {
        assert!(finished.stdout.contains(&format!("(pid {pid})")), "{}", finished.stdout);
    }
    let finished = Memtrace::finished(["dump", "--pid", &format!("{},4194304", one.pid())]);
    assert_eq!(finished.status.code(), Some(2));
    assert!(finished.stdout.contains(&format!("(pid {})", one.pid())));
    finished.assert_says(&["no process 4194304"]);
    Memtrace::finished(["dump", "--pid", "4194304"]).assert_refused(&["no process 4194304"]);
}

#[test]
fn a_parent_that_waits_for_its_vforked_child() {
    require_root!();
    let program = Program::start("dump", &["vfork"]);
    let asleep = || {
        let threads = dump(program.pid(), &[]);
        let thread = threads.get(&program.pid())?.clone();
        (thread.entry["waits"]["call"] == "vfork").then_some(thread)
    };
    let thread = wait_until(PATIENCE, asleep).expect("the parent waits");
    println!("{} {}", thread.entry, thread.stack);
    assert_eq!(thread.entry["waits"]["state"], "D");
    // Its return address is in a register that the rules do not know.
    assert_eq!(thread.stack["end"], "unsupported");
    assert!(thread.was_resting());
    let (status, output) = program.end();
    assert!(status.success() && output.contains("done 1"), "{status}: {output}");
}

#[test]
fn without_root() {
    require_root!();
    let program = Program::start("dump", &["rests"]);
    // Where everybody may read it: the build directory may be private.
    let directory = tempfile::tempdir().expect("a temporary directory");
    let binary = directory.path().join("memtrace");
    fs::copy(Memtrace::binary(), &binary).expect("a copy of memtrace");
    let open = || std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(directory.path(), open()).expect("permissions");
    fs::set_permissions(&binary, open()).expect("permissions");
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]);
    command.arg(&binary).args(["dump", "--pid", &program.pid().to_string()]);
    Memtrace::finish_command(&mut command).assert_refused(&["no permission", "root"]);
    assert!(program.end().0.success());
}

#[test]
fn a_confined_program() {
    require_root!();
    for mode in ["filter", "strict"] {
        let mut program = Program::start("sandbox", &[mode]);
        let thread = dump(program.pid(), &[]);
        let functions = thread[&program.pid()].functions("sandbox");
        assert_eq!(functions.last().map(String::as_str), Some("_start"), "{functions:?}");
        program.go();
        program.truth();
        program.go();
        program.expect("unharmed");
        assert!(program.wait().0.success());
        assert!(programs::available("sandbox").is_ok());
    }
}
