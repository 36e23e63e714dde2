//! However the tracer ends, the target goes on, and nothing is left in it or in the kernel.

#![expect(clippy::print_stdout, reason = "a test prints what it compared")]

use std::time::Duration;

use memtrace_tests::{Memtrace, Program, kernel, require_root};
use rustix::process::Signal;

/// Traces a program that is at work, ends the tracer in some way, and looks at what is left.
fn leaves_nothing(end: impl FnOnce(Memtrace)) {
    let mut program = Program::start("life", &["churn"]);
    assert_eq!(
        kernel::patched(program.pid()).expect("the code can be read"),
        Vec::<String>::new(),
        "before attach"
    );
    program.go();
    program.expect("working");
    let memtrace = Memtrace::attach(program.pid(), &[]);
    let objects = kernel::assert_probed(memtrace.pid(), program.pid());
    std::thread::sleep(Duration::from_millis(200));
    end(memtrace);
    kernel::assert_clean(&objects, Some(program.pid()));
    assert!(program.is_alive(), "the target goes on");
    program.send("stop");
    let truth = program.truth();
    println!("afterwards: {:?}", truth.site("site_plain"));
    assert_eq!(truth.site("site_plain").live(), (13500, 90), "its work is right");
    let (status, _) = program.end();
    assert!(status.success(), "the target ended with {status}");
}

#[test]
fn interrupt() {
    require_root!();
    leaves_nothing(|memtrace| drop(memtrace.finish()));
}

#[test]
fn kill() {
    require_root!();
    leaves_nothing(|mut memtrace| {
        memtrace.process().signal(Signal::KILL);
        let (status, _) = memtrace.process().wait();
        println!("the tracer ended with {status}");
    });
}

#[test]
fn hangup() {
    require_root!();
    leaves_nothing(|mut memtrace| {
        memtrace.process().signal(Signal::HUP);
        let (status, _) = memtrace.process().wait();
        println!("the tracer ended with {status}");
    });
}

#[test]
fn kill_while_attaching() {
    require_root!();
    let mut program = Program::start("life", &["churn"]);
    program.go();
    program.expect("working");
    let mut seen = 0;
    for delay in [5, 20, 40, 80, 120, 160, 240, 600] {
        let mut memtrace = Memtrace::attaching(program.pid(), &[]);
        std::thread::sleep(Duration::from_millis(delay));
        let objects = kernel::objects_of(memtrace.pid());
        memtrace.process().signal(Signal::KILL);
        memtrace.process().wait();
        println!("killed after {delay} ms with {} BPF objects", objects.len());
        seen = seen.max(objects.len());
        kernel::assert_clean(&objects, Some(program.pid()));
    }
    assert!(seen > 0, "at least the last one was killed with its probes in place");
    program.send("stop");
    program.truth();
    assert!(program.end().0.success());
}

#[test]
fn a_killed_run_takes_its_program_along_or_lets_it_go_on_clean() {
    require_root!();
    let mut memtrace = Memtrace::run(&[], std::process::Command::new("sleep").arg("300"));
    memtrace.process().expect_error("attached to");
    let children = format!("/proc/{0}/task/{0}/children", memtrace.pid());
    let child: u32 = std::fs::read_to_string(children)
        .expect("the children of the tracer")
        .split_ascii_whitespace()
        .next()
        .expect("the tracer has a child")
        .parse()
        .expect("a pid");
    let objects = kernel::assert_probed(memtrace.pid(), child);
    memtrace.process().signal(Signal::KILL);
    memtrace.process().wait();
    let alive = std::path::Path::new(&format!("/proc/{child}/exe")).read_link().is_ok();
    println!("the program goes on: {alive}");
    kernel::assert_clean(&objects, alive.then_some(child));
    if alive {
        let pid = rustix::process::Pid::from_raw(child.cast_signed()).expect("a pid");
        rustix::process::kill_process(pid, Signal::KILL).expect("the program can be ended");
    }
}
