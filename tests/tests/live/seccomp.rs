//! Programs that the kernel kills for an unexpected system call: tracing must not make one.

#![expect(clippy::print_stdout, reason = "a test prints what it compared")]

use memtrace_tests::{Memtrace, Program, require_root, wait_until};

/// The program must be traced exactly, or left alone with the reason; in both cases it lives.
fn survives(mode: &str) {
    let mut program = Program::start("sandbox", &[mode]);
    let mut memtrace = Memtrace::attaching(program.pid(), &[]);
    let refused = wait_until(memtrace_tests::PATIENCE, || {
        if memtrace.process().errors().contains("attached to") {
            return Some(false);
        }
        memtrace.process().status().map(|_| true)
    });
    let refused = refused.expect("attached or refused in time");
    if refused && !memtrace.process().errors().contains("attached to") {
        let (finished, _) = memtrace.end();
        finished.assert_refused(&["seccomp"]);
        program.go();
        program.truth();
    } else {
        println!("traced");
        program.go();
        let truth = program.truth();
        let report = memtrace.finish();
        report.assert_exact(&truth);
        report.assert_healthy(0..=0);
    }
    program.send("go");
    let (status, output) = program.wait();
    assert!(status.success(), "the program ended with {status}");
    assert!(output.ends_with("unharmed\n"), "{output}");
}

#[test]
fn a_filter_that_kills() {
    require_root!();
    survives("filter");
}

#[test]
fn strict_mode() {
    require_root!();
    survives("strict");
}
