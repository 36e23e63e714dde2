//! Harness of the live tests: programs that know their own allocations, memtrace as a user runs it, and
//! looks at the kernel that do not go through memtrace.
//!
//! A test starts a [`Program`], attaches a [`Memtrace`], lets the program work, and compares the
//! [`Report`] with the program's own [`Truth`]. Every wait has an end, and every process that a test starts
//! ends with the test, by its pid. What a test needs and does not find makes it print `skipped: reason`;
//! with `MEMTRACE_TESTS_NO_SKIP` set that is a failure, for machines that are known to be complete.

#![expect(
    clippy::missing_panics_doc,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test harness reports by printing and by panicking"
)]

mod captured;
pub mod cgroup;
pub mod container;
pub mod dump;
pub mod exported;
pub mod gdb;
pub mod kernel;
mod lost_thread;
pub mod made;
mod memtrace;
pub mod nodes;
mod processes;
mod program;
pub mod programs;
mod pythons;
mod report;
pub mod requirements;
pub mod stacks;
mod tmux;
mod truth;

pub use self::{
    lost_thread::lost_thread,
    memtrace::{Finished, Memtrace},
    processes::Process,
    program::Program,
    pythons::pythons,
    report::{RESIDENT_PARTS, Report, sums_below, thread_caches},
    stacks::{Frame, Stacks},
    tmux::{Stopped, Tmux},
    truth::{Sums, Truth},
};

use std::time::{Duration, Instant};

/// How long anything may take before a test gives up: far more than it needs on a loaded machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A report's text on one line: sentences are broken where a terminal ends.
pub fn on_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Asks `ready` again and again until it has an answer; `None` when that takes longer than `within`.
pub fn wait_until<T>(within: Duration, mut ready: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + within;
    loop {
        if let Some(answer) = ready() {
            return Some(answer);
        }
        if Instant::now() > deadline {
            return None;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
