//! Parts of recordings: moments, ranges, threads.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use memtrace_tests::{Memtrace, Program, require_root, sums_below};
use serde_json::Value;

use super::record::{Recording, check, profile};

#[test]
fn any_moment_can_be_asked_for() {
    require_root!();
    for options in [&[][..], &["--events"]] {
        let mut program = Program::start("hooks", &["1", "500"]);
        // The observation's time begins somewhat later than this: when memtrace has looked at the process, and loads its programs.
        let started = Instant::now();
        let mut recording = Recording::start(program.pid(), options);
        let early = started.elapsed() + Duration::from_secs(1);
        // Two moments before there is anything, and two after.
        std::thread::sleep(Duration::from_millis(2500));
        let begun = Instant::now();
        program.go();
        let truth = program.truth();
        let work = begun.elapsed();
        let late = started.elapsed() + Duration::from_secs(1);
        std::thread::sleep(Duration::from_millis(2500));
        recording.end();
        program.end();
        let file = recording.file();
        let [early_ms, late_ms] = [early, late].map(|time| format!("{}ms", time.as_millis()));
        let before = profile(&file, &["--at", &early_ms]);
        for site in truth.sites.keys() {
            assert_eq!(sums_below(&before, site, "allocated"), (0, 0), "{site}");
        }
        assert_eq!(before["target"]["end"]["reason"], "moment");
        let all = before["observed_seconds"].as_f64().expect("a number");
        let asked = early.as_secs_f64();
        assert!((asked - 1.1..=asked + 0.1).contains(&all), "{all} for {asked}");
        println!("the work took {work:?}");
        check(&profile(&file, &["--range", &format!("{early_ms}..")]), &truth);
        let whole = profile(&file, &[]);
        let later = profile(&file, &["--range", &format!("{late_ms}..")]);
        for (site, of_site) in &truth.sites {
            assert_eq!(sums_below(&later, site, "live"), of_site.live(), "{site}");
            assert_eq!(
                sums_below(&later, site, "allocated"),
                (0, 0),
                "{site} was allocated before the range"
            );
            assert!(sums_below(&whole, site, "allocated").1 >= of_site.live().1, "{site}");
        }
        let peak = profile(&file, &["--peak"]);
        let number = |report: &Value, name: &str| report["totals"][name].as_u64().expect("a number");
        let live = peak["totals"]["live"]["bytes"].as_u64().expect("a number");
        assert!(live <= number(&whole, "peak_live_bytes"));
        if !options.is_empty() {
            assert_eq!(live, number(&whole, "peak_live_bytes"), "from events the peak is exact");
        }
    }
}

#[test]
fn threads_are_told_apart_by_events() {
    require_root!();
    // Long enough for a moment in the middle of it.
    let mut program = Program::start("hooks", &["3", "20000"]);
    let mut recording = Recording::start(program.pid(), &["--events", "--ring-size", "64MiB"]);
    let mut plain = Recording::start(program.pid(), &[]);
    // Moments before there is anything.
    std::thread::sleep(Duration::from_millis(2500));
    let begun = Instant::now();
    program.go();
    let truth = program.truth();
    let work = begun.elapsed();
    recording.end();
    plain.end();
    program.end();
    let refused = Memtrace::finished(["report", &plain.file().to_string_lossy(), "--thread", "1"]);
    refused.assert_refused(&["--events"]);
    let file = recording.file().to_string_lossy().into_owned();
    let unknown = Memtrace::finished(["report", &file, "--thread", "1"]);
    unknown.assert_refused(&["thread 1", "those with the most are"]);
    let listed = unknown.stderr.split("are ").nth(1).expect("a list").trim().to_owned();
    let threads: Vec<&str> = listed.split(", ").collect();
    assert!(threads.len() >= 3, "{listed}");
    // Each block was allocated by one of them.
    let of_each: Vec<Value> = threads
        .iter()
        .map(|thread| profile(Path::new(&file), &["--thread", thread]))
        .collect();
    let site = "site_malloc";
    let allocated: u64 = of_each
        .iter()
        .map(|profile| sums_below(profile, site, "allocated").1)
        .sum();
    assert_eq!(
        allocated,
        sums_below(&profile(Path::new(&file), &[]), site, "allocated").1
    );
    assert!(truth.sites[site].live().1 > 0);

    // What came before a moment and what came after it is all that a thread allocated, and nothing twice.
    let busiest = threads[0];
    let all = sums_below(&of_each[0], site, "allocated");
    let part = |option: &str, moment: &str| {
        let part = profile(Path::new(&file), &["--thread", busiest, option, moment]);
        sums_below(&part, site, "allocated")
    };
    let observed = Duration::from_secs_f64(of_each[0]["observed_seconds"].as_f64().expect("a number"));
    // From the end on: before its first event there is nothing of it to show.
    let moments = (1..60).map(|part| observed.saturating_sub(work / 5 * part));
    let middle = moments
        .map(|moment| format!("{}ms", moment.as_millis()))
        .find(|moment| {
            let before = part("--at", moment);
            0 < before.1 && before.1 < all.1
        });
    let middle = middle.expect("a moment at which it had allocated some, and not all");
    let (before, after) = (part("--at", &middle), part("--range", &format!("{middle}..")));
    assert_eq!((before.0 + after.0, before.1 + after.1), all);
}
