//! How much is seen of programs that run where the user does not say it: every call, but for runtimes that call the allocator so often that
//! their programs would not keep up. Which these are, and what is taken of them instead, is decided here alone.

use super::{budget, python::Interpreters};
use crate::{options::Options, process::AddressSpace};

/// By how much programs of such a runtime may be slowed down: so a server keeps nine tenths of its speed, with room for what the estimate
/// of the cost does not know (docs/overhead.md).
const LIMIT: f64 = 0.05;

/// A runtime that calls the allocator so often.
struct Busy {
    name: &'static str,
    /// Whether a process runs it.
    runs: fn(&AddressSpace) -> bool,
}

const BUSY: [Busy; 1] = [Busy {
    name: "CPython",
    // One whose frames cannot be read calls the allocator as often.
    runs: |space| Interpreters::default().is_there(space),
}];

/// What is taken by default, where that is not every call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Sparing {
    runtime: &'static str,
}

/// The default for processes that run, if the user has not said what is to be seen. The budget is for all of them together, so one is enough.
pub(super) fn sparing(spaces: &[AddressSpace], options: &Options) -> Option<Sparing> {
    if options.says_what_is_seen() {
        return None;
    }
    let found = BUSY.iter().find(|busy| spaces.iter().any(busy.runs));
    found.map(|busy| Sparing { runtime: busy.name })
}

impl Sparing {
    /// What was asked for, with the default in it, and what is to be said of that. `pauses` says why probes cannot come and go quickly, if
    /// they cannot.
    pub(super) fn complete(self, options: &Options, pauses: Result<(), &str>) -> (Options, String) {
        let (budget, sample, what) = match pauses {
            Ok(()) => {
                let what = format!("within a budget of {:.0} %", 100.0 * LIMIT);
                (Some(LIMIT), None, what)
            }
            Err(why) => {
                let what = format!("by a sample, for probes cannot come and go quickly here ({why})");
                (None, Some(budget::INTERVAL), what)
            }
        };
        let note = format!(
            "{} calls the allocator so often that its programs are looked at {what}: sums of heap blocks are estimates from what was \
             looked at; --every-call sees each call, whatever that costs the program",
            self.runtime
        );
        let options = Options {
            budget,
            sample,
            ..options.clone()
        };
        (options, note)
    }
}
