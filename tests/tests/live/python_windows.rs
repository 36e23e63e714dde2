//! `--python-exact` in windows: rates by call stack, and nothing of what is live.

use std::{process::Command, thread, time::Duration};

use memtrace_tests::{Memtrace, Program, Report, programs, pythons, require_root};

/// How long it is observed: some ten windows.
const OBSERVED: Duration = Duration::from_secs(8);

/// Objects that were allocated below a function, as estimated.
fn allocated(report: &Report, function: &str) -> u64 {
    let rows = report.rows().iter().filter(|row| row["class"] == "heap");
    let below = rows.filter(|row| {
        let mut frames = row["stack"].as_array().into_iter().flatten();
        frames.any(|frame| frame["kind"] == "python" && frame["function"] == function)
    });
    below
        .map(|row| row["allocated"]["count"].as_u64().expect("a number"))
        .sum()
}

#[test]
fn python_windows_tell_rates_and_nothing_of_live_bytes() {
    require_root!();
    // Besides one whose calls reach its functions, Debian's, which has them in line.
    for interpreter in pythons().into_iter().rev().take(2) {
        let what = interpreter.display();
        let mut command = Command::new(&interpreter);
        command.arg(programs::workspace().join("tests/programs/python_rates.py"));
        let mut program = Program::ready(&mut command);
        let memtrace = Memtrace::attach(program.pid(), &["--python-exact=50ms/500ms"]);
        program.go();
        thread::sleep(OBSERVED);
        let report = memtrace.finish();
        let windows = &report.profile["health"]["windows"];
        let count = windows["count"].as_u64().expect("a number");
        let seconds = windows["seconds"].as_f64().expect("a number");
        println!("{what}: {count} windows, {seconds} s together");
        assert!(count > 3 && seconds < OBSERVED.as_secs_f64() / 2.0, "{what}: {windows}");
        let [often, seldom] = ["often", "seldom"].map(|function| allocated(&report, function));
        println!("{what}: {often} often, {seldom} seldom");
        // Four for one; what a dozen short windows see of that varies.
        assert!(
            seldom > 0 && often > 2 * seldom && often < 8 * seldom,
            "{what}: {often}, {seldom}"
        );
        assert_eq!(report.profile["totals"]["live_by_class"]["heap"]["count"], 0, "{what}");
        assert!(
            report.stdout.contains("What is live is not known"),
            "{what}: {}",
            report.stdout
        );
        assert!(!report.stdout.contains("Nothing is live"), "{what}: {}", report.stdout);
        report.assert_files();
        assert!(program.end().0.success(), "{what}");
    }
}
