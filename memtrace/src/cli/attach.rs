//! `memtrace attach`

use clap::Args;

use super::{ReportArgs, ScopeArgs, target_args::TargetArgs};
use crate::{exit::Exit, message, options::Options, session, target::select};

/// Attach to running programs and see where their live bytes are allocated
///
/// Blocks allocated before memtrace attached are not known; frees of them are counted as unmatched. When it ends (after
/// --duration, at Ctrl-C, or with the programs) the probes are taken off and the programs go on as before.
#[derive(Debug, Args)]
// Without children nothing is left of "every process", those that start later.
#[command(mut_arg("no_follow", |arg| arg.conflicts_with("all")))]
pub(super) struct AttachArgs {
    #[command(flatten)]
    targets: TargetArgs,
    #[command(flatten)]
    scope: ScopeArgs,
    #[command(flatten)]
    report: ReportArgs,
}

impl AttachArgs {
    pub(super) fn run(self) -> anyhow::Result<Exit> {
        let selection = select::resolve(self.targets.asked())?;
        let options = Options::new(self.report, self.scope)?;
        for remark in select::remarks(&selection) {
            message::say(&remark);
        }
        session::attach(selection, &options)
    }
}
