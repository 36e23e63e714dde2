//! What must come of it when the thread ends that probes were attached through.

use std::time::Duration;

use crate::{Memtrace, Program};

/// Observes a program that loses the thread that the probes were attached through, and goes on after `mark`.
pub fn lost_thread(mode: &str, mark: &str, options: &[&str]) {
    let mut program = Program::start("life", &[mode]);
    let memtrace = Memtrace::attach(program.pid(), options);
    program.go();
    program.expect(mark);
    // Until it is noticed and the probes are on again; the kernel takes its time for each.
    std::thread::sleep(Duration::from_secs(4));
    program.go();
    let truth = program.truth();
    let report = memtrace.finish();
    report.assert_exact(&truth);
    assert_eq!(report.health("gaps"), 1);
    assert_eq!(report.health("conflicts"), 0);
    let exact = report.profile["health"]["exact"].as_bool();
    assert_eq!(exact, Some(false), "what happened meanwhile was not seen");
    assert!(report.stdout.contains("put on anew"), "{}", report.stdout);
    assert!(program.end().0.success());
}
