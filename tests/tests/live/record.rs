//! Recordings of running programs, and what is read of them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use memtrace_tests::{Finished, Memtrace, Program, Truth, programs, require_root, sums_below};
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

/// A recording under construction.
pub(super) struct Recording {
    memtrace: Program,
    directory: TempDir,
}

impl Recording {
    pub(super) fn start(pid: u32, options: &[&str]) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let mut command = Memtrace::command(["record", "--pid", &pid.to_string(), "-o"]);
        command.arg(directory.path().join("session")).args(options);
        let memtrace = Program::spawn(&mut command);
        memtrace.expect_error("attached to");
        Self { memtrace, directory }
    }

    pub(super) fn file(&self) -> PathBuf {
        self.directory.path().join("session")
    }

    /// Ends it as Ctrl-C does; what it printed.
    pub(super) fn end(&mut self) -> Finished {
        self.memtrace.signal(Signal::INT);
        let (status, stdout) = self.memtrace.wait();
        let finished = Finished {
            status,
            stdout,
            stderr: self.memtrace.errors(),
        };
        assert!(finished.status.success(), "{finished:?}");
        finished
    }
}

/// What a verb says of a recording; without privileges, and without a network or `/proc` of the target.
fn read(verb: &str, file: &Path, options: &[&str]) -> Finished {
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"])
        .arg(Memtrace::binary())
        .arg(verb)
        .arg(file)
        .args(options);
    Memtrace::finish_command(&mut command)
}

/// `profile.json` of a report.
pub(super) fn profile(file: &Path, options: &[&str]) -> Value {
    let out = tempfile::tempdir().expect("a temporary directory");
    let out_path = out.path().join("out").to_string_lossy().into_owned();
    let finished = Memtrace::finished(
        [&["report", &file.to_string_lossy(), "-o", &out_path], options]
            .concat()
            .iter(),
    );
    assert!(finished.status.success(), "{finished:?}");
    let text = fs::read_to_string(out.path().join("out/profile.json")).expect("a profile");
    serde_json::from_str(&text).expect("the profile is JSON")
}

pub(super) fn check(profile: &Value, truth: &Truth) {
    assert!(!truth.sites.is_empty());
    for (site, of_site) in &truth.sites {
        assert_eq!(sums_below(profile, site, "live"), of_site.live(), "{site}");
    }
}

/// What the two outputs of memtrace have in common: everything but what it cost itself and how the histories were sampled.
fn comparable(text: &str) -> String {
    let kept = text.lines().take_while(|line| !line.starts_with("Health"));
    kept.map(|line| line.split(['+', '-']).next().unwrap_or_default().trim_end().to_owned() + "\n")
        .collect()
}

#[test]
fn a_recording_tells_what_the_observation_told() {
    require_root!();
    for options in [&[][..], &["--events"]] {
        let mut program = Program::start("hooks", &["2", "3000"]);
        let mut recording = Recording::start(program.pid(), options);
        program.go();
        let truth = program.truth();
        let printed = recording.end();
        let (status, _) = program.end();
        assert!(status.success());
        let file = recording.file();
        check(&profile(&file, &[]), &truth);
        check(&profile(&file, &["--min-age", "1s"]), &truth);
        // Whoever reads it needs no privileges.
        fs::set_permissions(
            recording.directory.path(),
            std::os::unix::fs::PermissionsExt::from_mode(0o755),
        )
        .expect("it is ours");
        let report = read("report", &file, &[]);
        assert!(report.status.success(), "{report:?}");
        assert_eq!(comparable(&printed.stdout), comparable(&report.stdout));
        for (verb, words) in [("leaks", "Leak report: hooks"), ("flamegraph", "site_malloc")] {
            let finished = read(verb, &file, &[]);
            assert!(
                finished.status.success() && finished.stdout.contains(words),
                "{verb}: {finished:?}"
            );
        }
    }
}

#[test]
fn what_was_recorded_before_memtrace_was_killed_is_read() {
    require_root!();
    let mut program = Program::start("hooks", &["1", "500"]);
    let mut recording = Recording::start(program.pid(), &[]);
    program.go();
    let truth = program.truth();
    // Until a moment has come that is after the work.
    std::thread::sleep(Duration::from_millis(2500));
    recording.memtrace.signal(Signal::KILL);
    recording.memtrace.wait();
    assert!(program.is_alive());
    let report = Memtrace::finished(["report", &recording.file().to_string_lossy()]);
    assert!(report.status.success(), "{report:?}");
    assert!(report.stdout.contains("has no end"), "{}", report.stdout);
    // Names were to be written at the end: now they are looked up in the very files.
    check(&profile(&recording.file(), &[]), &truth);
    program.end();
}

#[test]
fn a_full_disk_keeps_what_was_recorded_and_the_observation() {
    require_root!();
    let mut program = Program::start("hooks", &["1", "40000"]);
    let mount = tempfile::tempdir().expect("a temporary directory");
    let copy = tempfile::tempdir().expect("a temporary directory");
    let script = "mount -t tmpfs -o size=256k tmpfs \"$1\" && \"$0\" record --events --duration 4s --pid \"$2\" -o \"$1/session\"; \
                  status=$?; cp \"$1/session\" \"$3/session\"; exit $status";
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", script]).arg(Memtrace::binary());
    command
        .arg(mount.path())
        .arg(program.pid().to_string())
        .arg(copy.path());
    let mut memtrace = Program::spawn(&mut command);
    memtrace.expect_error("attached to");
    // Until there is a moment that can be read.
    std::thread::sleep(Duration::from_millis(1500));
    program.go();
    let (status, stdout) = memtrace.wait();
    let errors = memtrace.errors();
    assert_eq!(status.code(), Some(2), "{errors}");
    assert!(errors.contains("No space left"), "{errors}");
    assert!(errors.contains("observation goes on"), "{errors}");
    assert!(!errors.contains("panicked"), "{errors}");
    println!("{stdout}");
    let report = Memtrace::finished(["report", &copy.path().join("session").to_string_lossy()]);
    assert!(
        report.status.success() && report.stdout.contains("has no end"),
        "{report:?}"
    );
    program.end();
}

#[test]
fn recordings_are_refused_for_a_reason() {
    let here = tempfile::tempdir().expect("a temporary directory");
    let whole = fs::read(programs::workspace().join("tests/fixtures/hooks.memtrace")).expect("it is in the tree");
    let mut newer = whole.clone();
    newer[16] = 200;
    let cases: [(&str, &[u8], &[&str]); 4] = [
        ("empty", b"", &["empty"]),
        ("other", b"#!/bin/sh\n", &["no memtrace recording"]),
        ("newer", &newer, &["format 200", "newer memtrace"]),
        ("cut", &whole[..30], &["cut off"]),
    ];
    for (name, content, words) in cases {
        let path = here.path().join(name);
        fs::write(&path, content).expect("a file");
        for verb in ["report", "leaks", "flamegraph"] {
            Memtrace::finished([verb, &path.to_string_lossy()]).assert_refused(words);
        }
    }
    let file = programs::workspace().join("tests/fixtures/hooks.memtrace");
    let file = file.to_string_lossy();
    for (options, words) in [
        (["--at", "0s"], ["nothing was known yet", "after the start"]),
        (["--at", "1h"], ["not in the recording", "it goes from"]),
        (["--at", "soon"], ["a moment is", "12:03:05"]),
        (["--range", "2s"], ["two dots", ".."]),
        (["--range", "2s..1s"], ["ends before it begins", ""]),
        (["--top", "0"], ["show nothing", ""]),
    ] {
        let finished = Memtrace::finished([&["report", &*file], &options[..]].concat().iter());
        assert_eq!(finished.status.code(), Some(2), "{finished:?}");
        finished.assert_says(&words);
    }
    let missing = here.path().join("missing");
    Memtrace::finished(["report", &missing.to_string_lossy()]).assert_refused(&["missing", "no such file"]);
    Memtrace::finished(["report", &here.path().to_string_lossy()]).assert_refused(&["is a directory"]);
}

#[test]
fn every_view_of_a_recording_is_shown() {
    let file = programs::workspace().join("tests/fixtures/hooks.memtrace");
    let file = file.to_string_lossy().into_owned();
    let cases: [(&[&str], &str); 9] = [
        (&["tree", &file, "--callers"], "site_valloc"),
        (&["timeline", &file], "Over time: hooks"),
        (&["histogram", &file, "--site", "1"], "Sizes"),
        (&["annotate", &file, "hooks.c"], "hooks.c"),
        (&["diff", &file, &file], "hooks"),
        (&["diff", &file, &file, "--json"], "\"sites\""),
        (
            &["flamegraph", &file, "--measure", "allocations", "--folded"],
            "site_malloc",
        ),
        (
            &["export", &file, "--format", "speedscope"],
            "speedscope.app/file-format-schema",
        ),
        (&["report", &file, "--frame", "site_mmap", "--top", "1"], "site_mmap"),
    ];
    for (arguments, word) in cases {
        let finished = Memtrace::finished(arguments);
        assert!(finished.status.success(), "{arguments:?}: {finished:?}");
        assert!(finished.stdout.contains(word), "{arguments:?}: {}", finished.stdout);
    }
    let other = programs::workspace().join("tests/fixtures/ranges.memtrace");
    let compared = Memtrace::finished(["diff", &file, &other.to_string_lossy()]);
    assert!(
        compared.status.success() && compared.stdout.contains("ranges"),
        "{compared:?}"
    );
    println!("{}", compared.stdout);
    for (arguments, words) in [
        (["annotate", &file, "nothing.c"], ["failed to find", "hooks.c"]),
        (["histogram", &file, "--site=99"], ["there is no site 99", ""]),
        (["report", &file, "--frame=("], ["--frame", ""]),
        (["report", &file, "--debug-dir"], ["--debug-dir", ""]),
    ] {
        let finished = Memtrace::finished(arguments);
        assert_eq!(finished.status.code(), Some(2), "{finished:?}");
        finished.assert_says(&words);
    }
    let picture = tempfile::tempdir().expect("a temporary directory");
    let svg = picture.path().join("diff.svg").to_string_lossy().into_owned();
    let drawn = Memtrace::finished(["diff", &file, &file, "--flamegraph", &svg]);
    assert!(drawn.status.success(), "{drawn:?}");
    assert!(fs::read_to_string(&svg).expect("a picture").contains("<svg"));
}

#[test]
fn a_limit_is_for_recordings_too() {
    let file = programs::workspace().join("tests/fixtures/hooks.memtrace");
    let file = file.to_string_lossy().into_owned();
    let passed = Memtrace::finished(["leaks", &file, "--fail-over", "1GiB"]);
    assert_eq!(passed.status.code(), Some(0), "{passed:?}");
    let only = Memtrace::finished(["leaks", &file, "--json", "--fail-over", "0"]);
    let document: Value = serde_json::from_str(&only.stdout).expect("JSON");
    let found = document["check"]["found"].as_u64().expect("a number");
    assert_eq!(only.status.code(), Some(i32::from(found > 0)), "{}", only.stdout);
}

#[test]
fn an_existing_file_is_not_overwritten() {
    require_root!();
    let mut program = Program::start("life", &["plain"]);
    let here = tempfile::tempdir().expect("a temporary directory");
    let precious = here.path().join("precious");
    fs::write(&precious, "content").expect("a file");
    let path = precious.to_string_lossy().into_owned();
    let pid = program.pid().to_string();
    Memtrace::finished(["record", "--pid", &pid, "-o", &path]).assert_refused(&["is there already"]);
    assert_eq!(fs::read(&precious).expect("it is still there"), b"content");
    Memtrace::finished(["record", "--pid", &pid, "-o", "/nowhere/at/all"]).assert_refused(&["/nowhere/at/all"]);
    assert!(program.is_alive());
}
