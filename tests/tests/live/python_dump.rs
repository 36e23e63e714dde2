//! `memtrace dump` of Python programs: stacks of threads as `traceback` has them.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
};

use memtrace_tests::{
    Memtrace, PATIENCE, Program,
    dump::{Thread, dump},
    programs, require_root, require_tool, wait_until,
};
use serde_json::Value;

use super::python::{Frames, assert_executed, interpreters, python_frames};

fn script() -> PathBuf {
    programs::workspace().join("tests/programs/python_threads.py")
}

fn started(interpreter: &Path, arguments: &[&str]) -> Program {
    let mut command = Command::new(interpreter);
    Program::ready(command.arg("-I").arg(script()).args(arguments))
}

/// What the program has said last.
fn said(program: &Program) -> BTreeMap<u32, Frames> {
    let output = program.output();
    let line = output
        .lines()
        .filter_map(|line| line.strip_prefix("threads "))
        .next_back();
    serde_json::from_str(line.expect("the program says it")).expect("the program prints JSON")
}

fn python(thread: &Thread) -> Frames {
    python_frames(&serde_json::json!({ "stack": thread.stack["frames"] }))
}

/// The threads that are not as the program says.
fn different(threads: &BTreeMap<u32, Thread>, truth: &BTreeMap<u32, Frames>) -> Vec<String> {
    let differs = |(tid, wanted): (&u32, &Frames)| {
        let found = threads.get(tid).map(python).unwrap_or_default();
        let whole = threads
            .get(tid)
            .is_some_and(|thread| thread.stack["python"] == serde_json::json!({"end": "start", "fits": true}));
        (&found != wanted || !whole).then(|| format!("{tid}\n  said  {wanted:?}\n  found {found:?}, whole: {whole}"))
    };
    truth.iter().filter_map(differs).collect()
}

#[test]
fn python_threads_equal_traceback_line_by_line() {
    require_root!();
    require_tool!("python3");
    for interpreter in interpreters() {
        let mut program = started(&interpreter, &[]);
        program.go();
        let compared = wait_until(PATIENCE, || {
            let before = program.output().matches("threads ").count();
            program.go();
            wait_until(PATIENCE, || {
                (program.output().matches("threads ").count() > before && program.output().ends_with('\n'))
                    .then_some(())
            })?;
            let mut truth = said(&program);
            // The one that says it is about to wait for the next line.
            let main = truth.remove(&program.pid()).expect("its own stack");
            let threads = dump(program.pid(), &["--interpreter-frames"]);
            let found = python(&threads[&program.pid()]);
            let differ = different(&threads, &truth);
            println!("{}: {} threads, {differ:#?}", interpreter.display(), truth.len());
            (truth.len() == 10 && differ.is_empty() && found == main).then_some(threads)
        });
        let threads = compared.expect("all threads are as the program says");
        for thread in threads.values() {
            // libffi, through which `ctypes` calls C, needs the frame pointer.
            let has_ffi = thread.frames().iter().any(|frame| frame.module.starts_with("libffi"));
            assert!(thread.was_resting() || has_ffi, "{}", thread.entry);
            assert!(thread.is_whole(), "{}", thread.stack["end"]);
            assert_executed(&thread.stack["frames"], &interpreter);
        }
        let deepest = threads.values().map(|thread| python(thread).len()).max();
        assert!(deepest >= Some(2_000), "{deepest:?}");
        let finished = Memtrace::finished(["dump", "--pid", &program.pid().to_string()]);
        println!("{}", finished.stdout.lines().take(60).collect::<Vec<_>>().join("\n"));
        assert!(finished.stdout.contains("sleeps (Python) at "), "{}", finished.stdout);
        assert!(!finished.stdout.contains("_PyEval_EvalFrameDefault"));
        program.close();
        assert!(program.wait().0.success());
    }
}

#[test]
fn python_threads_that_wait_for_the_gil() {
    require_root!();
    require_tool!("python3");
    for interpreter in interpreters() {
        let mut program = started(&interpreter, &["gil"]);
        program.go();
        program.expect("hold");
        let truth = said(&program);
        assert_eq!(truth.len(), 2);
        let compared = wait_until(PATIENCE, || {
            let threads = dump(program.pid(), &["--python-only"]);
            let differ = different(&threads, &truth);
            println!("{}: {differ:#?}", interpreter.display());
            let only = threads
                .values()
                .all(|thread| thread.functions("[python]").len() == python(thread).len());
            (differ.is_empty() && only).then_some(())
        });
        compared.expect("both threads are as the program says");
        program.close();
        assert!(program.wait().0.success());
    }
}

/// Threads that compute are stopped; they are somewhere in what they do.
#[test]
fn python_threads_at_work() {
    require_root!();
    require_tool!("python3");
    let script = "import threading, sys\n\
        def leaf(): return sum(range(10))\n\
        def work():\n  while True: leaf()\n\
        for _ in range(3): threading.Thread(target=work, daemon=True).start()\n\
        print('ready', flush=True)\n\
        sys.stdin.read()\n";
    // One that marks the frames of a call each, and one that marks what is between calls.
    let all = interpreters();
    for interpreter in all.iter().take(1).chain(all.iter().next_back()) {
        let mut program = Program::spawn(Command::new(interpreter).args(["-c", script]));
        program.expect("ready");
        let mut fits = 0;
        for _ in 0..5 {
            let threads = dump(program.pid(), &[]);
            let working: Vec<_> = threads
                .values()
                .filter(|thread| thread.functions("[python]").iter().any(|function| function == "work"))
                .collect();
            assert_eq!(working.len(), 3, "{}", interpreter.display());
            for thread in working {
                let functions = thread.functions("[python]");
                let mut functions: Vec<&str> = functions.iter().map(String::as_str).collect();
                if functions.first() == Some(&"leaf") {
                    functions.remove(0);
                }
                assert!(
                    functions.starts_with(&["work"])
                        && functions.last().is_some_and(|last| last.ends_with("_bootstrap")),
                    "{functions:?}"
                );
                fits += usize::from(thread.stack["python"]["fits"] == Value::Bool(true));
            }
        }
        println!("{}: {fits} of 15 fit", interpreter.display());
        assert!(fits >= 10, "{fits} of 15 fit");
        program.close();
        program.wait();
    }
}
