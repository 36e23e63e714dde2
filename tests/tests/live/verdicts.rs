//! Leaks of many kinds beside what only looks like them, in one program.

#![expect(clippy::print_stdout, reason = "a test prints what it compared")]

use std::{collections::BTreeMap, fs, thread, time::Duration};

use memtrace_tests::{Memtrace, Program, Report, programs, require_root};
use serde_json::Value;

/// How long it is looked at: most kinds have settled or gone round several times by then.
const OBSERVED: Duration = Duration::from_secs(40);

/// A rule against the truth.
#[derive(Debug, Default)]
struct Tally {
    hits: Vec<String>,
    missed: Vec<String>,
    false_alarms: Vec<String>,
}

impl Tally {
    fn judge(kinds: &BTreeMap<String, Vec<&Value>>, suspects: impl Fn(&Value) -> bool) -> Self {
        let mut tally = Self::default();
        for (kind, rows) in kinds {
            let list = match (kind.starts_with("leak_"), rows.iter().any(|row| suspects(row))) {
                (true, true) => &mut tally.hits,
                (true, false) => &mut tally.missed,
                (false, true) => &mut tally.false_alarms,
                (false, false) => continue,
            };
            list.push(kind.clone());
        }
        tally
    }

    fn precision(&self) -> f64 {
        share(self.hits.len(), self.false_alarms.len())
    }

    fn recall(&self) -> f64 {
        share(self.hits.len(), self.missed.len())
    }

    fn print(&self, rule: &str) {
        let (precision, recall) = (self.precision(), self.recall());
        println!(
            "{rule}: precision {precision:.2}, recall {recall:.2}; missed {:?}, false alarms {:?}",
            self.missed, self.false_alarms
        );
    }
}

fn share(part: usize, rest: usize) -> f64 {
    let (part, rest) = (u32::try_from(part).expect("few"), u32::try_from(rest).expect("few"));
    f64::from(part) / f64::from((part + rest).max(1))
}

/// The kinds of the program.
fn names() -> Vec<String> {
    let source = fs::read_to_string(programs::source("verdicts.c")).expect("the program's source");
    let names = source
        .lines()
        .filter_map(|line| line.strip_prefix("KIND(")?.split(')').next());
    names.map(str::to_owned).collect()
}

/// The rows of each kind, by its function.
fn kinds<'a>(report: &'a Report, names: &'a [String]) -> BTreeMap<String, Vec<&'a Value>> {
    let rows = |name: &'a String| (name.clone(), report.rows_of(name).collect());
    let kinds: BTreeMap<String, Vec<&Value>> = names.iter().map(rows).collect();
    for (kind, rows) in &kinds {
        assert!(!rows.is_empty(), "{kind} was not seen");
    }
    kinds
}

#[test]
fn leaks_are_told_from_what_only_looks_like_them() {
    require_root!();
    let mut program = Program::start("verdicts", &[]);
    let memtrace = Memtrace::attach(program.pid(), &[]);
    program.go();
    program.expect("working");
    thread::sleep(OBSERVED);
    let report = memtrace.finish();
    program.close();
    report.assert_healthy(0..=u64::MAX);
    let names = names();
    let kinds = kinds(&report, &names);
    for (kind, rows) in &kinds {
        for row in rows.iter().filter(|row| !row["verdict"].is_null()) {
            println!("{kind}: {}, score {}: {}", row["verdict"], row["score"], row["reasons"]);
        }
    }
    let verdicts = Tally::judge(&kinds, |row| row["verdict"] == "growing");
    verdicts.print("verdict growing");
    let scores = Tally::judge(&kinds, |row| row["score"].as_u64() >= Some(50));
    scores.print("score of 50 and more");
    // What memleak lists of bcc by default: everything that is live and older than an age. Only an age that it does not have by
    // default, the same as memtrace's, makes the two comparable.
    let older = Tally::judge(&kinds, |row| row["aged"]["count"].as_u64() > Some(0));
    older.print("older than 10 s, as memleak of bcc");
    assert!(kinds.keys().filter(|kind| kind.starts_with("leak_")).count() >= 12);
    assert!(kinds.keys().filter(|kind| kind.starts_with("fine_")).count() >= 12);
    assert!(verdicts.precision() >= 0.9, "{verdicts:?}");
    assert!(verdicts.recall() >= 0.9, "{verdicts:?}");
    assert!(verdicts.precision() > older.precision() + 0.2, "{older:?}");
    let others = (report.rows().iter())
        .filter(|row| row["verdict"] == "growing" && !kinds.values().flatten().any(|of| of == row));
    let others: Vec<_> = others.map(|row| &row["stack"]).collect();
    assert!(others.is_empty(), "something else grows: {others:?}");
}
