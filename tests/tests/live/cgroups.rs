//! Targets by cgroup and by container.

#![expect(clippy::print_stdout, reason = "a test prints what it compared")]

use std::process::Command;

use memtrace_tests::{
    Memtrace, Program, Truth,
    cgroup::{Cgroup, Version},
    kernel, programs, require, require_root,
};

const RING: [&str; 2] = ["--ring-size", "64MiB"];

/// An id as docker's are.
const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// A program that is started in a cgroup, by a shell that joins it first.
fn start_in(cgroup: &Cgroup, arguments: &[&str]) -> Program {
    let script = format!("{} && exec \"$0\" \"$@\"", cgroup.join());
    let mut command = Command::new("sh");
    command
        .args(["-c", &script])
        .arg(programs::path("matrix"))
        .args(arguments);
    Program::ready(&mut command)
}

fn work(program: &mut Program) -> Truth {
    program.go();
    program.truth()
}

/// Two members, one of them later, and a stranger.
fn members(version: Version, target: impl Fn(&Cgroup) -> String) {
    require!(version.mounted().map(drop));
    let cgroup = Cgroup::new(version);
    let mut stranger = Program::start("matrix", &["1", "500"]);
    let mut first = start_in(&cgroup, &["1", "2000"]);
    let target = target(&cgroup);
    println!("--cgroup {target}");
    let memtrace = Memtrace::observe(["--cgroup", &target].into_iter().chain(RING));
    let mut second = start_in(&cgroup, &["2", "1500"]);
    kernel::wait_probed(second.pid());
    let truth = work(&mut first).plus(&work(&mut second));
    work(&mut stranger);
    let report = memtrace.finish();
    println!("selection: {}", report.profile["target"]["selection"]);
    report.assert_exact(&truth);
    report.assert_without(&[stranger.pid()]);
    assert_eq!(report.processes_of("matrix").count(), 2);
    for program in [first, second, stranger] {
        assert!(program.end().0.success());
    }
}

#[test]
fn a_cgroup_of_version_2_by_its_path() {
    require_root!();
    members(Version::Two, Cgroup::path);
}

#[test]
fn a_cgroup_of_version_2_by_its_directory() {
    require_root!();
    members(Version::Two, |cgroup| cgroup.directory().display().to_string());
}

#[test]
fn a_cgroup_of_version_1() {
    require_root!();
    members(Version::One, |cgroup| cgroup.directory().display().to_string());
}

#[test]
fn a_cgroup_below_the_one_that_is_named() {
    require_root!();
    require!(Version::Two.mounted().map(drop));
    let above = Cgroup::new(Version::Two);
    let below = Cgroup::named(Version::Two, &format!("{}/inner", above.path().trim_start_matches('/')));
    let mut program = start_in(&below, &["1", "1000"]);
    let memtrace = Memtrace::observe(["--cgroup", &above.path()].into_iter().chain(RING));
    let truth = work(&mut program);
    let report = memtrace.finish();
    report.assert_exact(&truth);
    report.assert_healthy(0..=0);
    // The program first, then the inner directory, then the outer.
    assert!(program.end().0.success());
    drop(below);
    drop(above);
}

#[test]
fn a_process_that_moves_in_becomes_a_target() {
    require_root!();
    require!(Version::Two.mounted().map(drop));
    let cgroup = Cgroup::new(Version::Two);
    let mut resident = start_in(&cgroup, &["1", "500"]);
    let mut mover = Program::start("matrix", &["1", "1000"]);
    let memtrace = Memtrace::observe(["--cgroup", &cgroup.path()].into_iter().chain(RING));
    cgroup.add(mover.pid());
    kernel::wait_probed(mover.pid());
    let truth = work(&mut mover).plus(&work(&mut resident));
    memtrace.finish().assert_exact(&truth);
    for program in [resident, mover] {
        assert!(program.end().0.success());
    }
}

/// A container by what the user says of it.
fn container(argument: &str) {
    require!(Version::Two.mounted().map(drop));
    let cgroup = Cgroup::named(Version::Two, &format!("docker/{ID}"));
    let mut program = start_in(&cgroup, &["1", "2000"]);
    let memtrace = Memtrace::observe(["--container", argument].into_iter().chain(RING));
    let truth = work(&mut program);
    let report = memtrace.finish();
    report.assert_exact(&truth);
    report.assert_healthy(0..=0);
    let selection = report.profile["target"]["selection"].as_str().unwrap_or("");
    println!("selection: {selection}");
    assert!(
        selection.contains("docker") && selection.contains(&ID[..12]),
        "{selection}"
    );
    assert!(report.only_process().text("container").contains(&ID[..12]));
    assert!(program.end().0.success());
}

#[test]
fn a_container_by_its_id() {
    require_root!();
    container(ID);
}

#[test]
fn a_container_by_the_beginning_of_its_id() {
    require_root!();
    container(&ID[..12]);
}

#[test]
fn a_beginning_that_two_containers_have_is_refused() {
    require_root!();
    require!(Version::Two.mounted().map(drop));
    let other = format!("{}{}", &ID[..32], "f".repeat(32));
    let first = Cgroup::named(Version::Two, &format!("docker/{ID}"));
    let second = Cgroup::named(Version::Two, &format!("docker/{other}"));
    let programs = [start_in(&first, &["1", "1"]), start_in(&second, &["1", "1"])];
    let finished = Memtrace::finished(["attach", "--duration", "200ms", "--container", &ID[..8]]);
    finished.assert_refused(&[&ID[..8], &ID[..12]]);
    // They were never told to go.
    for program in programs {
        program.end();
    }
    // The second made only its own directory, and the first the one above both.
    drop(second);
    drop(first);
}

#[test]
fn what_is_not_there_is_refused() {
    require_root!();
    for (option, value) in [
        ("--cgroup", "/memtrace-no-such-cgroup"),
        ("--cgroup", "/sys/fs/cgroup/memtrace-no-such-cgroup"),
        ("--cgroup", "/etc"),
        ("--cgroup", "../../etc"),
        ("--container", "fedcba987654"),
        ("--container", "no-such-name"),
        ("--container", "abc"),
    ] {
        println!("--- {option} {value}");
        let finished = Memtrace::finished(["attach", "--duration", "200ms", option, value]);
        finished.assert_refused(&[value]);
    }
}

#[test]
fn a_container_that_stops_ends_the_observation() {
    require_root!();
    require!(Version::Two.mounted().map(drop));
    let cgroup = Cgroup::named(Version::Two, &format!("docker/{ID}"));
    let mut program = start_in(&cgroup, &["1", "2000"]);
    let memtrace = Memtrace::observe(["--container", ID].into_iter().chain(RING));
    let truth = work(&mut program);
    assert!(program.end().0.success());
    // As a runtime does: the directory goes with the last process.
    drop(cgroup);
    let report = memtrace.ended();
    assert_eq!(report.end(), "exited");
    // Nobody is left, so that what was live at the end is shown as live.
    report.assert_exact(&truth);
    report.assert_healthy(0..=0);
}
