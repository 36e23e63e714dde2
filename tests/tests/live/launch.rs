//! `memtrace run`: the program is seen from its first allocation, and ends as it would alone.

use std::{os::unix::process::ExitStatusExt, process::Command};

use memtrace_tests::{Memtrace, Program, Truth, programs, require_root, thread_caches};
use rustix::process::Signal;

#[test]
fn everything_is_seen() {
    require_root!();
    let mut memtrace = Memtrace::run(&[], Command::new(programs::path("life")).arg("plain"));
    // The program goes on at once: nobody has to attach first.
    memtrace.process().go();
    let line = memtrace.process().expect("truth ");
    memtrace.process().close();
    let report = memtrace.ended();
    let truth = Truth::from_line(&line);
    report.assert_exact(&truth);
    report.assert_healthy(0..=0);
    assert_eq!(report.end(), "exited");
    assert!(report.verdicts("site_plain").contains("leaked"));
}

#[test]
fn the_first_allocation_of_the_process_is_seen() {
    require_root!();
    // Its blocks are allocated before main prints that it is ready.
    let mut memtrace = Memtrace::run(&[], Command::new(programs::path("calls")).arg("before-attach"));
    memtrace.process().go();
    memtrace.process().expect("truth ");
    memtrace.process().close();
    let report = memtrace.ended();
    println!("main: {:?}", report.site("main"));
    assert_eq!(
        report.health("unmatched_frees"),
        0,
        "no free of a block that was not seen"
    );
    assert_eq!(
        report.site("main").allocated_count,
        100 + 10 + 1,
        "blocks made by main and what it calls"
    );
}

#[test]
fn the_exit_status_is_passed_on() {
    require_root!();
    for code in [0, 1, 7, 255] {
        let (finished, _) = Memtrace::run(&[], Command::new("sh").args(["-c", &format!("exit {code}")])).end();
        println!("exit {code}: {}", finished.status);
        assert_eq!(finished.status.code(), Some(code), "{finished:?}");
    }
}

#[test]
fn signals_are_passed_on() {
    require_root!();
    for (signal, name) in [(Signal::TERM, "TERM"), (Signal::INT, "INT")] {
        let script = format!("trap 'echo caught {name}; exit 5' {name}; echo waiting; while :; do sleep 0.05; done");
        let mut memtrace = Memtrace::run(&[], Command::new("sh").args(["-c", &script]));
        memtrace.process().expect("waiting");
        memtrace.process().signal(signal);
        let (finished, _) = memtrace.end();
        println!("{name}: {}", finished.status);
        assert!(finished.stdout.contains(&format!("caught {name}")), "{finished:?}");
        assert_eq!(finished.status.code(), Some(5), "{finished:?}");
    }
}

#[test]
fn a_signal_that_the_programs_first_work_causes_is_passed_on() {
    require_root!();
    // memtrace is let know as early as a program can: before it has seen any event.
    let script = "trap 'exit 5' INT; kill -INT $PPID; while :; do sleep 0.05; done";
    for _ in 0..3 {
        let (finished, _) = Memtrace::run(&[], Command::new("sh").args(["-c", script])).end();
        assert_eq!(finished.status.code(), Some(5), "{finished:?}");
    }
}

#[test]
fn death_by_signal_is_told() {
    require_root!();
    let (finished, _) = Memtrace::run(&[], Command::new("sh").args(["-c", "kill -KILL $$"])).end();
    println!("{}", finished.status);
    // As a shell tells it, or by the same signal.
    assert!(
        finished.status.code() == Some(128 + 9) || finished.status.signal() == Some(9),
        "{finished:?}"
    );
}

#[test]
fn output_and_input_are_the_programs_own() {
    require_root!();
    let mut memtrace = Memtrace::run(&[], &mut Command::new("cat"));
    memtrace.process().send("a line of input");
    memtrace.process().close();
    let (finished, _) = memtrace.end();
    assert!(finished.stdout.starts_with("a line of input\n"), "{}", finished.stdout);
    assert!(finished.status.success(), "{finished:?}");
}

#[test]
fn a_program_that_cannot_be_started() {
    require_root!();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let missing = directory.path().join("missing");
    Memtrace::finished(["run", "--", &missing.to_string_lossy()]).assert_refused(&["missing"]);
    let plain = directory.path().join("plain-file");
    std::fs::write(&plain, "no program").expect("a file");
    Memtrace::finished(["run", "--", &plain.to_string_lossy()]).assert_refused(&["plain-file", "permission denied"]);
    Memtrace::finished(["run"]).assert_refused(&[]);
}

#[test]
fn keys_of_the_terminal_reach_the_program_once() {
    require_root!();
    // Its standard input is not the terminal. Without `exec` there would be a shell in the foreground too, which some end
    // by the interrupt.
    let line = format!(
        "exec {} run -- {} interrupts </dev/null",
        Memtrace::binary().display(),
        programs::path("life").display()
    );
    let mut terminal = Program::spawn(Command::new("script").args(["-qec", &line, "/dev/null"]));
    terminal.expect("waiting");
    terminal.send("\u{3}");
    let count = terminal.expect("interrupts ");
    assert_eq!(count.trim(), "1", "one Ctrl-C is one signal");
    let (status, output) = terminal.wait();
    assert_eq!(status.code(), Some(3), "{output}");
}

#[test]
fn a_parent_that_ignores_the_end_of_children() {
    require_root!();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut command = Command::new("env");
    command
        .arg("--ignore-signal=CHLD")
        .arg(Memtrace::binary())
        .args(["run", "-o"]);
    command
        .arg(directory.path())
        .args(["--", "awk", "/^SigIgn/ {print} END {exit 6}", "/proc/self/status"]);
    let finished = Memtrace::finish_command(&mut command);
    println!("{finished:?}");
    assert_eq!(finished.status.code(), Some(6), "the program's own");
    assert!(directory.path().join("profile.json").is_file());
    // What the program inherits is what it would inherit alone: bit 16 is SIGCHLD.
    let ignored = finished.stdout.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    assert_eq!(ignored.expect("a mask") & 1 << 16, 1 << 16);
}

#[test]
fn everything_is_seen_in_a_container_with_its_own_process_numbers() {
    require_root!();
    let container = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"];
    let mut memtrace = Memtrace::run_under(&container, &[], Command::new(programs::path("life")).arg("storm"));
    memtrace.process().go();
    let line = memtrace.process().expect("truth ");
    memtrace.process().close();
    let report = memtrace.ended();
    assert!(report.profile["target"]["pid"].as_u64().is_some_and(|pid| pid < 10));
    report.assert_exact(&Truth::from_line(&line));
    report.assert_healthy(thread_caches(400));
}

#[test]
fn a_process_of_a_container_inside_of_ours_is_refused() {
    require_root!();
    let script = "unshare --pid --fork --mount-proc --kill-child sleep 100 & \
                  until inner=$(pgrep -x sleep); do :; done; \
                  \"$0\" attach --duration 200ms --pid $inner; status=$?; kill $inner; exit $status";
    let mut command = Command::new("unshare");
    command
        .args(["--pid", "--fork", "--mount-proc", "--kill-child", "sh", "-c", script])
        .arg(Memtrace::binary());
    Memtrace::finish_command(&mut command).assert_refused(&["container"]);
}

#[test]
fn what_cannot_be_hooked_is_refused_before_it_runs() {
    require_root!();
    let path = programs::path("matrix-musl-stripped");
    Memtrace::finished(["run", "--", &path.to_string_lossy(), "1", "1"]).assert_refused(&["static"]);
}

#[test]
fn a_loader_that_is_started_by_its_name() {
    require_root!();
    let maps = std::fs::read_to_string("/proc/self/maps").expect("the own mappings");
    let loader = maps.split_whitespace().find(|word| word.contains("/ld-linux"));
    let mut command = Command::new(loader.expect("a dynamic loader"));
    let mut memtrace = Memtrace::run(&[], command.arg(programs::path("life")).arg("plain"));
    memtrace.process().go();
    let line = memtrace.process().expect("truth ");
    memtrace.process().close();
    memtrace.ended().assert_exact(&Truth::from_line(&line));
}
