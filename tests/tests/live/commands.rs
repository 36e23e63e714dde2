//! The commands that do not trace: doctor, generate, help.

use std::fs;

use memtrace_tests::{Memtrace, Program, require_root};

#[test]
fn doctor_finds_this_machine_able() {
    require_root!();
    let finished = Memtrace::finished(["doctor"]);
    println!("{}", finished.stdout);
    assert!(finished.status.success(), "{finished:?}");
    let text = finished.stdout.to_lowercase();
    for word in ["kernel", "btf", "uprobe", "ok"] {
        assert!(text.contains(word), "{word} is not in the answer");
    }
}

#[test]
fn doctor_knows_the_target() {
    require_root!();
    let program = Program::start("life", &["plain"]);
    let finished = Memtrace::finished(["doctor", "--pid", &program.pid().to_string()]);
    println!("{}", finished.stdout);
    assert!(finished.status.success(), "{finished:?}");
    assert!(
        finished.stdout.contains("glibc") && finished.stdout.contains("libc.so.6"),
        "the allocator and its file"
    );

    let program = Program::start("calls-static", &["malloc-zero"]);
    let finished = Memtrace::finished(["doctor", "--pid", &program.pid().to_string()]);
    println!("{}", finished.stdout);
    assert!(finished.status.success(), "{finished:?}");
    assert!(finished.stdout.contains("calls-static: malloc, calloc"), "{finished:?}");

    let program = Program::start("matrix-musl-stripped", &["1", "1"]);
    let finished = Memtrace::finished(["doctor", "--pid", &program.pid().to_string()]);
    println!("{}", finished.stdout);
    assert_eq!(
        finished.status.code(),
        Some(1),
        "a target without symbols is a failed check: {finished:?}"
    );
    assert!(finished.stdout.to_lowercase().contains("static"));
}

#[test]
fn help_has_examples_and_exit_codes() {
    for command in ["attach", "run", "doctor"] {
        let finished = Memtrace::finished([command, "--help"]);
        assert!(finished.status.success(), "{finished:?}");
        assert!(
            finished.stdout.contains(&format!("memtrace {command}")),
            "{}",
            finished.stdout
        );
    }
    let finished = Memtrace::finished(["--help"]);
    println!("{}", finished.stdout);
    let text = finished.stdout.to_lowercase();
    assert!(
        text.contains("example") && text.contains("exit"),
        "examples and exit codes"
    );
    let version = Memtrace::finished(["--version"]).stdout;
    assert!(
        version.starts_with("memtrace ") && version.trim().contains('.'),
        "{version}"
    );
}

#[test]
fn manuals_and_completions() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let finished = Memtrace::finished(["generate", "man", &directory.path().to_string_lossy()]);
    assert!(finished.status.success(), "{finished:?}");
    let names: Vec<String> = fs::read_dir(directory.path())
        .expect("the directory of the manuals")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    println!("{names:?}");
    for name in ["memtrace.1", "memtrace-attach.1", "memtrace-run.1", "memtrace-doctor.1"] {
        assert!(names.iter().any(|found| found == name), "{name} is missing");
    }
    for shell in ["bash", "zsh", "fish"] {
        let finished = Memtrace::finished(["generate", "completions", shell]);
        assert!(finished.status.success(), "{finished:?}");
        assert!(finished.stdout.contains("--duration"), "{shell} knows the flags");
    }
}
