//! Every hook of the C library: live and allocated bytes of each site equal the program's own, to the byte.

#![expect(clippy::print_stdout, reason = "a test prints what it compared")]

use memtrace_tests::{Memtrace, Program, require_root, thread_caches};

/// Runs the hooks program and compares everything it knows.
fn every_hook(threads: &str, steps: &str) {
    let mut program = Program::start("hooks", &[threads, steps]);
    // Large enough that nothing is lost: loss has its own tests.
    let memtrace = Memtrace::attach(program.pid(), &["--ring-size", "64MiB"]);
    program.go();
    let truth = program.truth();
    let report = memtrace.finish();
    report.assert_exact(&truth);
    report.assert_healthy(if threads == "1" { 0..=0 } else { thread_caches(8) });
    assert_eq!(report.end(), "interrupted");

    // Every function that this C library has must be among the hooks that the tool says it set.
    let hooks = report.profile["target"]["allocators"].to_string();
    let always = [
        "malloc",
        "calloc",
        "realloc",
        "reallocarray",
        "free",
        "posix_memalign",
        "valloc",
        "pvalloc",
    ];
    for name in always {
        assert!(hooks.contains(&format!("\"{name}\"")), "{name} is not in {hooks}");
    }
    for name in ["free_sized", "free_aligned_sized"] {
        let there = truth.value(name) == 1;
        println!("{name}: in this C library: {there}");
        assert_eq!(hooks.contains(&format!("\"{name}\"")), there, "{name} in {hooks}");
    }

    if threads == "1" {
        // On one thread nothing but the program allocates, so that the total is exact too.
        let heap = truth.sites.iter().filter(|(name, _)| {
            ![
                "site_mmap",
                "site_mremap",
                "site_mremap_move",
                "site_reserve",
                "site_brk",
            ]
            .contains(&name.as_str())
        });
        let heap = heap.fold((0, 0), |sum, (_, site)| (sum.0 + site.bytes, sum.1 + site.count));
        println!("live heap: truth {heap:?}, memtrace {:?}", report.class("heap"));
        assert_eq!(report.class("heap"), heap);
    }

    let (status, _) = program.end();
    assert!(status.success(), "the program ended with {status}");
}

#[test]
fn one_thread() {
    require_root!();
    every_hook("1", "20000");
}

#[test]
fn eight_threads_with_frees_across() {
    require_root!();
    every_hook("8", "4000");
}
