//! What memtrace wrote, and how it compares with the truth.

use std::{collections::BTreeSet, ops::RangeInclusive, path::Path, process::ExitStatus};

use serde_json::Value;
use tempfile::TempDir;

use crate::{Sums, Truth};

/// The most frees without a known allocation that the end of threads may cause: glibc gives the blocks of a thread's
/// cache, which the program has freed already, to `free` a second time, and then the cache itself. A cache has 64
/// sizes of 7 blocks (malloc/malloc.c: `TCACHE_MAX_BINS`, `TCACHE_FILL_COUNT`).
pub const fn thread_caches(threads: u64) -> RangeInclusive<u64> {
    0..=threads * (64 * 7 + 1)
}

/// The parts of resident memory by their names in `profile.json`.
pub const RESIDENT_PARTS: [&str; 9] = [
    "live", "held", "js_heap", "js_code", "mapped", "before", "stacks", "files", "unknown",
];

/// A session of memtrace that has ended.
pub struct Report {
    /// How the tool ended.
    pub status: ExitStatus,
    /// What it printed for the user.
    pub stdout: String,
    /// Messages and progress.
    pub stderr: String,
    /// `profile.json`.
    pub profile: Value,
    /// The directory of `-o`.
    pub directory: TempDir,
}

/// Whether a demangled function is the one that the programs call `wanted`: parameters, template
/// arguments, a return type before it and suffixes that the compiler adds (`.part.0`) do not matter.
pub(crate) fn is_function(function: &str, wanted: &str) -> bool {
    function.match_indices(wanted).any(|(at, _)| {
        let before = function[..at].chars().next_back();
        let after = function[at + wanted.len()..].chars().next();
        before.is_none_or(|character| character == ' ') && after.is_none_or(|character| "(<.[ ".contains(character))
    })
}

impl Report {
    /// A number of the health section; panics if there is none at this path.
    pub fn health(&self, path: &str) -> u64 {
        let value = &self.profile["health"];
        let value = path.split('.').fold(value, |value, name| &value[name]);
        value
            .as_u64()
            .unwrap_or_else(|| panic!("health.{path} is no number: {value}"))
    }

    /// A counter of the BPF side; 0 when it is not listed.
    pub fn counter(&self, name: &str) -> u64 {
        let counters = self.profile["health"]["counters"]
            .as_array()
            .expect("health.counters is a list");
        counters
            .iter()
            .find(|pair| pair[0] == name)
            .and_then(|pair| pair[1].as_u64())
            .unwrap_or(0)
    }

    /// The rows of `sites`.
    pub fn rows(&self) -> &[Value] {
        self.profile["sites"].as_array().map_or(&[], Vec::as_slice)
    }

    /// Rows whose stack has a frame of this function, at any depth.
    pub fn rows_of<'a>(&'a self, function: &'a str) -> impl Iterator<Item = &'a Value> {
        self.rows().iter().filter(move |row| {
            let stack = row["stack"].as_array().map_or(&[][..], Vec::as_slice);
            stack.iter().any(|frame| {
                frame["function"]
                    .as_str()
                    .is_some_and(|name| is_function(name, function))
            })
        })
    }

    /// Sums over the rows whose stack has a frame of this function.
    pub fn site(&self, function: &str) -> Sums {
        let number = |row: &Value, amount: &str, field: &str| row[amount][field].as_u64().expect("an amount");
        let mut sums = Sums::default();
        for row in self.rows_of(function) {
            sums.add(Sums {
                bytes: number(row, "live", "bytes"),
                count: number(row, "live", "count"),
                allocated_bytes: number(row, "allocated", "bytes"),
                allocated_count: number(row, "allocated", "count"),
            });
        }
        sums
    }

    /// Live bytes and blocks of a class (`heap`, `mapped`, `file`, `reserved`).
    pub fn class(&self, name: &str) -> (u64, u64) {
        let class = &self.profile["totals"]["live_by_class"][name];
        (
            class["bytes"].as_u64().unwrap_or(0),
            class["count"].as_u64().unwrap_or(0),
        )
    }

    /// What is told of heaps of JavaScript, a thread each.
    pub fn js_heaps(&self) -> &[Value] {
        let heaps = self.profile["javascript_heaps"].as_array();
        heaps.expect("a list of heaps")
    }

    /// That of a thread; panics if nothing is.
    pub fn js_heap(&self, tid: u32) -> &Value {
        let mut heaps = self.js_heaps().iter();
        let found = heaps.find(|heap| heap["tid"] == tid);
        found.unwrap_or_else(|| panic!("no heap of {tid}: {}", self.stdout))
    }

    /// The verdicts of the rows of a function that have one.
    pub fn verdicts(&self, function: &str) -> BTreeSet<String> {
        self.rows_of(function)
            .filter_map(|row| row["verdict"].as_str().map(str::to_owned))
            .collect()
    }

    /// Why the observation ended: `duration`, `interrupted` or `exited`.
    pub fn end(&self) -> &str {
        self.profile["target"]["end"]["reason"].as_str().unwrap_or("")
    }

    /// Asserts that every site of the program is reported to the byte, live and allocated.
    pub fn assert_exact(&self, truth: &Truth) {
        let mut wrong = 0;
        println!("{:<28} {:>34} {:>34}", "site", "truth: live, allocated", "memtrace");
        for (name, &sums) in &truth.sites {
            let reported = self.site(name);
            let text = |sums: Sums| {
                format!(
                    "{}/{} {}/{}",
                    sums.bytes, sums.count, sums.allocated_bytes, sums.allocated_count
                )
            };
            let mark = if sums == reported { "" } else { "  <-- differs" };
            println!("{name:<28} {:>34} {:>34}{mark}", text(sums), text(reported));
            wrong += usize::from(sums != reported);
        }
        assert!(!truth.sites.is_empty(), "the program has no site to compare");
        assert_eq!(wrong, 0, "sites that differ; health: {:#}", self.profile["health"]);
    }

    /// Asserts that nothing was lost, guessed or misunderstood, and that as many frees as the program accounts
    /// for had no known allocation.
    pub fn assert_healthy(&self, unmatched: RangeInclusive<u64>) {
        println!("health: {}", self.profile["health"]);
        assert!(
            self.status.success(),
            "memtrace ended with {}: {}",
            self.status,
            self.stderr
        );
        assert!(self.health("events") > 0, "no events");
        let zero = [
            "conflicts",
            "malformed",
            "lost_allocations",
            "lost_bytes",
            "forgotten_frees",
            "lost_other",
        ];
        for name in zero
            .into_iter()
            .chain(["stacks.lost", "stacks.overflow", "stacks.collisions"])
        {
            assert_eq!(self.health(name), 0, "health.{name}");
        }
        let found = self.health("unmatched_frees");
        assert!(
            unmatched.contains(&found),
            "health.unmatched_frees is {found}, not in {unmatched:?}"
        );
    }

    /// Asserts that every file of `-o` is there and has content.
    pub fn assert_files(&self) {
        for name in [
            "summary.txt",
            "leaks.txt",
            "leaks.json",
            "profile.json",
            "flamegraph.svg",
            "report.html",
            "stacks.folded",
            "tree.txt",
            "lines.txt",
            "histogram.txt",
            "timeline.txt",
        ] {
            let size = self.file(name).metadata().map_or(0, |metadata| metadata.len());
            println!("{name}: {size} bytes");
            assert!(size > 0 || name == "stacks.folded", "{name} is missing or empty");
        }
    }

    /// Path of a file of `-o`.
    pub fn file(&self, name: &str) -> Box<Path> {
        self.directory.path().join(name).into_boxed_path()
    }
}

/// Bytes and blocks of all sites of `profile.json` below a function; `what` is the field that is summed: `live`, `allocated`.
pub fn sums_below(profile: &Value, function: &str, what: &str) -> (u64, u64) {
    let sites = profile["sites"].as_array().expect("sites");
    let below = sites.iter().filter(|site| {
        let stack = site["stack"].as_array();
        stack.is_some_and(|stack| stack.iter().any(|frame| frame["function"] == function))
    });
    below.fold((0, 0), |(bytes, count), site| {
        let number = |name: &str| site[what][name].as_u64().expect("a number");
        (bytes + number("bytes"), count + number("count"))
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use serde_json::json;

    use super::*;

    fn report() -> Report {
        let row = |function: &str, bytes: u64| {
            json!({
                "op": "malloc",
                "verdict": if bytes > 0 { Some("leaked") } else { None },
                "live": {"bytes": bytes, "count": 1},
                "allocated": {"bytes": 2 * bytes, "count": 2},
                "stack": [{"function": "malloc"}, {"function": function}, {"function": null}],
            })
        };
        let profile = json!({
            "target": {"end": {"reason": "exited"}},
            "totals": {"live_by_class": {"heap": {"bytes": 30, "count": 3}}},
            "sites": [row("site(int)", 10), row("site", 20), row("other", 0), {"stack": null}],
            "health": {
                "events": 9, "conflicts": 0, "malformed": 0, "lost_allocations": 0, "lost_bytes": 0,
                "forgotten_frees": 0, "lost_other": 0, "unmatched_frees": 4,
                "stacks": {"lost": 0, "overflow": 0, "collisions": 0}, "counters": [["hits", 12]],
            },
        });
        let directory = TempDir::new().unwrap();
        Report {
            status: ExitStatus::from_raw(0),
            stdout: String::new(),
            stderr: String::new(),
            profile,
            directory,
        }
    }

    fn truth(bytes: u64) -> Truth {
        let site = json!({"bytes": bytes, "count": 2, "allocated_bytes": 60, "allocated_count": 4});
        Truth::from_line(&json!({"sites": {"site": site}, "values": {}}).to_string())
    }

    #[test]
    fn sites_are_summed_over_their_rows() {
        let report = report();
        assert_eq!(report.site("site"), truth(30).site("site"));
        assert_eq!(report.site("nobody"), Sums::default());
        assert_eq!(report.class("heap"), (30, 3));
        assert_eq!(report.class("mapped"), (0, 0));
        assert_eq!((report.counter("hits"), report.counter("sent")), (12, 0));
        assert_eq!(report.health("stacks.lost"), 0);
        assert_eq!(report.end(), "exited");
        assert_eq!(report.verdicts("site").len(), 1);
        assert!(report.verdicts("other").is_empty());
        report.assert_exact(&truth(30));
        report.assert_healthy(4..=4);
    }

    #[test]
    #[should_panic(expected = "sites that differ")]
    fn one_byte_is_a_difference() {
        report().assert_exact(&truth(31));
    }

    #[test]
    #[should_panic(expected = "unmatched_frees")]
    fn an_unmatched_free_is_not_healthy() {
        report().assert_healthy(3..=3);
    }

    #[test]
    #[should_panic(expected = "health.conflicts")]
    fn a_conflict_is_not_healthy() {
        let mut report = report();
        report.profile["health"]["conflicts"] = json!(1);
        report.assert_healthy(4..=4);
    }

    #[test]
    fn functions_are_known_by_their_name() {
        for function in [
            "site",
            "site(int)",
            "site<long>(int)",
            "int* site<int>(unsigned long)",
            "site.part.0",
            "site [clone]",
        ] {
            assert!(is_function(function, "site"), "{function}");
        }
        for function in ["site_two", "my_site", "shop::site", "", "a(site)"] {
            assert!(!is_function(function, "site"), "{function}");
        }
        assert!(is_function("shop::Cart::add(long)", "shop::Cart::add"));
        assert!(is_function(
            "int* shop::catalogue<int>(unsigned long)",
            "shop::catalogue"
        ));
    }
}
