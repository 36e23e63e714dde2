//! `memtrace top` on a terminal, as its user sees it.

use std::{fs, path::Path};

use memtrace::units::{bytes, count};
use memtrace_tests::{
    Memtrace, PATIENCE, Program, Tmux, Truth, kernel, require, require_root,
    requirements::{find, tool},
    sums_below, wait_until,
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Starts it in a shell that says how it ended, and notes the terminal's settings before and after.
fn start(tmux: &Tmux, before: &str, arguments: &str) {
    let binary = Memtrace::binary();
    tmux.line(&format!(
        "stty -a >before; {before} {} top {arguments}; echo STATUS $?; stty -a >after; echo DONE",
        binary.display()
    ));
}

/// A program that waits, and a terminal of so many columns and lines in which it is looked at.
fn watched(ticks: &str, (columns, lines): (u16, u16), options: &str) -> (Program, Tmux) {
    let program = Program::start("steady", &[ticks]);
    let tmux = Tmux::start(columns, lines);
    start(
        &tmux,
        "",
        &format!("--pid {} --interval 200ms {options}", program.pid()),
    );
    tmux.expect("q quit");
    (program, tmux)
}

/// Has a program do what it is for, and say what that was.
fn told(program: &mut Program) -> Truth {
    program.go();
    program.truth()
}

fn assert_unprobed(program: &Program) {
    let patched = kernel::patched(program.pid()).expect("the code can be read");
    assert_eq!(patched, Vec::<String>::new());
}

/// Waits for the end with this status; the terminal is as it was, and the shell answers.
fn ended(tmux: &Tmux, status: &str) {
    // In two parts: the line that was typed has it too.
    tmux.until("DONE", |screen| screen.lines().any(|line| line == "DONE"));
    let history = tmux.history();
    assert!(history.contains(&format!("STATUS {status}")), "{history}");
    let settings = |name: &str| fs::read_to_string(tmux.directory().join(name)).expect("the settings of the terminal");
    assert_eq!(settings("before"), settings("after"));
    tmux.line("echo works-$((6*7))");
    tmux.expect("works-42");
}

/// Waits for a good end, and has the program end, which is unharmed.
fn both_ended(tmux: &Tmux, program: Program) {
    ended(tmux, "0");
    assert!(program.end().0.success());
}

/// The row of a site in the table: there its callers follow.
fn row<'screen>(screen: &'screen str, site: &str) -> Option<&'screen str> {
    let mark = format!(" n {site} <");
    screen.lines().find(|line| line.contains(&mark))
}

/// Waits until the row of a site has its true sums.
fn true_row(tmux: &Tmux, truth: &Truth, site: &str) -> String {
    let (live, blocks) = truth.site(site).live();
    let (live, blocks) = (bytes(live), format!(" {} ", count(blocks)));
    let what = format!("{live} in {blocks} of {site}");
    let screen = tmux.until(&what, |screen| {
        row(screen, site).is_some_and(|row| row.trim_start().starts_with(&live) && row.contains(&blocks))
    });
    row(&screen, site).expect("the row that was waited for").to_owned()
}

#[test]
fn the_screen_and_its_snapshot_tell_the_truth() {
    require_root!();
    require!(tool("tmux"));
    let (mut program, tmux) = watched("400", (80, 24), "");
    let truth = told(&mut program);
    for site in ["site_kept", "site_moved", "site_mapped"] {
        true_row(&tmux, &truth, site);
    }
    tmux.press(&["w"]);
    let screen = tmux.until("saved in", |screen| screen.contains("saved in memtrace-"));
    let (_, name) = screen.trim_end().rsplit_once("saved in ").expect("the directory");
    assert!(name.starts_with(&format!("memtrace-{}-", program.pid())), "{name}");
    let directory = tmux.directory().join(name);
    for file in [
        "summary.txt",
        "leaks.txt",
        "flamegraph.svg",
        "stacks.folded",
        "tree.txt",
    ] {
        assert!(directory.join(file).is_file(), "{file}");
    }
    let text = fs::read_to_string(directory.join("profile.json")).expect("a profile");
    let profile: Value = serde_json::from_str(&text).expect("the profile is JSON");
    for (site, sums) in &truth.sites {
        assert_eq!(sums_below(&profile, site, "live"), sums.live(), "{site}");
    }
    let total = profile["totals"]["live"]["bytes"].as_u64().expect("a number");
    let all = profile["totals"]["live"]["count"].as_u64().expect("a number");
    let head = format!("live {} in {} blocks", bytes(total), count(all));
    assert!(screen.contains(&head), "{head} is not in {screen}");
    tmux.press(&["q"]);
    ended(&tmux, "0");
    assert!(tmux.history().contains("Health: exact"), "{}", tmux.history());
    assert_unprobed(&program);
    assert!(program.end().0.success());
}

#[test]
fn pause_baseline_sort_filter_and_help() {
    require_root!();
    require!(tool("tmux"));
    let (mut program, tmux) = watched("400", (100, 24), "");
    tmux.expect("nothing was allocated so far");
    tmux.press(&["b", "p"]);
    tmux.expect("PAUSED");
    let truth = told(&mut program);
    // Time goes by in what is not shown, and so do the numbers.
    let screen = tmux.until("that two seconds have passed", |screen| {
        // PAUSED at 1.2 s, 2.4 s ago; it goes on
        let ago = screen
            .split_once(" s ago")
            .and_then(|(before, _)| before.rsplit_once(", "));
        ago.is_some_and(|(_, seconds)| seconds.parse().is_ok_and(|seconds: f64| seconds >= 2.0))
    });
    assert!(screen.contains("nothing was allocated so far"), "{screen}");
    tmux.press(&["p"]);
    let kept = true_row(&tmux, &truth, "site_kept");
    let change = format!("+{}", bytes(truth.site("site_kept").bytes));
    assert!(kept.contains(&change), "{change} is not in {kept}");
    tmux.press(&["B"]);
    tmux.until("no baseline", |screen| !screen.contains("baseline at"));

    let before = |screen: &str, first: &str, second: &str| {
        let place = |site| screen.lines().position(|line| row(line, site).is_some());
        place(first)
            .zip(place(second))
            .is_some_and(|(first, second)| first < second)
    };
    tmux.until("most first", |screen| before(screen, "site_kept", "site_moved"));
    tmux.press(&["r"]);
    tmux.until("least first", |screen| {
        before(screen, "site_moved", "site_kept") && screen.contains("live▲")
    });
    tmux.press(&["3"]);
    tmux.until("by blocks", |screen| {
        before(screen, "site_moved", "site_mapped") && screen.contains("blocks▼")
    });
    tmux.press(&["/"]);
    tmux.line("site_map");
    let screen = tmux.until("one site", |screen| {
        row(screen, "site_mapped").is_some() && row(screen, "site_kept").is_none()
    });
    let filtered = format!("/site_map/: {} in 1 site", bytes(truth.site("site_mapped").bytes));
    assert!(screen.contains(&filtered), "{filtered} is not in {screen}");
    tmux.press(&["Escape"]);
    tmux.until("all sites", |screen| row(screen, "site_kept").is_some());
    tmux.press(&["?"]);
    tmux.expect("keys (any key goes back)");
    tmux.press(&["x", "Tab"]);
    tmux.until("functions", |screen| {
        screen.contains("own") && screen.contains("n tick (steady)")
    });
    tmux.press(&["q"]);
    both_ended(&tmux, program);
}

#[test]
fn the_window_may_be_of_any_size() {
    require_root!();
    require!(tool("tmux"));
    let (mut program, tmux) = watched("200", (120, 40), "");
    let truth = told(&mut program);
    true_row(&tmux, &truth, "site_kept");
    tmux.resize(80, 24);
    let screen = tmux.until("80x24", |screen| {
        screen.lines().count() == 24 && screen.lines().last().is_some_and(|line| line.starts_with("q quit"))
    });
    assert!(row(&screen, "site_kept").is_some(), "{screen}");
    tmux.resize(30, 5);
    tmux.until("that it is too small", |screen| {
        screen
            .replace('\n', " ")
            .contains("terminal too small: needs 40x8, has 30x5")
    });
    tmux.resize(40, 8);
    tmux.until("the site", |screen| screen.contains("n site_kept"));
    tmux.resize(120, 40);
    true_row(&tmux, &truth, "site_kept");
    tmux.press(&["C-c"]);
    both_ended(&tmux, program);
}

#[test]
fn a_signal_ends_it_well() {
    require_root!();
    require!(tool("tmux"));
    let (mut program, tmux) = watched("200", (80, 24), "-o reports");
    let truth = told(&mut program);
    true_row(&tmux, &truth, "site_kept");
    let pid = tracer(program.pid());
    kill_process(pid, Signal::TERM).expect("it can be signalled");
    ended(&tmux, "0");
    let text = fs::read_to_string(tmux.directory().join("reports/profile.json")).expect("a profile");
    let profile: Value = serde_json::from_str(&text).expect("the profile is JSON");
    assert_eq!(
        sums_below(&profile, "site_kept", "live"),
        truth.site("site_kept").live()
    );
    assert!(program.end().0.success());
}

/// The memtrace that was started with this target.
fn tracer(target: u32) -> Pid {
    let wanted = format!("top\0--pid\0{target}\0");
    let processes = fs::read_dir("/proc").expect("processes").flatten();
    let found = processes.filter_map(|entry| {
        let line = fs::read(entry.path().join("cmdline")).ok()?;
        let pid = entry.file_name().to_str()?.parse().ok()?;
        // The shell has it all in one argument.
        String::from_utf8_lossy(&line).contains(&wanted).then_some(pid)
    });
    Pid::from_raw(found.last().expect("a memtrace")).expect("its number is not 0")
}

#[test]
fn it_ends_when_its_time_is_over() {
    require_root!();
    require!(tool("tmux"));
    let (mut program, tmux) = watched("100", (80, 24), "--duration 3s");
    program.go();
    ended(&tmux, "0");
    assert!(tmux.history().contains("the asked-for time"), "{}", tmux.history());
    assert!(program.end().0.success());
}

#[test]
fn a_terminal_that_goes_away_ends_it() {
    require_root!();
    require!(tool("tmux"));
    let (mut program, tmux) = watched("200", (80, 24), "");
    let tracer = format!("/proc/{}", tracer(program.pid()).as_raw_nonzero());
    drop(tmux);
    let gone = wait_until(PATIENCE, || (!Path::new(&tracer).exists()).then_some(()));
    assert!(gone.is_some(), "{tracer} does not end");
    assert_unprobed(&program);
    told(&mut program);
    assert!(program.end().0.success());
}

#[test]
fn a_terminal_that_takes_nothing_does_not_keep_the_probes_on() {
    require_root!();
    require!(tool("tmux"));
    let (mut program, tmux) = watched("200", (80, 24), "");
    let pid = tracer(program.pid());
    let stopped = tmux.stop();
    // What is drawn anew at another size fills what the kernel keeps for the terminal, and then the screen's thread waits.
    let mut columns = 200;
    let stuck = wait_until(PATIENCE, || {
        columns ^= 1;
        stopped.resize(columns, 60);
        waits_in_write(pid).then_some(())
    });
    assert!(stuck.is_some(), "the terminal takes everything");
    kill_process(pid, Signal::TERM).expect("it can be signalled");
    let tracer = format!("/proc/{}", pid.as_raw_nonzero());
    let gone = wait_until(PATIENCE, || (!Path::new(&tracer).exists()).then_some(()));
    assert!(gone.is_some(), "{tracer} does not end");
    assert_unprobed(&program);
    stopped.resize(80, 24);
    drop(stopped);
    // What the shell has to say comes now.
    tmux.until("DONE", |screen| screen.lines().any(|line| line == "DONE"));
    told(&mut program);
    assert!(program.end().0.success());
}

/// Whether the thread of the screen waits for standard output.
fn waits_in_write(pid: Pid) -> bool {
    let threads = fs::read_dir(format!("/proc/{}/task", pid.as_raw_nonzero()));
    threads.into_iter().flatten().flatten().any(|thread| {
        let read = |name: &str| fs::read_to_string(thread.path().join(name)).unwrap_or_default();
        // proc_pid_syscall(5): number, arguments; 1 is write on x86-64, and standard output is 1.
        read("comm").trim() == "screen" && read("syscall").starts_with("1 0x1 ")
    })
}

#[test]
fn the_end_of_the_target_stays_on_the_screen() {
    require_root!();
    require!(tool("tmux"));
    let (mut program, tmux) = watched("200", (80, 24), "-o reports");
    let truth = told(&mut program);
    true_row(&tmux, &truth, "site_kept");
    assert!(program.end().0.success());
    tmux.expect("ended: the target exited");
    // What was live then is still there to be looked at, and is written already.
    true_row(&tmux, &truth, "site_kept");
    assert!(tmux.directory().join("reports/profile.json").is_file());
    tmux.press(&["q"]);
    ended(&tmux, "0");
    assert!(
        tmux.history().contains("ended: the target exited"),
        "{}",
        tmux.history()
    );
}

/// Records what a program does, into the file `session` of a terminal's directory; what it says of itself.
pub(super) fn recorded(tmux: &Tmux, program: &mut Program) -> Truth {
    let file = tmux.directory().join("session");
    let mut command = Memtrace::command(["record", "--pid", &program.pid().to_string(), "-o"]);
    let mut memtrace = Program::spawn(command.arg(&file));
    memtrace.expect_error("attached to");
    let truth = told(program);
    memtrace.signal(Signal::INT);
    assert!(memtrace.wait().0.success());
    truth
}

#[test]
fn a_recording_is_played_without_root() {
    require_root!();
    require!(tool("tmux"));
    require!(tool("setpriv"));
    let mut program = Program::start("steady", &["1500"]);
    let tmux = Tmux::start(80, 24);
    let truth = recorded(&tmux, &mut program);
    assert!(program.end().0.success());
    fs::set_permissions(tmux.directory(), std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .expect("the directory is the test's");
    let without = format!(
        "{} --reuid=65534 --regid=65534 --clear-groups --",
        find("setpriv").expect("it was looked for").display()
    );
    start(&tmux, &without, "--replay session");
    tmux.until("the first moment", |screen| {
        screen.contains(", moment 1 of") && !screen.contains("reading") && screen.contains("live ")
    });
    tmux.press(&["End"]);
    for site in ["site_kept", "site_moved", "site_mapped"] {
        true_row(&tmux, &truth, site);
    }
    let all = bytes(truth.site("site_kept").bytes);
    tmux.press(&["Home"]);
    tmux.until("less than at the end", |screen| {
        screen.contains(", moment 1 of") && !screen.contains("reading") && !screen.contains(&all)
    });
    tmux.press(&["Right"]);
    tmux.until("the second", |screen| {
        screen.contains(", moment 2 of") && !screen.contains("reading")
    });
    tmux.press(&["+", "+", "+", "Space"]);
    // It plays to the end by itself.
    true_row(&tmux, &truth, "site_kept");
    tmux.press(&["w"]);
    tmux.expect("failed to make memtrace-");
    tmux.press(&["q"]);
    ended(&tmux, "0");
}

#[test]
fn without_a_terminal_it_says_what_to_do() {
    let finished = Memtrace::finished(["top", "--pid", "1"]);
    finished.assert_refused(&[
        "terminal",
        "standard input and output",
        "memtrace attach",
        "memtrace report",
    ]);
}
