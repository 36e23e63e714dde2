//! Beginning and end of targets.

use std::{fs, process::Command, time::Duration};

use memtrace_tests::{Memtrace, Program, lost_thread, programs, require_root, thread_caches, wait_until};

#[test]
fn exit_with_live_blocks_is_a_leak() {
    require_root!();
    let mut program = Program::start("life", &["plain"]);
    let memtrace = Memtrace::attach(program.pid(), &[]);
    program.go();
    let truth = program.truth();
    let (status, _) = program.end();
    assert!(status.success(), "the program ended with {status}");
    let report = memtrace.ended();
    report.assert_exact(&truth);
    report.assert_healthy(0..=0);
    report.assert_files();
    println!(
        "end: {}, verdicts: {:?}",
        report.profile["target"]["end"],
        report.verdicts("site_plain")
    );
    assert_eq!(report.end(), "exited");
    assert!(report.verdicts("site_plain").contains("leaked"));
    assert!(
        report.stdout.contains("site_plain"),
        "the summary names the site:\n{}",
        report.stdout
    );
    for (name, words) in [
        ("leaks.txt", "site_plain"),
        ("flamegraph.svg", "site_plain"),
        ("stacks.folded", "site_plain"),
        ("tree.txt", "site_plain"),
        ("lines.txt", "site_plain"),
        ("histogram.txt", "Sizes of"),
    ] {
        let text = fs::read_to_string(report.file(name)).expect(name);
        assert!(text.contains(words), "{words} is not in {name}");
    }
}

#[test]
fn a_killed_target_is_reported() {
    require_root!();
    let mut program = Program::start("life", &["plain"]);
    let memtrace = Memtrace::attach(program.pid(), &[]);
    program.go();
    let truth = program.truth();
    program.signal(rustix::process::Signal::KILL);
    let (status, _) = program.wait();
    println!("the target ended with {status}");
    let report = memtrace.ended();
    report.assert_exact(&truth);
    report.assert_healthy(0..=0);
    assert_eq!(report.end(), "exited");
}

#[test]
fn the_duration_ends_it() {
    require_root!();
    let mut program = Program::start("life", &["plain"]);
    let memtrace = Memtrace::attach(program.pid(), &["--duration", "1500ms"]);
    program.go();
    let truth = program.truth();
    let report = memtrace.ended();
    let seconds = report.profile["observed_seconds"].as_f64().expect("observed_seconds");
    println!("observed {seconds} s of 1.5 s");
    report.assert_exact(&truth);
    report.assert_healthy(0..=0);
    assert_eq!(report.end(), "duration");
    assert!((1.0..4.0).contains(&seconds), "{seconds}");
    assert!(program.end().0.success());
}

#[test]
fn terminate_ends_it_with_a_report() {
    require_root!();
    let mut program = Program::start("life", &["plain"]);
    let mut memtrace = Memtrace::attach(program.pid(), &[]);
    program.go();
    let truth = program.truth();
    memtrace.process().signal(rustix::process::Signal::TERM);
    let report = memtrace.ended();
    report.assert_exact(&truth);
    report.assert_healthy(0..=0);
    assert!(program.end().0.success());
}

#[test]
fn a_new_program_by_exec_is_followed() {
    require_root!();
    let mut program = Program::start("life", &["exec"]);
    let memtrace = Memtrace::attach(program.pid(), &[]);
    program.go();
    let truth = program.truth();
    let report = memtrace.finish();
    report.assert_exact(&truth.only(|name| name == "site_after_exec"));
    let before = report.site("site_before_exec");
    println!("before exec: {before:?}");
    assert_eq!(before.live(), (0, 0), "exec takes all memory back");
    report.assert_healthy(0..=0);
    assert!(program.end().0.success());
}

#[test]
fn a_process_that_outlives_its_main_thread_is_followed() {
    require_root!();
    lost_thread("inherited", "heir", &[]);
}

#[test]
fn a_new_program_by_exec_of_another_thread_is_followed() {
    require_root!();
    lost_thread("executor", "second", &[]);
}

#[test]
fn a_forked_child_is_kept_apart() {
    require_root!();
    let mut program = Program::start("life", &["fork"]);
    let memtrace = Memtrace::attach(program.pid(), &["--no-follow"]);
    program.go();
    let truth = program.truth();
    let report = memtrace.finish();
    // The truth has no bytes at site_child: that is the child's, and only the parent is traced.
    report.assert_exact(&truth);
    report.assert_healthy(0..=0);
    assert!(program.end().0.success(), "parent and child ended well");
}

#[test]
fn children_by_vfork_and_spawn_are_kept_apart() {
    require_root!();
    let mut program = Program::start("life", &["vfork"]);
    let memtrace = Memtrace::attach(program.pid(), &[]);
    program.go();
    let truth = program.truth();
    let report = memtrace.finish();
    // The children live for a moment: some have their probes in time, and all they have ends with them.
    report.assert_exact(&truth.only(|name| name != "site_child"));
    println!("children: {:?}", report.site("site_child"));
    assert_eq!(report.site("site_child").live(), (0, 0));
    // One for each at most, from before its probes were on.
    report.assert_healthy(0..=10);
    assert!(program.end().0.success());
}

#[test]
fn four_hundred_threads() {
    require_root!();
    let mut program = Program::start("life", &["storm"]);
    let memtrace = Memtrace::attach(program.pid(), &["--ring-size", "64MiB"]);
    program.go();
    let truth = program.truth();
    let report = memtrace.finish();
    report.assert_exact(&truth);
    report.assert_healthy(thread_caches(400));
    assert!(program.end().0.success());
}

#[test]
fn two_tracers_at_once() {
    require_root!();
    let mut program = Program::start("life", &["plain"]);
    let first = Memtrace::attach(program.pid(), &[]);
    let second = Memtrace::attach(program.pid(), &[]);
    program.go();
    let truth = program.truth();
    for memtrace in [first, second] {
        let report = memtrace.finish();
        report.assert_exact(&truth);
        report.assert_healthy(0..=0);
    }
    assert!(program.end().0.success());
}

#[test]
fn the_first_tracer_leaves_the_second_alone() {
    require_root!();
    let mut program = Program::start("life", &["plain"]);
    let first = Memtrace::attach(program.pid(), &[]);
    let second = Memtrace::attach(program.pid(), &[]);
    drop(first.finish());
    program.go();
    let truth = program.truth();
    second.finish().assert_exact(&truth);
    assert!(program.end().0.success());
}

#[test]
fn attach_to_processes_that_are_about_to_exit() {
    require_root!();
    let brief = programs::path("life");
    let (mut reported, mut refused) = (0, 0);
    for round in 0..30_u64 {
        // Some are gone before the attach begins, some during it, some shortly after.
        let mut program = Program::spawn(Command::new(&brief).args(["brief", &(round * round * 20_000).to_string()]));
        let pid = program.pid();
        if round % 5 == 0 {
            program.wait();
        }
        let (finished, _) = Memtrace::attaching(pid, &["--duration", "100ms"]).end();
        match finished.status.code() {
            Some(0) => reported += 1,
            Some(2) => {
                refused += 1;
                finished.assert_says(&[&pid.to_string()]);
            }
            _ => panic!("round {round}: {finished:?}"),
        }
        finished.assert_says(&[]);
        let (status, _) = program.wait();
        assert!(status.success(), "the target ended with {status}");
    }
    println!("{reported} reported, {refused} refused with a reason");
    assert!(reported > 0, "those that still work are reported");
    assert!(refused >= 6, "those that are gone before the attach are refused");
}

#[test]
fn attach_again_and_again() {
    require_root!();
    let mut program = Program::start("life", &["churn"]);
    program.go();
    program.expect("working");
    for round in 0..5 {
        let memtrace = Memtrace::attach(program.pid(), &["--ring-size", "64MiB"]);
        std::thread::sleep(Duration::from_millis(100));
        let report = memtrace.finish();
        assert!(report.status.success(), "round {round}: {}", report.stderr);
        println!("round {round}: {:?}", report.site("site_churn"));
        assert!(
            report.site("site_churn").allocated_count > 0,
            "the work is seen each time"
        );
        assert!(
            report.site("site_churn").count <= 1,
            "at most the block in hand is live"
        );
        assert_eq!(report.health("conflicts"), 0);
    }
    program.send("stop");
    program.truth();
    assert!(program.end().0.success());
}

#[test]
fn the_target_may_be_stopped_meanwhile() {
    require_root!();
    let mut program = Program::start("life", &["plain"]);
    program.signal(rustix::process::Signal::STOP);
    let memtrace = Memtrace::attach(program.pid(), &[]);
    program.signal(rustix::process::Signal::CONT);
    program.go();
    let truth = program.truth();
    memtrace.finish().assert_exact(&truth);
    let stat = fs::read_to_string(format!("/proc/{}/stat", program.pid())).expect("the program's state");
    assert!(!stat.contains(") T "), "the target runs again");
    assert!(wait_until(Duration::from_secs(1), || program.is_alive().then_some(())).is_some());
    assert!(program.end().0.success());
}
