//! Kernels before 6.10 have no links to many places: each probe gets one of its own there. All else is the same.

#![expect(clippy::print_stdout, reason = "a test prints what it compared")]

use std::fs;

use memtrace_tests::{Memtrace, Program, kernel, lost_thread, require_root, thread_caches};

/// Links of a tracer to many places, and to single ones.
fn links(memtrace: &Memtrace) -> (usize, usize) {
    let kinds: Vec<_> = fs::read_dir(format!("/proc/{}/fdinfo", memtrace.pid()))
        .expect("the tracer's descriptors")
        .flatten()
        .filter_map(|entry| {
            let text = fs::read_to_string(entry.path()).ok()?;
            let kind = text.lines().find_map(|line| line.strip_prefix("link_type:"))?;
            Some(kind.trim().to_owned())
        })
        .collect();
    let of = |wanted: &str| kinds.iter().filter(|kind| *kind == wanted).count();
    println!("links: {kinds:?}");
    (of("uprobe_multi"), of("perf"))
}

/// Tracepoints of mapping calls and of lives, which have a link each.
const TRACEPOINTS: usize = 13;

/// Whether this kernel is asked for links to many places.
fn many_are_possible() -> bool {
    let doctor = Memtrace::finished(["doctor"]).stdout;
    let line = doctor.lines().find(|line| line.contains("probe links"));
    println!("{line:?}");
    line.is_some_and(|line| line.contains("one for many probes"))
}

/// Traces a program that is told to go, and compares.
fn exact(name: &str, arguments: &[&str], options: &[&str], unmatched: u64) {
    let options: Vec<_> = ["--ring-size", "64MiB"].iter().chain(options).copied().collect();
    let (report, truth) = Memtrace::traced(Program::start(name, arguments), &options);
    report.assert_exact(&truth);
    report.assert_healthy(0..=unmatched);
}

#[test]
fn many_probes_share_a_link_where_the_kernel_has_that() {
    require_root!();
    if !many_are_possible() {
        println!("skipped: this kernel has no links to many places");
        return;
    }
    let mut program = Program::start("life", &["plain"]);
    let shared = Memtrace::attach(program.pid(), &[]);
    let (many, single) = links(&shared);
    assert!(
        many > 0 && single <= TRACEPOINTS,
        "{many} to many places, {single} to single ones"
    );
    drop(shared.finish());
    // Children that are not observed would pay for them.
    for options in [["--single-links"], ["--no-follow"]] {
        let alone = Memtrace::attach(program.pid(), &options);
        let (many, single) = links(&alone);
        assert!(
            many == 0 && single > TRACEPOINTS,
            "{options:?}: {many} to many places, {single} to single ones"
        );
        drop(alone.finish());
    }
    program.go();
    program.truth();
    assert!(program.end().0.success());
}

/// The others at the same link are not lost without a word: the one that the kernel refuses is named.
#[test]
fn a_function_that_the_kernel_puts_no_probe_on_is_named() {
    require_root!();
    let mut program = Program::start("unprobeable", &[]);
    let both = ["--pair", "plain_take:plain_give", "--pair", "locked_take:plain_give"];
    for more in [&[][..], &["--single-links"]] {
        let options: Vec<_> = both.iter().chain(more).copied().collect();
        Memtrace::tried(&program.pid().to_string(), &options).assert_refused(&["failed to attach to locked_take"]);
        assert_eq!(kernel::patched(program.pid()).expect("its code"), Vec::<String>::new());
    }
    program.go();
    program.truth();
    assert!(program.end().0.success());
}

#[test]
fn every_hook_by_single_links() {
    require_root!();
    exact("hooks", &["1", "20000"], &["--single-links"], 0);
    exact("hooks", &["8", "4000"], &["--single-links"], *thread_caches(8).end());
}

#[test]
fn calls_that_fail_by_single_links() {
    require_root!();
    for mode in ["failed-realloc", "realloc-zero"] {
        exact("calls", &[mode], &["--single-links"], 0);
    }
}

#[test]
fn a_new_program_by_single_links() {
    require_root!();
    let (report, truth) = Memtrace::traced(Program::start("life", &["exec"]), &["--single-links"]);
    report.assert_exact(&truth.only(|name| name == "site_after_exec"));
    report.assert_healthy(0..=0);
}

/// As in `live_lifecycle`, where links are shared.
#[test]
fn threads_that_end_or_replace_the_program_by_single_links() {
    require_root!();
    for (mode, mark) in [("inherited", "heir"), ("executor", "second")] {
        lost_thread(mode, mark, &["--single-links"]);
    }
}
