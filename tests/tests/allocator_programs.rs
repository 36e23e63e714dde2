//! The programs of the matrix by themselves: where one is wrong, no tracer has to be looked at.

#![expect(clippy::print_stdout, reason = "a test prints what it ran")]

use std::process::Command;

use memtrace_tests::{Program, Truth, programs, requirements::skipped};

/// Runs a program without a tracer. It checks its own blocks, and ends itself where something is wrong.
fn run(name: &str, arguments: &[&str]) -> Option<Truth> {
    if let Err(reason) = programs::available(name) {
        skipped(&reason);
        return None;
    }
    let mut program = Program::start(name, arguments);
    program.go();
    let truth = program.truth();
    let (status, _) = program.end();
    println!("{name}: {status}, {} sites, live {:?}", truth.sites.len(), truth.live());
    assert!(status.success(), "{name} ended with {status}");
    for (name, site) in &truth.sites {
        assert!(
            site.bytes <= site.allocated_bytes && site.count <= site.allocated_count,
            "{name}"
        );
    }
    Some(truth)
}

#[test]
fn c_and_operators_with_every_allocator() {
    for name in [
        "matrix",
        "matrix-static",
        "matrix-musl",
        "matrix-musl-static",
        "matrix-musl-stripped",
        "matrix-cpp",
        "matrix-cpp-static",
        "matrix-cpp-separate",
        "matrix-jemalloc",
        "matrix-jemalloc-static",
        "matrix-tcmalloc",
        "matrix-tcmalloc-static",
        "matrix-tcmalloc-minimal",
        "matrix-tcmalloc-minimal-static",
        "matrix-mimalloc",
    ] {
        let Some(truth) = run(name, &["4", "2000"]) else {
            continue;
        };
        for site in ["site_malloc", "site_calloc", "site_realloc_grow", "site_posix_memalign"] {
            assert!(truth.site(site).count > 0, "{name} {site}");
        }
        assert_eq!(truth.site("site_failing").allocated_count, 0);
    }
}

#[test]
fn own_names_and_pairs() {
    for name in [
        "own-names-jemalloc",
        "own-names-mimalloc",
        "own-names-tcmalloc",
        "pairs",
        "usdt",
    ] {
        run(name, &[]);
    }
}

#[test]
fn rust_without_crates() {
    for name in [
        "rust-system",
        "rust-system-static",
        "rust-system-separate",
        "rust-arena",
    ] {
        if let Some(truth) = run(name, &[]) {
            // The workload is the same whichever the allocator.
            assert_eq!(truth.site("rust_site_vec").live(), (528_384, 2));
        }
    }
}

#[test]
fn a_family_agrees_on_what_was_inherited() {
    let mut program = Program::start("family", &["prefork", "3"]);
    program.go();
    program.expect("forked");
    program.go();
    let truth = program.truth();
    assert!(program.status().is_none());
    let (status, output) = program.end();
    assert!(status.success(), "the family ended with {status}");
    let children: Vec<Truth> = output
        .lines()
        .filter_map(|line| line.strip_prefix("child "))
        .map(Truth::from_line)
        .collect();
    // Three children twice, and a grandchild.
    assert_eq!(children.len(), 7);
    let (bytes, count) = truth.live();
    for child in children {
        let left = (child.value("inherited_bytes"), child.value("inherited_count"));
        println!(
            "child {}: inherited {left:?}, own {:?}",
            child.value("pid"),
            child.live()
        );
        assert!(left.0 < bytes + 100_000 && left.1 < count + 60);
    }
}

#[test]
fn two_lives_have_one_number() {
    if let Err(reason) = memtrace_tests::requirements::root() {
        return skipped(&reason);
    }
    let mut program = Program::start("reborn", &[]);
    program.go();
    program.expect("born 1");
    program.go();
    program.expect("born 2");
    program.go();
    assert_eq!(program.truth().site("site_second_life").live(), (3000, 30));
    assert!(program.end().0.success());
}

#[test]
fn processes_by_themselves() {
    let paths = ["known", "known-static", "libown-malloc.so"].map(programs::path);
    let [known, fixed, library] = paths.each_ref().map(|path| path.to_str().expect("a path in UTF-8"));
    let truth = run("family", &["spawn", known, "50", "50"]).expect("it was built");
    assert_eq!(truth.value("ended"), 4);
    for program in [known, fixed] {
        let truth = run("spawner", &["200", "1", program, "100", "8"]).expect("it was built");
        assert_eq!((truth.value("spawned"), truth.value("well")), (200, 200));
    }
    let truth = run("sleepers", &["100"]).expect("it was built");
    assert_eq!(truth.site("site_sleeper").live(), (100_000, 100));
    let truth = run("loader", &["fast", library, "20"]).expect("it was built");
    assert_eq!(truth.site("site_loaded").live(), (0, 0));
    // It only waits.
    let mut waiting = Program::spawn(&mut Command::new(programs::path("go-like")));
    assert!(waiting.is_alive());
    if programs::available("known-musl").is_ok() {
        let status = Command::new(programs::path("known-musl")).args(["10", "10"]).status();
        assert!(status.expect("it starts").success());
    }
    let mut shell = Command::new("sh");
    let mut forks = Program::ready(shell.arg(programs::source("forks.sh")).args([known, "3"]));
    forks.go();
    assert_eq!(forks.truth().value("rounds"), 3);
    assert!(forks.end().0.success());
}
