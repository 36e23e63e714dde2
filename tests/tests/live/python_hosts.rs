//! Python where it is not `python3` and its one interpreter: several interpreters in a process, and an interpreter inside another program.

#![expect(clippy::print_stdout, reason = "a test prints what it compared")]

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use memtrace_tests::{Memtrace, PATIENCE, Program, programs, require_root, require_tool, wait_until};

use super::python::{assert_as_said, evaluated, headers, interpreters, python_frames, script};

/// Four interpreters allocate six blocks each.
const INSIDE: usize = 4 * 6;

#[test]
fn python_stacks_of_interpreters_beside_the_main_one() {
    require_root!();
    require_tool!("python3");
    for interpreter in interpreters() {
        println!("{}", interpreter.display());
        let script = programs::source("python_subinterpreters.py");
        let mut program = Program::ready(Command::new(&interpreter).arg("-I").arg(script));
        let memtrace = Memtrace::attach(program.pid(), &["--every-call"]);
        program.go();
        program.expect("hold");
        assert_as_said(&memtrace.finish(), program, INSIDE);
    }
}

/// A program with this interpreter's library inside; `None` where it has none that programs can be linked with.
fn host(interpreter: &Path, directory: &Path) -> Option<PathBuf> {
    let headers = headers(interpreter)?;
    let of = |name: &str| {
        let expression = format!("import sysconfig; print(sysconfig.get_config_var({name:?}) or '')");
        evaluated(interpreter, &expression).filter(|value| !value.is_empty())
    };
    let (folder, library) = (of("LIBDIR")?, of("LDLIBRARY")?);
    let library = Path::new(&folder).join(library);
    if !library.exists() || library.extension()? != "so" {
        return None;
    }
    let program = directory.join("python_host");
    let mut compile = Command::new("cc");
    compile
        .args(["-O1", "-g", "-pthread", "-I", &headers, "-o"])
        .arg(&program);
    compile.arg(programs::source("python_host.c")).arg(&library);
    let status = compile.arg(format!("-Wl,-rpath,{folder}")).status();
    assert!(status.expect("a C compiler").success());
    Some(program)
}

/// Hosts of all interpreters that have a library and headers here, with the folder of their standard library.
pub(super) fn hosts(mut of_each: impl FnMut(&Path, &str)) {
    let mut compared = 0;
    for interpreter in interpreters() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let Some(host) = host(&interpreter, directory.path()) else {
            println!("{}: no shared library with headers", interpreter.display());
            continue;
        };
        println!("{}", interpreter.display());
        let home = evaluated(&interpreter, "import sys; print(sys.prefix)").expect("a prefix");
        of_each(&host, &home);
        compared += 1;
    }
    assert!(
        compared > 0 || interpreters().len() == 1,
        "only Debian's has no library here"
    );
}

#[test]
fn python_stacks_of_an_interpreter_inside_another_program() {
    require_root!();
    require_tool!("python3");
    let mut is_first = true;
    hosts(|host, home| {
        // Every way with the first, and one with the others: it is the interpreters that differ.
        let ways = if std::mem::take(&mut is_first) {
            &["main", "thread", "late"][..]
        } else {
            &["thread"]
        };
        for &thread in ways {
            println!("{thread}");
            let mut command = Command::new(host);
            let mut program = Program::ready(command.env("PYTHONHOME", home).arg(script()).arg(thread));
            let memtrace = Memtrace::attach(program.pid(), &["--every-call"]);
            program.go();
            if thread == "late" {
                let twice = || (program.output().matches("ready ").count() == 2).then_some(());
                wait_until(PATIENCE, twice).expect("the script is ready, too");
                program.go();
            }
            program.expect("hold");
            let report = memtrace.finish();
            // Below the Python frames come the program's own.
            let stacks = report.rows().iter().filter(|row| !python_frames(row).is_empty());
            let in_host = stacks.filter(|row| row["stack"].to_string().contains("run_in_host"));
            assert!(in_host.count() > 50);
            assert_as_said(&report, program, 80);
        }
    });
}
