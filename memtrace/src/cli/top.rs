//! `memtrace top`

use std::path::PathBuf;

use clap::Args;

use super::{ReportArgs, ScopeArgs, target_args::TargetArgs};
use crate::{
    exit::Exit,
    message,
    options::Options,
    session::{self, Lookup, Reading},
    target::select,
    tui,
};

/// Watch where live bytes are allocated, on a screen: live, or a recording played again
///
/// Attaches as `attach` does, and shows sites, functions, modules, processes and suspected leaks, with the stack of what is
/// chosen. `?` shows the keys. When it ends, the summary is printed as `attach` prints it. A recording is read without root.
#[derive(Debug, Args)]
#[command(
    mut_arg("interval", |arg| arg.default_value("1s").help("Time between two looks; where looking takes long it is longer")),
    mut_arg("no_follow", |arg| arg.conflicts_with("all")),
    mut_group("target", |group| group.required(false))
)]
pub(super) struct TopArgs {
    #[command(flatten)]
    targets: TargetArgs,
    /// Play this recording, made by `memtrace record`
    #[arg(
        long,
        value_name = "FILE",
        required_unless_present = "target",
        conflicts_with_all = [
            "target", "no_follow", "machine_wide", "split", "pair", "duration", "interval", "output", "stack", "ring_size", "sample",
            "budget", "every_event", "every_call", "census", "javascript_sites", "no_resident", "bpf_log", "fail_over",
        ]
    )]
    replay: Option<PathBuf>,
    /// Look for files and debug files of the recorded machine below this directory as well; can be repeated
    #[arg(long, value_name = "DIR", conflicts_with = "target")]
    debug_dir: Vec<PathBuf>,
    #[command(flatten)]
    scope: ScopeArgs,
    #[command(flatten)]
    report: ReportArgs,
}

impl TopArgs {
    pub(super) fn run(self) -> anyhow::Result<Exit> {
        let Self {
            targets,
            replay,
            debug_dir,
            scope,
            report,
        } = self;
        tui::check()?;
        let min_age = report.min_age;
        if let Some(file) = replay {
            let options = Options::new(report, scope)?;
            let lookup = Lookup {
                directories: debug_dir,
                debuginfod: false,
            };
            return session::replay(Reading::open(&file)?, min_age, lookup, &options);
        }
        let selection = select::resolve(targets.asked())?;
        let options = Options::new(report, scope)?.on_screen()?;
        for remark in select::remarks(&selection) {
            message::say(&remark);
        }
        session::attach(selection, &options)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        top: TopArgs,
    }

    #[test]
    fn it_is_live_or_of_a_recording() {
        let parsed = |args: &[&str]| Line::try_parse_from([&["top"], args].concat());
        for right in [
            &["--pid", "3"][..],
            &["--all", "--interval", "2s"],
            &["--replay", "file"],
            &["--replay", "file", "--min-age", "3s", "--debug-dir", "d"],
        ] {
            assert!(parsed(right).is_ok(), "{right:?}");
        }
        for wrong in [
            &[][..],
            &["--pid", "3", "--replay", "file"],
            &["--replay", "file", "-o", "dir"],
            &["--replay", "file", "--interval", "2s"],
            &["--pid", "3", "--debug-dir", "d"],
            &["--all", "--no-follow"],
        ] {
            assert!(parsed(wrong).is_err(), "{wrong:?}");
        }
        assert_eq!(parsed(&["--pid", "3"]).unwrap().top.report.interval.as_secs(), 1);
    }
}
