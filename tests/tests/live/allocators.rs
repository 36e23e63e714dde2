//! The same workload with every allocator: live and allocated bytes of each site equal the program's own, to the byte.

#![expect(clippy::print_stdout, reason = "a test prints what it compared")]

use std::{ops::RangeInclusive, process::Command};

use memtrace_tests::{Memtrace, Program, Report, Truth, programs, require, require_root, thread_caches};

/// Threads and steps of an ordinary run.
const WORK: [&str; 2] = ["4", "4000"];

/// Libraries of Debian that are put before the C library.
const PRELOADS: [(&str, &str); 4] = [
    ("jemalloc", "libjemalloc.so.2"),
    ("mimalloc", "libmimalloc.so.2"),
    ("tcmalloc", "libtcmalloc.so.4"),
    ("tcmalloc-minimal", "libtcmalloc_minimal.so.4"),
];

/// Exceptions that a program of the matrix lets allocators throw, two in each of a hundred rounds. Their memory is allocated inside
/// of the function that throws and belongs to its call, which then never returns.
const THROWN: u64 = 200;

/// What a program has allocated before it waits to be observed, at most, and may free afterwards: of a C++ program what the libraries
/// need for the first exception and the first thread, of a Rust program its arguments, its input's buffer, names.
const BEFORE_CPP: u64 = 8;
const BEFORE: u64 = 64;

/// glibc frees what threads have cached a second time when they end; with another allocator in its place it has none.
fn unmatched(allocator: &str, threads: u64) -> RangeInclusive<u64> {
    match allocator {
        "glibc" => thread_caches(threads),
        "musl" => 0..=0,
        "jemalloc" | "tcmalloc" | "mimalloc" => 0..=THROWN + BEFORE_CPP,
        _ => 0..=BEFORE,
    }
}

/// Runs a program to its hold under memtrace, and compares.
fn observe(program: Program, allocator: &str, threads: u64) -> (Report, Truth) {
    // Large enough that nothing is lost: loss has its own tests.
    let (report, truth) = Memtrace::traced(program, &["--ring-size", "64MiB"]);
    report.only_process().assert_allocator(allocator);
    report.assert_exact(&truth);
    report.assert_healthy(unmatched(allocator, threads));
    (report, truth)
}

/// Runs a program of the matrix.
fn matrix(name: &str, allocator: &str, work: &[&str]) {
    require!(programs::available(name));
    let program = Program::start(name, work);
    println!("malloc is in {}", program.expect("allocator "));
    let threads = work[0].parse().expect("a number of threads");
    observe(program, allocator, threads);
}

/// Runs a program that needs no arguments.
fn alone(name: &str, allocator: &str) -> Option<(Report, Truth)> {
    if let Err(reason) = programs::available(name) {
        memtrace_tests::requirements::skipped(&reason);
        return None;
    }
    Some(observe(Program::start(name, &[]), allocator, 4))
}

/// A test for each program of the matrix.
macro_rules! matrix {
    ($($test:ident: $name:literal, $allocator:literal;)*) => {
        $(
            #[test]
            fn $test() {
                require_root!();
                matrix($name, $allocator, &WORK);
            }
        )*
    };
}

matrix! {
    glibc: "matrix", "glibc";
    glibc_static: "matrix-static", "glibc";
    glibc_operators: "matrix-cpp", "glibc";
    glibc_operators_static: "matrix-cpp-static", "glibc";
    glibc_stripped_with_symbols_beside_it: "matrix-cpp-separate", "glibc";
    musl: "matrix-musl", "musl";
    musl_static: "matrix-musl-static", "musl";
    jemalloc: "matrix-jemalloc", "jemalloc";
    jemalloc_static: "matrix-jemalloc-static", "jemalloc";
    tcmalloc: "matrix-tcmalloc", "tcmalloc";
    tcmalloc_static: "matrix-tcmalloc-static", "tcmalloc";
    tcmalloc_minimal: "matrix-tcmalloc-minimal", "tcmalloc";
    tcmalloc_minimal_static: "matrix-tcmalloc-minimal-static", "tcmalloc";
    mimalloc: "matrix-mimalloc", "mimalloc";
}

/// A program that is linked with glibc only, with another allocator put before it.
fn preloaded(which: &str) {
    let (_, library) = PRELOADS.iter().find(|(name, _)| *name == which).expect("a preload");
    let name = if which == "mimalloc" {
        "matrix-cpp-aborts"
    } else {
        "matrix-cpp"
    };
    let start = || Program::ready(Command::new(programs::path(name)).args(WORK).env("LD_PRELOAD", library));
    let program = start();
    let allocator = program.expect("allocator ");
    println!("malloc is in {allocator}");
    // The dynamic linker goes on without a library that it does not find.
    require!(
        if allocator.contains(library.trim_end_matches(|character| character != 'o')) {
            Ok(())
        } else {
            Err(format!("needs {library}, which is not installed"))
        }
    );
    observe(program, which.split('-').next().unwrap_or(which), 4);
}

#[test]
fn jemalloc_preloaded() {
    require_root!();
    preloaded("jemalloc");
}

#[test]
fn mimalloc_preloaded() {
    require_root!();
    preloaded("mimalloc");
}

#[test]
fn tcmalloc_preloaded() {
    require_root!();
    preloaded("tcmalloc");
}

#[test]
fn tcmalloc_minimal_preloaded() {
    require_root!();
    preloaded("tcmalloc-minimal");
}

#[test]
fn a_thousand_threads() {
    require_root!();
    for (name, allocator) in [
        ("matrix", "glibc"),
        ("matrix-musl", "musl"),
        ("matrix-jemalloc", "jemalloc"),
        ("matrix-tcmalloc", "tcmalloc"),
        ("matrix-mimalloc", "mimalloc"),
    ] {
        println!("--- {name}");
        matrix(name, allocator, &["1000", "50"]);
    }
}

#[test]
fn jemalloc_by_its_own_names() {
    require_root!();
    alone("own-names-jemalloc", "jemalloc");
}

#[test]
fn mimalloc_by_its_own_names() {
    require_root!();
    alone("own-names-mimalloc", "mimalloc");
}

#[test]
fn tcmalloc_by_its_own_names() {
    require_root!();
    alone("own-names-tcmalloc", "tcmalloc");
}

#[test]
fn rust_with_the_systems_allocator() {
    require_root!();
    alone("rust-system", "glibc");
}

#[test]
fn rust_with_the_systems_allocator_static() {
    require_root!();
    alone("rust-system-static", "glibc");
}

#[test]
fn rust_static_and_stripped_with_symbols_beside_it() {
    require_root!();
    alone("rust-system-separate", "glibc");
}

#[test]
fn rust_with_an_allocator_that_nobody_knows() {
    require_root!();
    alone("rust-arena", "Rust");
}

#[test]
fn rust_with_jemalloc_beside_glibc() {
    require_root!();
    let Some((report, truth)) = alone("rust-jemalloc", "jemalloc") else {
        return;
    };
    // Both are there, and each block is counted once, by the one that it came from.
    report.only_process().assert_allocator("glibc");
    println!("resized in place: {}", truth.value("resized_in_place"));
    assert!(truth.site("libc_site_malloc").count > 0);
}

#[test]
fn rust_with_mimalloc() {
    require_root!();
    alone("rust-mimalloc", "mimalloc");
}

#[test]
fn rust_with_snmalloc() {
    require_root!();
    alone("rust-snmalloc", "snmalloc");
}

#[test]
fn rust_with_tcmalloc() {
    require_root!();
    alone("rust-tcmalloc", "tcmalloc");
}
