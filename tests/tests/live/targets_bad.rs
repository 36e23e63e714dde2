//! Targets that cannot be traced, or that change under the tracer's hands.

use std::{fs, path::Path, process::Command, time::Duration};

use memtrace_tests::{Memtrace, PATIENCE, Program, Report, Truth, programs, require, require_root, wait_until};

const RING: [&str; 2] = ["--ring-size", "64MiB"];

/// How long a library that was loaded just now may stay without probes.
const NOTICED: Duration = Duration::from_secs(4);

#[test]
fn a_program_in_which_nothing_can_be_hooked() {
    require_root!();
    require!(programs::available("matrix-musl-stripped"));
    let mut program = Program::start("matrix-musl-stripped", &["1", "100"]);
    let pid = program.pid().to_string();
    // What was looked for, where, and what the user can do.
    Memtrace::tried(&pid, &[]).assert_refused(&[&pid, "malloc", "jemalloc", "matrix-musl-stripped", "--pair"]);
    program.go();
    program.truth();
    assert!(program.end().0.success());
}

#[test]
fn a_program_of_go_is_recognised() {
    require_root!();
    let mut program = Program::spawn(&mut Command::new(programs::path("go-like")));
    let pid = program.pid().to_string();
    let finished = Memtrace::tried(&pid, &[]);
    finished.assert_refused(&[&pid, "Go", "pprof"]);
    assert!(program.is_alive());
}

#[test]
fn a_program_that_cannot_be_hooked_does_not_keep_others_from_it() {
    require_root!();
    require!(programs::available("matrix-musl-stripped"));
    let stripped = Program::start("matrix-musl-stripped", &["1", "100"]);
    let mut program = Program::start("matrix", &["1", "1000"]);
    let numbers = [stripped.pid().to_string(), program.pid().to_string()];
    let memtrace = Memtrace::observe(["--pid", &numbers[0], "--pid", &numbers[1]].into_iter().chain(RING));
    program.go();
    let truth = program.truth();
    let report = memtrace.finish();
    report.assert_exact(&truth);
    assert_eq!(report.health("unhooked_processes"), 1);
    assert_eq!(
        report.profile["health"]["exact"].as_bool(),
        Some(false),
        "a target was not seen"
    );
}

#[test]
fn one_of_several_that_is_not_there_is_refused() {
    require_root!();
    let program = Program::start("life", &["plain"]);
    let mut gone = Program::spawn(&mut Command::new("true"));
    gone.wait();
    let numbers = [program.pid().to_string(), gone.pid().to_string()];
    let arguments = [
        "attach",
        "--duration",
        "200ms",
        "--pid",
        &numbers[0],
        "--pid",
        &numbers[1],
    ];
    Memtrace::finished(arguments).assert_refused(&[&numbers[1]]);
    for (options, words) in [
        (&["attach"][..], &["--pid"][..]),
        (&["attach", "--all", "--pid", "1"], &["--all", "--pid"]),
        (&["attach", "--comm", "sh", "--cgroup", "/"], &["--comm", "--cgroup"]),
        (&["attach", "--all", "--no-follow"], &["--no-follow"]),
        (&["attach", "--all", "--split", "colour"], &["--split"]),
        (&["attach", "--pid", "0"], &["0"]),
        (&["attach", "--comm", ""], &["--comm"]),
    ] {
        println!("--- {options:?}");
        Memtrace::finished(options).assert_refused(words);
    }
}

#[test]
fn a_number_that_another_process_has_now() {
    require_root!();
    let mut program = Program::start("reborn", &[]);
    // The first child's: the program is its parent.
    let first: u32 = program.expect("ready ").parse().expect("a process id");
    let memtrace = Memtrace::observe(["--pid", &first.to_string()].into_iter().chain(RING));
    program.go();
    program.expect("born 1");
    program.go();
    program.expect("born 2");
    program.go();
    program.truth();
    let report = memtrace.ended();
    assert_eq!(report.end(), "exited");
    assert_eq!(report.site("site_first_life").live(), (3000, 30));
    assert_eq!(
        report.site("site_second_life").allocated_count,
        0,
        "a stranger with the same number"
    );
    assert_eq!(report.health("conflicts"), 0);
    assert!(program.end().0.success());
}

#[test]
fn both_lives_of_a_number_are_kept_apart() {
    require_root!();
    let mut program = Program::start("reborn", &[]);
    let first = program.expect("ready ");
    let both = format!("{},{first}", program.pid());
    // The parent is a target too, so that its second child is followed: from its first allocation on, where probes are for all.
    let memtrace = Memtrace::observe(["--machine-wide", "--pid", &both].into_iter().chain(RING));
    for mark in ["born 1", "born 2"] {
        program.go();
        program.expect(mark);
    }
    program.go();
    program.truth();
    let report = memtrace.finish();
    assert_eq!(report.at_exit(None, "site_first_life"), (3000, 30));
    assert_eq!(report.site("site_first_life").live(), (0, 0));
    assert_eq!(report.site("site_second_life").live(), (3000, 30));
    let lives = report.processes().filter(|process| process.pid().to_string() == first);
    assert_eq!(lives.count(), 2);
    assert_eq!(report.health("conflicts"), 0);
    assert!(program.end().0.success());
}

/// A program whose file is no longer the one at its path.
fn file_changed(change: impl Fn(&Path), before: bool) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    // Static, so that the allocator itself is in the file that changes.
    let path = programs::copy("matrix-static", &directory.path().join("changing"));
    let mut program = Program::ready(Command::new(&path).args(["2", "1000"]));
    if before {
        change(&path);
    }
    let memtrace = Memtrace::attach(program.pid(), &RING);
    if !before {
        change(&path);
    }
    program.go();
    let truth = program.truth();
    let report = memtrace.finish();
    report.assert_exact(&truth);
    assert!(program.end().0.success());
}

fn replace(path: &Path) {
    let other = programs::copy("life", &path.with_extension("other"));
    fs::rename(other, path).expect("a file can be replaced");
}

fn unlink(path: &Path) {
    fs::remove_file(path).expect("a file can be removed");
}

#[test]
fn a_file_that_was_replaced() {
    require_root!();
    file_changed(replace, true);
}

#[test]
fn a_file_that_is_replaced_meanwhile() {
    require_root!();
    file_changed(replace, false);
}

#[test]
fn a_file_that_was_unlinked() {
    require_root!();
    file_changed(unlink, true);
}

#[test]
fn a_file_that_is_unlinked_meanwhile() {
    require_root!();
    file_changed(unlink, false);
}

/// A program that loads an allocator again and again, and waits each time until it may have been noticed.
fn loader(mode: &str) -> (Program, Truth, Report) {
    let library = programs::path("libown-malloc.so");
    let library = library.to_str().expect("a path in UTF-8");
    let rounds = 3;
    let mut program = Program::start("loader", &[mode, library, &rounds.to_string()]);
    let memtrace = Memtrace::attach(program.pid(), &RING);
    program.go();
    for round in 1..=rounds {
        let loaded = wait_until(PATIENCE, || {
            (program.output().matches("loaded").count() == round).then_some(())
        });
        loaded.expect("the library is loaded");
        std::thread::sleep(NOTICED);
        program.go();
    }
    let truth = program.truth();
    (program, truth, memtrace.finish())
}

#[test]
fn an_allocator_that_comes_and_goes() {
    require_root!();
    let (program, truth, report) = loader("clean");
    report.assert_exact(&truth);
    report.assert_healthy(0..=0);
    report.only_process().assert_allocator("glibc");
    assert!(program.end().0.success());
}

#[test]
fn an_allocator_that_is_unmapped_with_its_blocks() {
    require_root!();
    let (program, truth, report) = loader("unmapped");
    // Whether blocks whose memory is gone are live is a matter of words. What was allocated is not, nor is anybody else's.
    for site in ["site_loaded", "site_loaded_again"] {
        let (told, reported) = (truth.site(site), report.site(site));
        println!("{site}: truth {told:?}, memtrace {reported:?}");
        assert_eq!(told.allocated_bytes, reported.allocated_bytes, "{site}");
        assert!(reported.bytes <= told.bytes, "{site}");
    }
    assert_eq!(report.site("site_ordinary"), truth.site("site_ordinary"));
    assert!(program.end().0.success());
}

#[test]
fn an_allocator_that_is_gone_before_it_is_noticed() {
    require_root!();
    let library = programs::path("libown-malloc.so");
    let library = library.to_str().expect("a path in UTF-8");
    let mut program = Program::start("loader", &["fast", library, "500"]);
    let memtrace = Memtrace::attach(program.pid(), &RING);
    program.go();
    let truth = program.truth();
    let report = memtrace.finish();
    // The ordinary allocator is seen all the time; the other as far as it can be.
    assert_eq!(report.site("site_ordinary"), truth.site("site_ordinary"));
    assert!(report.site("site_loaded").allocated_bytes <= truth.site("site_loaded").allocated_bytes);
    assert_eq!(report.health("malformed"), 0);
    assert!(program.end().0.success(), "the target does not notice");
}

#[test]
fn three_thousand_targets_by_name() {
    require_root!();
    let mut program = Program::start("sleepers", &["3000"]);
    let memtrace = Memtrace::observe(["--comm", "sleepers"].into_iter().chain(RING));
    program.go();
    let truth = program.truth();
    let report = memtrace.finish();
    report.assert_exact(&truth);
    assert!(program.end().0.success());
}
