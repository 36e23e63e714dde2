//! How much is seen of programs that run where the user does not say it: every call, but for runtimes that call the allocator so often that
//! their programs would not keep up. Which these are, and what is taken of them instead, is decided here alone.

use super::{budget, python::Interpreters};
use crate::{options::Options, process::AddressSpace, v8};

/// A runtime that calls the allocator so often.
#[derive(Debug)]
struct Busy {
    name: &'static str,
    /// Whether a process runs it.
    runs: fn(&AddressSpace) -> bool,
    /// By how much its programs may be slowed down by what the budget counts, which is not all (docs/overhead.md).
    limit: f64,
}

const BUSY: [Busy; 2] = [
    Busy {
        name: "CPython",
        // One whose frames cannot be read calls the allocator as often.
        runs: |space| Interpreters::default().is_there(space),
        // So a server keeps nine tenths of its speed.
        limit: 0.05,
    },
    Busy {
        name: "V8",
        runs: |space| {
            let modules = space.modules();
            let mut mapped = space.mapped().filter_map(|index| modules.get(index as usize));
            mapped.any(|module| module.file().is_some_and(v8::engine::is_there))
        },
        // So a server keeps all but three hundredths of it.
        limit: 0.02,
    },
];

/// What is taken by default, where that is not every call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sparing {
    runtime: &'static Busy,
}

/// The default for processes that run, if the user has not said what is to be seen. The budget is for all of them together, so one is enough,
/// and the least of several is it.
pub(super) fn sparing(spaces: &[AddressSpace], options: &Options) -> Option<Sparing> {
    if options.says_what_is_seen() {
        return None;
    }
    let found = BUSY.iter().filter(|busy| spaces.iter().any(busy.runs));
    let runtime = found.min_by(|one, other| one.limit.total_cmp(&other.limit))?;
    Some(Sparing { runtime })
}

impl Sparing {
    /// What was asked for, with the default in it, and what is to be said of that. `pauses` says why probes cannot come and go quickly, if
    /// they cannot.
    pub(super) fn complete(self, options: &Options, pauses: Result<(), &str>) -> (Options, String) {
        let (budget, sample, what) = match pauses {
            Ok(()) => {
                let what = format!("within a budget of {:.0} %", 100.0 * self.runtime.limit);
                (Some(self.runtime.limit), None, what)
            }
            Err(why) => {
                let what = format!("by a sample, for probes cannot come and go quickly here ({why})");
                (None, Some(budget::INTERVAL), what)
            }
        };
        let note = format!(
            "{} calls the allocator so often that its programs are looked at {what}: sums of heap blocks are estimates from what was \
             looked at; --every-call sees each call, whatever that costs the program",
            self.runtime.name
        );
        let options = Options {
            budget,
            sample,
            ..options.clone()
        };
        (options, note)
    }
}
