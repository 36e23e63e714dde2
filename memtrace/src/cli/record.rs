//! `memtrace record`

use std::{ffi::OsString, path::PathBuf};

use anyhow::bail;
use bytesize::ByteSize;
use clap::Args;

use super::{ReportArgs, ScopeArgs, target_args::TargetArgs};
use crate::{
    exit::Exit,
    message,
    options::{Options, Recording},
    session,
    target::select,
};

/// Observe like `attach` or `run`, and write everything into a file to be read later
///
/// The file can be read with `memtrace report FILE` and its sisters: for any moment, on another machine, without root. It can be
/// read up to its last moment whatever ended the recording. When a command is given it is started, as `run` does.
#[derive(Debug, Args)]
// Here -o is the recording, and there is nothing else to be shaped.
#[command(
    mut_arg("output", |arg| arg.value_name("FILE").help("The recording, which must not be there yet [default: \
        memtrace-DATE-TIME.memtrace]")),
    mut_arg("flame", |arg| arg.hide(true)),
    mut_arg("no_follow", |arg| arg.conflicts_with("all")),
    mut_group("target", |group| group.required(false))
)]
pub(super) struct RecordArgs {
    #[command(flatten)]
    targets: TargetArgs,
    #[command(flatten)]
    scope: ScopeArgs,
    #[command(flatten)]
    report: ReportArgs,
    /// Keep every event as well: any moment is then exact, and can be asked for by thread. About ten bytes for each allocation and
    /// each free
    #[arg(long)]
    events: bool,
    /// How large the recording may become, events not included: moments come farther apart the longer it is
    #[arg(long, value_name = "SIZE", default_value = "256MiB")]
    max_size: ByteSize,
    /// A program to start and record, and its arguments
    #[arg(
        value_name = "COMMAND",
        last = true,
        conflicts_with = "target",
        required_unless_present = "target"
    )]
    command: Vec<OsString>,
}

impl RecordArgs {
    pub(super) fn run(self) -> anyhow::Result<Exit> {
        let Self {
            targets,
            scope,
            mut report,
            events,
            max_size,
            command,
        } = self;
        let recording = Recording {
            path: report.output.take().unwrap_or_else(default_path),
            events,
            limit: limit(max_size)?,
        };
        let selection = if command.is_empty() {
            Some(select::resolve(targets.asked())?)
        } else {
            None
        };
        let options = Options::new(report, scope)?.recorded(recording)?;
        match selection {
            None => session::run(&command, &options),
            Some(selection) => {
                for remark in select::remarks(&selection) {
                    message::say(&remark);
                }
                session::attach(selection, &options)
            }
        }
    }
}

/// In the current directory, by the clocks of this machine.
fn default_path() -> PathBuf {
    let now = jiff::Zoned::now();
    PathBuf::from(format!("memtrace-{}.memtrace", now.strftime("%Y%m%d-%H%M%S")))
}

/// Bytes below which not even the names of a small program have room.
const LEAST: u64 = 1 << 20;

fn limit(asked: ByteSize) -> anyhow::Result<u64> {
    if asked.as_u64() < LEAST {
        bail!("--max-size {asked} is too small: 1MiB is the least");
    }
    Ok(asked.as_u64())
}
