//! Where the stacks of a report end, and what its health says of that.

use crate::{Frame, Report, stacks::physical};

/// Functions at which a program or a thread begins. Stripped programs have no name for `_start`, nor does a stripped C
/// library for what it calls `main` with, so the last frames before the end count too.
const STARTS: [&str; 10] = [
    "_start",
    "main",
    "__libc_start_call_main",
    "__libc_start_main",
    "__libc_start_main_impl",
    "start_thread",
    "clone",
    "__clone",
    "clone3",
    "__clone3",
];

/// How many of the outermost frames may hold the start.
const OUTERMOST: usize = 3;

/// Why a stack may be less than it was: the fields of `health.stacks`, in events.
const INCOMPLETE: [&str; 6] = [
    "no_table",
    "unreadable",
    "deep",
    "unsupported",
    "scratch_taken",
    "early",
];

/// Whether one of the outermost frames is a start, by its name. Versions of symbols and the C library's own names for
/// them do not matter.
fn starts(frames: &[(Frame, Option<&str>)]) -> bool {
    frames.iter().rev().take(OUTERMOST).any(|(_, name)| {
        let name = name.unwrap_or("").split('@').next().unwrap_or("");
        STARTS.contains(&name.strip_prefix("__GI_").unwrap_or(name))
    })
}

impl Report {
    /// Allocations whose stack reaches the start of a program or thread, and all.
    pub fn reaching_start(&self) -> (u64, u64) {
        let mut sums = (0, 0);
        for row in self.rows() {
            let count = row["allocated"]["count"].as_u64().expect("an amount");
            sums.1 += count;
            sums.0 += if starts(&physical(row)) { count } else { 0 };
        }
        sums
    }

    /// Asserts that at most one allocation in `of` does not reach the start of a program or thread. Those that came before the table
    /// of their code do not count: how many that are is a matter of how busy the machine is.
    pub fn assert_starts(&self, of: u64) {
        let (reaching, all) = self.reaching_start();
        println!("{reaching} of {all} allocations reach a start");
        let others = self.rows().iter().map(physical).filter(|frames| !starts(frames));
        for frames in others.take(5) {
            let outermost = frames.iter().rev().take(OUTERMOST + 1);
            let named = outermost.map(|(frame, name)| format!("{frame} {}", name.unwrap_or("?")));
            let named: Vec<String> = named.collect();
            println!("  not one of {} frames: {named:?}", frames.len());
        }
        assert!(all > 0, "no allocations");
        let short = (all - reaching).saturating_sub(self.health("stacks.early"));
        assert!(short * of <= all, "{short} of {all} allocations reach no start");
    }

    /// Asserts that there are whole stacks, and that health has counted none as less than whole, but for the reasons in `but`.
    /// Stacks that came before their table may end anywhere.
    pub fn assert_complete(&self, but: &[&str]) {
        println!("health.stacks: {}", self.profile["health"]["stacks"]);
        assert!(self.health("stacks.complete") > 0, "no stack is complete");
        let early = if but.contains(&"early") {
            self.health("stacks.early")
        } else {
            0
        };
        for name in INCOMPLETE.into_iter().filter(|name| !but.contains(name)) {
            let found = self.health(&format!("stacks.{name}"));
            assert!(
                found <= early,
                "health.stacks.{name}: {found}, with {early} that came before their table"
            );
        }
    }
}
