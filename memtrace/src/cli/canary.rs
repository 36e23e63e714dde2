//! The hidden verbs under which memtrace runs as its own children.

use crate::{exit::Exit, session};

/// Name of the seccomp canary; `session::preflight` calls it.
pub(super) const VERB: &str = session::CANARY;

/// Name of the child that traps are tried out on; `session::budget` calls it.
pub(super) const TRIAL: &str = session::TRIAL;

pub(super) fn run() -> anyhow::Result<Exit> {
    session::canary()
}

pub(super) fn trial() -> anyhow::Result<Exit> {
    session::trial()
}
