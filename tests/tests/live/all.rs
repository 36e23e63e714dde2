//! The whole machine. Live tests run one at a time, so what else is here is not another test's.

#![expect(clippy::print_stdout, reason = "a test prints what it compared")]

use std::process::Command;

use memtrace_tests::{
    Memtrace, Program, Report,
    cgroup::{Cgroup, Version},
    container::{Contained, Root},
    kernel, programs, require, require_root, requirements,
};

const RING: [&str; 3] = ["--all", "--ring-size", "64MiB"];

/// A name that no other program of the machine has, of at most 15 bytes.
fn name(kind: &str) -> String {
    format!("{kind}{}", std::process::id())
}

/// Asserts what holds for every report of a machine: nothing was mixed up, and the tracer is not among what it traces.
fn assert_sane(report: &Report, tracer: u32) {
    assert!(
        report.status.success(),
        "memtrace ended with {}: {}",
        report.status,
        report.stderr
    );
    for name in ["conflicts", "malformed", "lost_allocations", "forgotten_frees"] {
        assert_eq!(report.health(name), 0, "health.{name}");
    }
    report.assert_without(&[tracer]);
    for process in report.processes() {
        assert_ne!(
            process.number("parent"),
            Some(u64::from(tracer)),
            "a child of the tracer: {process:?}"
        );
    }
}

/// Five hundred processes a second, each gone after milliseconds, and no byte is missing.
fn short_lived(program: &str) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let command = name("mk");
    let path = programs::copy(program, &directory.path().join(&command));
    let path = path.to_str().expect("a path in UTF-8");
    // Somebody has to have the file already: probes are put into files.
    let holder = Program::spawn(Command::new(path).args(["1", "0", "0", "600000"]));
    let mut spawner = Program::start("spawner", &["500", "3", path, "100", "8"]);
    let mut memtrace = Memtrace::observe(RING.iter().chain(&["--machine-wide"]));
    kernel::wait_probed(holder.pid());
    spawner.go();
    let truth = spawner.truth();
    let tracer = memtrace.pid();
    assert!(memtrace.process().is_alive());
    let report = memtrace.finish();
    let count = truth.value("spawned");
    println!("{count} processes in {} ms", truth.value("milliseconds"));
    assert_eq!(truth.value("well"), count, "some did not end well");
    let known = report.site_in(&command, "site_known");
    println!("{known:?}, at exit {:?}", report.at_exit(Some(&command), "site_known"));
    assert_eq!((known.allocated_bytes, known.allocated_count), (count * 800, count * 8));
    assert_eq!(report.at_exit(Some(&command), "site_known"), (count * 600, count * 6));
    assert_eq!(known.live(), (0, 0), "ended processes have nothing that is live");
    assert_sane(&report, tracer);
}

#[test]
fn five_hundred_processes_a_second() {
    require_root!();
    short_lived("known");
}

#[test]
fn five_hundred_static_processes_a_second() {
    require_root!();
    short_lived("known-static");
}

#[test]
fn three_thousand_processes() {
    require_root!();
    let mut program = Program::start("sleepers", &["3000"]);
    let memtrace = Memtrace::observe(RING);
    let tracer = memtrace.pid();
    program.go();
    let truth = program.truth();
    let report = memtrace.finish();
    assert_eq!(report.site_in("sleepers", "site_sleeper"), truth.site("site_sleeper"));
    let shown = report.processes_of("sleepers").count() as u64;
    let dropped = report.profile["processes_dropped"].as_u64().unwrap_or(0);
    println!("{shown} processes shown, {dropped} summed");
    assert!(shown + dropped >= 3000);
    assert_sane(&report, tracer);
    assert!(program.end().0.success());
}

#[test]
fn a_program_that_starts_later_is_seen() {
    require_root!();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let command = name("new");
    let path = programs::copy("matrix", &directory.path().join(&command));
    let memtrace = Memtrace::observe(RING);
    let tracer = memtrace.pid();
    let mut program = Program::ready(Command::new(&path).args(["1", "1000"]));
    kernel::wait_probed(program.pid());
    program.go();
    let truth = program.truth();
    let report = memtrace.finish();
    for (site, &sums) in &truth.sites {
        assert_eq!(report.site_in(&command, site), sums, "{site}");
    }
    assert!(report.process(program.pid()).seconds("began_seconds").is_some());
    assert_sane(&report, tracer);
}

/// A container as docker makes one, as far as anybody can tell from outside.
fn container(root: &Root, id: &str) -> (Cgroup, Contained) {
    let cgroup = Cgroup::named(Version::Two, &format!("docker/{id}"));
    let contained = root.start(&cgroup.join(), &["2", "1500"]);
    (cgroup, contained)
}

#[test]
fn containers_with_different_libraries_are_kept_apart() {
    require_root!();
    require!(programs::available("matrix-musl"));
    require!(requirements::tool("unshare"));
    require!(Version::Two.mounted().map(drop));
    let ids = ["ab", "cd"].map(|start| start.repeat(32));
    let roots = ["matrix", "matrix-musl"].map(|name| Root::of(&programs::path(name)));
    // Dropped after the programs that are in them.
    let mut cgroups = Vec::new();
    let mut contained = Vec::new();
    for (root, id) in roots.iter().zip(&ids) {
        let (cgroup, program) = container(root, id);
        cgroups.push(cgroup);
        contained.push(program);
    }
    let memtrace = Memtrace::observe(RING.iter().chain(&["--split", "container"]));
    let tracer = memtrace.pid();
    let mut truths = Vec::new();
    for each in &mut contained {
        each.program.go();
        truths.push(each.program.truth());
    }
    let report = memtrace.finish();
    println!("groups: {:?}", report.groups());
    for (index, allocator) in ["glibc", "musl"].into_iter().enumerate() {
        let process = report.process(contained[index].pid);
        process.assert_allocator(allocator);
        assert_eq!(process.text("command"), "program");
        assert!(process.text("container").contains(&ids[index][..12]), "{process:?}");
        let groups = report.groups();
        let group = groups
            .iter()
            .find(|group| group.contains(&ids[index][..12]))
            .expect("the container's group");
        for (site, &sums) in &truths[index].sites {
            assert_eq!(report.site_in(group, site), sums, "{site} in {group}");
        }
    }
    assert_sane(&report, tracer);
    for each in contained {
        assert!(each.program.end().0.success());
    }
    drop(cgroups);
}

#[test]
fn all_ends_with_its_duration_and_leaves_nothing() {
    require_root!();
    let mut program = Program::start("life", &["plain"]);
    let memtrace = Memtrace::observe(RING.iter().chain(&["--duration", "3s"]));
    let objects = kernel::assert_probed(memtrace.pid(), program.pid());
    program.go();
    let truth = program.truth();
    let report = memtrace.ended();
    assert_eq!(report.end(), "duration");
    assert_eq!(report.process(program.pid()).amount("live"), truth.live());
    kernel::assert_clean(&objects, Some(program.pid()));
    assert!(program.end().0.success());
}
