//! Whether the user wants what it costs.

use std::{
    io::{self, BufRead as _, IsTerminal as _},
    time::{Duration, Instant},
};

use anyhow::bail;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::{inspector::Inspector, message::say};

/// How long an answer is waited for: the inspector is open meanwhile.
const ANSWERS_WITHIN: Duration = Duration::from_mins(1);

/// How often it is looked whether there is one.
const PAUSE: Duration = Duration::from_millis(100);

/// Whether the user has agreed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Consent {
    /// To whatever it costs.
    Given,
    /// Is asked when the cost is known.
    Asked,
}

impl Consent {
    /// Given by a flag; else somebody must be there to be asked.
    ///
    /// # Errors
    /// When nobody is there.
    pub fn new(is_given: bool) -> anyhow::Result<Self> {
        if is_given {
            return Ok(Self::Given);
        }
        if io::stdin().is_terminal() && io::stderr().is_terminal() {
            return Ok(Self::Asked);
        }
        bail!(
            "a snapshot stops the program while it is taken, and nobody is there to be asked: --yes takes it without a question \
             (nothing was done to the program)"
        )
    }

    /// Says what it costs, and asks where that is to be asked.
    ///
    /// # Errors
    /// When it is not wanted, or the program ends meanwhile.
    pub(super) fn obtain(self, cost: &str, inspector: &mut Inspector) -> anyhow::Result<()> {
        say(&format!("memtrace: {cost}"));
        if self == Self::Given {
            return Ok(());
        }
        say("memtrace: take it? [y/N]");
        let begun = Instant::now();
        while begun.elapsed() < ANSWERS_WITHIN && !inspector.is_stopped() && !inspector.is_ending() {
            if is_answered() {
                let mut answer = String::new();
                io::stdin().lock().read_line(&mut answer)?;
                if matches!(answer.trim(), "y" | "Y" | "yes") {
                    return Ok(());
                }
                break;
            }
            inspector.wait(PAUSE)?;
        }
        bail!("no snapshot was taken, as that was not wanted")
    }
}

/// Whether there is a line to be read.
fn is_answered() -> bool {
    let stdin = io::stdin();
    let mut files = [PollFd::new(&stdin, PollFlags::IN)];
    poll(&mut files, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
}
