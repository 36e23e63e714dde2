//! `memtrace attach`

use clap::Args;

use super::ReportArgs;
use crate::{exit::Exit, options::Options, session};

/// Attach to a running program and see where its live bytes are allocated
///
/// Blocks allocated before memtrace attached are not known; frees of them are counted as unmatched. When it ends (after
/// --duration, at Ctrl-C, or with the program) the probes are taken off and the program goes on as before.
#[derive(Debug, Args)]
pub(super) struct AttachArgs {
    /// Process id of the program
    #[arg(short, long, value_name = "PID")]
    pid: u32,
    #[command(flatten)]
    report: ReportArgs,
}

impl AttachArgs {
    pub(super) fn run(self) -> anyhow::Result<Exit> {
        session::attach(self.pid, &Options::new(self.report)?)
    }
}
