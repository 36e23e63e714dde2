//! Call stacks of programs without frame pointers equal those that the programs know, frame by frame.

#![expect(clippy::print_stdout, reason = "a test prints what it compared")]

use std::process::Command;

use memtrace_tests::{Memtrace, Program, Report, Stacks, programs, require_root, require_tool};

fn traced_with(mut program: Program, options: &[&str]) -> (Report, Stacks) {
    let memtrace = Memtrace::attach(program.pid(), &[&["--ring-size", "64MiB"], options].concat());
    program.go();
    program.expect("hold");
    let report = memtrace.finish();
    println!("health.stacks: {}", report.profile["health"]["stacks"]);
    let truth = Stacks::of_program(&program.output());
    let (status, _) = program.end();
    assert!(status.success(), "the program ended with {status}");
    (report, truth)
}

/// Compares a program with the truth; whole stacks but for what `but` of health tells.
fn assert_whole(name: &str, arguments: &[&str], but: &[&str]) {
    let (report, truth) = traced_with(Program::start(name, arguments), &[]);
    truth.compare(&report).assert_whole();
    report.assert_starts(1000);
    report.assert_complete(but);
}

#[test]
fn deep_recursion_of_every_kind_of_frame_in_two_threads() {
    require_root!();
    assert_whole("unwind-deep", &[], &[]);
}

#[test]
fn a_program_with_frame_pointers() {
    require_root!();
    assert_whole("unwind-deep-fp", &[], &[]);
}

/// Shows that the programs are what these tests need.
#[test]
fn frame_pointers_alone_do_not_find_these_stacks() {
    require_root!();
    let (report, truth) = traced_with(Program::start("unwind-deep", &[]), &["--stack", "fp"]);
    let found = truth.compare(&report);
    assert!(found.whole * 100 < found.allocations, "{found}");
}

#[test]
fn functions_that_the_c_library_calls_back() {
    require_root!();
    assert_whole("unwind-libc", &[], &[]);
}

#[test]
fn destructors_and_handlers_of_exceptions() {
    require_root!();
    assert_whole("unwind-throw", &[], &[]);
}

#[test]
fn handlers_of_raised_signals() {
    require_root!();
    assert_whole("unwind-signal", &["raise"], &[]);
}

/// Tables are kept for calls only, so that a stack through another instruction may be wrong: then it is counted.
#[test]
fn handlers_of_faults() {
    require_root!();
    let (report, truth) = traced_with(Program::start("unwind-signal", &["fault"]), &[]);
    let signals = report.counter("stacks_signal");
    let faults: u64 = truth.all().map(|(_, amount)| amount.count).sum();
    println!("stacks_signal: {signals} of {faults}");
    assert_eq!(signals, faults, "every stack through a signal is counted");
    truth
        .clone()
        .only(|site| site == "site_fault_in_caller")
        .compare(&report)
        .assert_whole();
    // Their callers may be wrong, which is what the count says.
    let leaf = truth.only(|site| site == "site_fault_in_leaf").compare(&report);
    assert_eq!(
        leaf.whole + leaf.cut + leaf.wrong,
        leaf.allocations,
        "each keeps its site"
    );
}

/// Another tracer's return probes have put other addresses onto the stack.
#[test]
fn return_addresses_that_the_kernel_has_replaced() {
    require_root!();
    assert_whole("unwind-returns", &[], &[]);
}

/// Kernels before 5.17 have no `bpf_loop`.
#[test]
fn the_loop_of_older_kernels() {
    require_root!();
    let (report, truth) = traced_with(Program::start("unwind-deep", &[]), &["--old-loop"]);
    truth.compare(&report).assert_whole();
    report.assert_complete(&[]);
}

#[test]
fn threads_of_the_c_library() {
    require_root!();
    assert_whole("unwind-thread", &["pthread"], &[]);
}

#[test]
fn a_thread_by_clone() {
    require_root!();
    assert_whole("unwind-thread", &["clone"], &[]);
}

/// Where a thread begins in code without a table, its last frame is right, and no more can be known.
#[test]
fn a_thread_that_begins_in_code_without_a_table() {
    require_root!();
    let (report, truth) = traced_with(Program::start("unwind-thread", &["bare"]), &[]);
    truth.compare(&report).assert_whole();
    report.assert_complete(&["no_table"]);
}

#[test]
fn code_with_and_without_tables_in_turns() {
    require_root!();
    let library = programs::path("libunwind-bare.so");
    let mut command = Command::new(programs::path("unwind-mixed"));
    let (report, truth) = traced_with(Program::ready(command.arg(library)), &[]);
    truth.compare(&report).assert_whole();
    report.assert_starts(1000);
    report.assert_complete(&[]);
}

/// The loader's code for a call that is not bound yet finds its frame by a register that is not followed. The stack is
/// right up to there, and counted.
#[test]
fn calls_that_are_bound_when_they_are_made() {
    require_root!();
    let library = programs::path("libunwind-chosen.so");
    let mut command = Command::new(programs::path("unwind-lazy"));
    let (report, truth) = traced_with(Program::ready(command.arg(library)), &[]);
    let called = truth.clone().only(|site| site == "site_called");
    called.compare(&report).assert_whole();
    let resolving = truth.only(|site| site == "site_resolver").compare(&report);
    assert_eq!(resolving.wrong, 0, "{resolving}");
    assert_eq!(
        resolving.cut,
        report.health("stacks.unsupported"),
        "a stack that is cut is counted: {resolving}"
    );
    report.assert_complete(&["unsupported"]);
}

#[test]
fn rust_that_aborts_on_panic() {
    require_root!();
    require_tool!("rustc");
    assert_whole("unwind-rust", &[], &[]);
}
