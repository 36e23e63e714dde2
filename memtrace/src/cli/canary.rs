//! The hidden verb of the seccomp canary.

use crate::{exit::Exit, session};

/// Name of the verb; `session::preflight` calls it.
pub(super) const VERB: &str = session::CANARY;

pub(super) fn run() -> anyhow::Result<Exit> {
    session::canary()
}
