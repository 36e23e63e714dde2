//! Several targets, their children, and what children inherit.

use std::{collections::BTreeMap, fs, process::Command, time::Duration};

use memtrace_tests::{Memtrace, Program, Report, Truth, kernel, nodes, programs, require, require_root};

/// A ring in which nothing is lost.
const RING: [&str; 2] = ["--ring-size", "64MiB"];

/// What each of the children said last, by process id.
fn children(output: &str) -> BTreeMap<u64, Truth> {
    let lines = output.lines().filter_map(|line| line.strip_prefix("child "));
    lines
        .map(Truth::from_line)
        .map(|truth| (truth.value("pid"), truth))
        .collect()
}

/// Number of a child, as the targets' programs have it in their values.
fn pid(truth: &Truth, name: &str) -> u32 {
    u32::try_from(truth.value(name)).expect("a process id")
}

#[test]
fn two_processes_by_number() {
    require_root!();
    let mut programs = [
        Program::start("matrix", &["1", "3000"]),
        Program::start("matrix", &["2", "2000"]),
    ];
    let numbers = [programs[0].pid().to_string(), programs[1].pid().to_string()];
    let memtrace = Memtrace::observe(["--pid", &numbers[0], "--pid", &numbers[1]].into_iter().chain(RING));
    let truths: Vec<Truth> = programs
        .iter_mut()
        .map(|program| {
            program.go();
            program.truth()
        })
        .collect();
    let report = memtrace.finish();
    report.assert_exact(&truths[0].clone().plus(&truths[1]));
    assert_eq!(report.processes().count(), 2);
    // On one thread nothing but the program allocates, so that the process's sum is exact too.
    assert_eq!(report.process(programs[0].pid()).amount("live"), truths[0].live());
    assert_eq!(report.groups(), ["matrix"]);
    for program in programs {
        assert!(program.end().0.success());
    }
}

#[test]
fn processes_are_split_on_request() {
    require_root!();
    let mut programs = [Program::start("life", &["plain"]), Program::start("life", &["plain"])];
    let both = format!("{},{}", programs[0].pid(), programs[1].pid());
    let memtrace = Memtrace::observe(["--pid", &both, "--split", "process"]);
    let mut truths = Vec::new();
    for program in &mut programs {
        program.go();
        truths.push(program.truth());
    }
    let report = memtrace.finish();
    println!("groups: {:?}", report.groups());
    assert_eq!(report.groups().len(), 2);
    for (program, truth) in programs.iter().zip(&truths) {
        let number = program.pid().to_string();
        let groups = report.groups();
        let group = groups
            .iter()
            .find(|group| group.contains(&number))
            .expect("a group of the process");
        assert_eq!(report.site_in(group, "site_plain"), truth.site("site_plain"));
    }
}

#[test]
fn programs_of_a_name_now_and_later() {
    require_root!();
    let directory = tempfile::tempdir().expect("a temporary directory");
    // Below the 15 bytes that the kernel keeps.
    let name = format!("mt{}", std::process::id());
    let path = programs::copy("matrix", &directory.path().join(&name));
    let start = || Program::ready(Command::new(&path).args(["1", "2000"]));
    let mut first = start();
    let mut stranger = Program::start("matrix", &["1", "500"]);
    let memtrace = Memtrace::observe(["--comm", &name].into_iter().chain(RING));
    let mut second = start();
    kernel::wait_probed(second.pid());
    let mut truths = Vec::new();
    for program in [&mut first, &mut second] {
        program.go();
        truths.push(program.truth());
    }
    stranger.go();
    stranger.truth();
    let report = memtrace.finish();
    report.assert_exact(&truths[0].clone().plus(&truths[1]));
    report.assert_without(&[stranger.pid()]);
    assert_eq!(report.groups(), [name.as_str()]);
    assert!(report.process(first.pid()).seconds("began_seconds").is_none());
    assert!(report.process(second.pid()).seconds("began_seconds").is_some());
}

/// node 24 changes the kernel's name of the program to one that says nothing.
#[test]
fn programs_that_all_call_themselves_alike_are_found_by_their_file() {
    require_root!();
    require!(nodes::all_there());
    let directory = tempfile::tempdir().expect("a temporary directory");
    let name = format!("mt{}", std::process::id());
    let path = directory.path().join(&name);
    fs::copy(nodes::path(24), &path).expect("a copy of node");
    let mut program = Program::ready(Command::new(&path).arg(programs::source("live_heap.js")));
    let renamed = fs::read_to_string(format!("/proc/{}/comm", program.pid())).expect("a name");
    assert_ne!(renamed.trim(), name);
    let memtrace = Memtrace::observe(["--comm", &name].into_iter().chain(RING));
    nodes::ask(&mut program, "answer");
    let report = memtrace.finish();
    assert_eq!(report.profile["target"]["command"], name.as_str(), "{}", report.stdout);
    assert!(report.health("events") > 0);
}

#[test]
fn a_name_that_nobody_has_yet() {
    require_root!();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let name = format!("later{}", std::process::id());
    let path = programs::copy("matrix", &directory.path().join(&name));
    let memtrace = Memtrace::observing(["--comm", &name].into_iter().chain(RING));
    std::thread::sleep(Duration::from_secs(1));
    let mut program = Program::ready(Command::new(&path).args(["1", "2000"]));
    kernel::wait_probed(program.pid());
    program.go();
    let truth = program.truth();
    let report = memtrace.finish();
    report.assert_exact(&truth);
    report.assert_healthy(0..=0);
}

#[test]
fn programs_of_a_name_that_start_while_memtrace_does() {
    require_root!();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let name = format!("with{}", std::process::id());
    let path = programs::copy("matrix", &directory.path().join(&name));
    let memtrace = Memtrace::observing(["--comm", &name].into_iter().chain(RING));
    // Over the time that it takes to load and attach, so that some come at every step of it.
    let programs = (0..6).map(|_| {
        std::thread::sleep(Duration::from_millis(120));
        Program::ready(Command::new(&path).args(["1", "200"]))
    });
    let mut programs: Vec<Program> = programs.collect();
    let mut truths = Vec::new();
    for program in &mut programs {
        kernel::wait_probed(program.pid());
        program.go();
        truths.push(program.truth());
    }
    let sum = truths
        .into_iter()
        .reduce(|sum, truth| sum.plus(&truth))
        .expect("a truth");
    let report = memtrace.finish();
    report.assert_exact(&sum);
    report.assert_healthy(0..=0);
}

/// A server that forks, observed until all have worked twice.
fn prefork(count: &str, options: &[&str]) -> (Program, u32, Truth, BTreeMap<u64, Truth>, Report) {
    let mut program = Program::start("family", &["prefork", count]);
    let memtrace = Memtrace::attach(program.pid(), &[&RING, options].concat());
    program.go();
    program.expect("forked");
    program.go();
    let truth = program.truth();
    let report = memtrace.finish();
    let children = children(&program.output());
    let pid = program.pid();
    (program, pid, truth, children, report)
}

#[test]
fn children_of_a_prefork_server_to_the_byte() {
    require_root!();
    let (program, parent, truth, children, report) = prefork("8", &["--machine-wide"]);
    assert_eq!(children.len(), 9, "eight children and a grandchild");
    assert_eq!(report.process(parent).amount("live"), truth.live());
    let mut all = truth;
    for (&child, its) in &children {
        let process = report.process(u32::try_from(child).expect("a process id"));
        process.assert_family(its);
        assert_eq!(process.number("parent"), Some(its.value("parent")));
        all = all.plus(its);
    }
    // Sites are sums over all of them, with nothing counted twice that was inherited.
    report.assert_exact(&all);
    report.assert_healthy(0..=0);
    assert!(program.end().0.success());
}

#[test]
fn children_that_join_late_are_told_of() {
    require_root!();
    let (program, parent, truth, children, report) = prefork("3", &[]);
    assert_eq!(report.process(parent).amount("live"), truth.live());
    for &child in children.keys() {
        let process = report.process(u32::try_from(child).expect("a process id"));
        // On a busy machine the report may be made before they have joined.
        let late = process.seconds("late_seconds").is_some();
        assert!(late || process.allocators().is_empty(), "{process:?}");
    }
    assert_eq!(report.profile["health"]["exact"].as_bool(), Some(false));
    assert!(report.stdout.contains("late"), "{}", report.stdout);
    assert!(program.end().0.success());
}

#[test]
fn children_are_left_alone_on_request() {
    require_root!();
    let (program, parent, truth, children, report) = prefork("3", &["--no-follow"]);
    report.assert_exact(&truth);
    report.assert_healthy(0..=0);
    assert_eq!(u64::from(parent), report.only_process().pid());
    let children: Vec<u32> = children.keys().filter_map(|&pid| u32::try_from(pid).ok()).collect();
    report.assert_without(&children);
    assert!(program.end().0.success());
}

#[test]
fn a_child_is_followed_into_its_new_program() {
    require_root!();
    let known = programs::path("known");
    let known = known.to_str().expect("a path in UTF-8");
    // Long enough for the probes to be put into a new program's files.
    let mut program = Program::start("family", &["spawn", known, "12000", "1000"]);
    let memtrace = Memtrace::attach(program.pid(), &RING);
    program.go();
    let truth = program.truth();
    let report = memtrace.finish();
    assert_eq!(truth.value("ended"), 4);
    for (way, size) in [("posix_spawn", 101), ("vfork", 102), ("fork", 103), ("thread", 104)] {
        let process = report.process(pid(&truth, way));
        println!("{way}: {process:?}");
        assert_eq!(process.text("command"), "known");
        // What the dynamic loader has mapped is the process's too.
        assert!(process.amount("allocated").0 >= 40 * size, "{way}");
        assert!(process.amount("at_exit").0 >= 30 * size, "{way}");
        assert_eq!(
            process.amount("inherited"),
            (0, 0),
            "an exec leaves the inheritance behind"
        );
    }
    assert_eq!(
        report.site_in("known", "site_known").allocated_bytes,
        40 * (101 + 102 + 103 + 104)
    );
    assert_eq!(
        report.at_exit(Some("known"), "site_known").0,
        30 * (101 + 102 + 103 + 104)
    );
    assert_eq!(report.site("site_inherited"), truth.site("site_inherited"));
    assert!(program.end().0.success());
}

#[test]
fn new_programs_from_their_first_call() {
    require_root!();
    let known = programs::path("known");
    let known = known.to_str().expect("a path in UTF-8");
    // No time to join: only probes that are there already can see it.
    let mut program = Program::start("family", &["spawn", known, "0", "300"]);
    let memtrace = Memtrace::attach(program.pid(), &[&RING[..], &["--machine-wide"]].concat());
    program.go();
    let truth = program.truth();
    let report = memtrace.finish();
    for (way, size) in [("posix_spawn", 101), ("vfork", 102), ("fork", 103), ("thread", 104)] {
        let process = report.process(pid(&truth, way));
        assert!(process.amount("at_exit").0 >= 30 * size, "{way}");
    }
    assert_eq!(
        report.at_exit(Some("known"), "site_known").0,
        30 * (101 + 102 + 103 + 104)
    );
    assert!(program.end().0.success());
}

#[test]
fn a_shell_that_forks_in_every_way() {
    require_root!();
    let rounds = 40;
    let mut shell = Command::new("sh");
    shell
        .arg(programs::source("forks.sh"))
        .arg(programs::path("known"))
        .arg(rounds.to_string());
    let mut memtrace = Memtrace::run(&[&RING[..], &["--machine-wide"]].concat(), &mut shell);
    memtrace.process().expect("ready ");
    memtrace.process().go();
    let truth = memtrace.process().truth();
    assert_eq!(truth.value("rounds"), rounds);
    memtrace.process().go();
    let report = memtrace.ended();
    println!("groups: {:?}", report.groups());
    // Eight blocks of which six stay, and three times four of which three stay.
    let known = report.site_in("known", "site_known");
    assert_eq!(known.allocated_bytes, rounds * (8 * 1000 + 4 * (2000 + 3000 + 4000)));
    assert_eq!(known.allocated_count, rounds * 20);
    let end = report.at_exit(Some("known"), "site_known");
    // Nobody is left at the end, so that what was live at each end is shown as live again.
    assert_eq!(end.0.max(known.bytes), rounds * (6 * 1000 + 3 * (2000 + 3000 + 4000)));
    let processes: Vec<_> = report.processes_of("known").collect();
    assert_eq!(processes.len() as u64, rounds * 4);
    // Most were gone before anybody could look at them.
    for process in &processes {
        process.assert_allocator("glibc");
    }
    for row in report.rows().iter().filter(|row| row["group"] == "known") {
        assert_ne!(row["stack"].as_array().map(Vec::len), Some(0), "no frame: {row}");
    }
    for name in ["conflicts", "malformed", "lost_allocations"] {
        assert_eq!(report.health(name), 0, "health.{name}");
    }
}
