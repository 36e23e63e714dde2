//! `memtrace run`

use std::ffi::OsString;

use clap::Args;

use super::{ReportArgs, ScopeArgs};
use crate::{exit::Exit, options::Options, session};

/// Start a program and see where its live bytes are allocated, from the first one on
///
/// The program runs with memtrace's own user and privileges. Signals sent to memtrace are passed on to it, and its
/// exit status becomes memtrace's; with --fail-over, 1 when it ended with 0 and has leaked more than that.
#[derive(Debug, Args)]
pub(super) struct RunArgs {
    #[command(flatten)]
    scope: ScopeArgs,
    #[command(flatten)]
    report: ReportArgs,
    /// The program and its arguments
    #[arg(
        value_name = "COMMAND",
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    command: Vec<OsString>,
}

impl RunArgs {
    pub(super) fn run(self) -> anyhow::Result<Exit> {
        session::run(&self.command, &Options::new(self.report, self.scope)?)
    }
}
