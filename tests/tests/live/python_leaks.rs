//! Leaks of Python programs: each is named by its function, file and line.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

use memtrace_tests::{Memtrace, Program, Report, Tmux, programs, require, require_root, require_tool, requirements};
use serde_json::Value;

use super::python::{evaluated, headers, interpreters, python_frames};

/// How long leaks are looked at: eight times the age from which on blocks are suspected.
const OBSERVED: Duration = Duration::from_secs(8);

const SCRIPT: &str = "python_leaks.py";

/// Behind it is which leak a line of the program is.
const LEAK: &str = "# leak ";

/// The library that leaks, as arguments of the program: a module of the interpreter where that has its headers here.
fn library(interpreter: &Path, directory: &Path) -> Vec<String> {
    let headers = headers(interpreter);
    let library = directory.join("leaking.so");
    let mut compile = Command::new("cc");
    compile.args(["-shared", "-fPIC", "-O1", "-g", "-o"]).arg(&library);
    if let Some(folder) = &headers {
        compile.args(["-DEXTENSION", "-I", folder]);
    }
    let status = compile.arg(programs::source("python_extension.c")).status();
    assert!(status.expect("a C compiler").success());
    let module = headers.is_some().then(|| "leaking".to_owned());
    [library.to_string_lossy().into_owned()]
        .into_iter()
        .chain(module)
        .collect()
}

fn grows(row: &Value) -> bool {
    row["verdict"] == "growing"
}

/// Asserts that exactly the lines that leak are said to, each of these.
fn assert_named(report: &Report, kinds: &BTreeSet<&str>) {
    let file = programs::source(SCRIPT).to_string_lossy().into_owned();
    // numpy's arrays are made by a function of numpy's.
    let innermost = |row: &Value| python_frames(row).into_iter().find(|frame| frame.1 == file);
    let growing: BTreeSet<(String, u64)> = report
        .rows()
        .iter()
        .filter(|row| grows(row))
        .filter_map(innermost)
        .map(|(_, file, line)| (file, line))
        .collect();
    let wanted: BTreeSet<(String, u64)> = programs::marked(SCRIPT, LEAK)
        .into_iter()
        .filter(|(kind, _)| kinds.contains(kind.as_str()))
        .map(|(_, line)| (file.clone(), line))
        .collect();
    assert_eq!(wanted.len(), kinds.len());
    assert_eq!(growing, wanted);
    let text = fs::read_to_string(report.file("leaks.txt")).expect("the leak report");
    for (_, line) in &wanted {
        assert!(text.contains(&format!("leaks.py:{line})")), "{line}: {text}");
    }
}

#[test]
fn python_leaks_are_named_by_file_and_line() {
    require_root!();
    require_tool!("python3");
    require_tool!("cc");
    let all = interpreters();
    let has_numpy = |interpreter: &&PathBuf| evaluated(interpreter, "import numpy").is_some();
    let with_numpy = all.iter().find(has_numpy);
    let directory = tempfile::tempdir().expect("a temporary directory");
    // Besides one with numpy, the oldest and the newest.
    let oldest = all.iter().find(|path| path.ends_with("python3.8"));
    let newest = all.iter().next_back();
    let chosen: BTreeSet<&PathBuf> = with_numpy.into_iter().chain(oldest).chain(newest).collect();
    for interpreter in chosen {
        println!("{}", interpreter.display());
        let mut command = Command::new(interpreter);
        command
            .arg(programs::source(SCRIPT))
            .args(library(interpreter, directory.path()));
        let mut program = Program::ready(&mut command);
        let memtrace = Memtrace::attach(program.pid(), &["--every-call", "--min-age", "1s"]);
        program.go();
        program.expect("round 100");
        thread::sleep(OBSERVED);
        let report = memtrace.finish();
        let (status, _) = program.end();
        assert!(status.success(), "{status}");
        let mut kinds = BTreeSet::from(["cache", "cycle", "extension"]);
        if with_numpy == Some(interpreter) {
            kinds.insert("array");
        }
        assert_named(&report, &kinds);
        let extension = |row: &&Value| row["stack"].to_string().contains("leak_in_extension");
        assert!(report.rows().iter().filter(|row| grows(row)).any(|row| extension(&row)));
    }
    if with_numpy.is_none() {
        requirements::skipped("no interpreter here has numpy: the leak of an array was not looked at");
    }
}

#[test]
fn python_names_are_on_the_screen() {
    require_root!();
    require_tool!("python3");
    require!(requirements::tool("tmux"));
    let Some(interpreter) = interpreters().into_iter().next() else {
        return;
    };
    let mut program = Program::ready(Command::new(interpreter).arg(programs::source(SCRIPT)));
    let tmux = Tmux::start(120, 30);
    let binary = Memtrace::binary();
    tmux.line(&format!(
        "{} top --pid {} --every-call --interval 200ms",
        binary.display(),
        program.pid()
    ));
    tmux.expect("q quit");
    program.go();
    program.expect("round 100");
    let line = programs::marked(SCRIPT, LEAK)["cache"];
    let place = format!("p keep_in_cache (programs/{SCRIPT}:{line})");
    tmux.until("a row of a Python function", |screen| {
        screen.contains(" p keep_in_cache < main")
    });
    tmux.press(&["/"]);
    tmux.line("keep_in_cache");
    tmux.expect(&place);
    tmux.press(&["q"]);
    assert!(program.end().0.success());
}
