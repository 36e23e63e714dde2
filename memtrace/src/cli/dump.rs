//! `memtrace dump`

use std::path::PathBuf;

use clap::Args;

use super::{frames_args::FramesArgs, output};
use crate::{exit::Exit, render, session};

/// Print the call stacks of all threads of running programs, once
///
/// Threads that wait are not touched; one that runs is stopped for a moment, in which its stack is copied, and goes on (docs/dump.md).
/// Threads are looked at one after the other: it is not one moment of all of them.
#[derive(Debug, Args)]
pub(super) struct DumpArgs {
    /// Process id of a program; several are parted by commas, or the flag is repeated
    #[arg(short, long, value_name = "PID", required = true, value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..))]
    pid: Vec<u32>,
    /// As JSON (docs/dump.schema.json)
    #[arg(long)]
    json: bool,
    /// Print each thread by itself, also where several have the same stack and wait in the same
    #[arg(long, conflicts_with = "json")]
    all_threads: bool,
    /// Stop no thread: of those that run, and of those whose frame pointer is needed, it is said that it would have to be
    #[arg(long)]
    no_stop: bool,
    /// Look for debug files below this directory as well; can be repeated
    #[arg(long, value_name = "DIR")]
    debug_dir: Vec<PathBuf>,
    #[command(flatten)]
    frames: FramesArgs,
}

impl DumpArgs {
    pub(super) fn run(mut self) -> anyhow::Result<Exit> {
        let mut seen = Vec::new();
        self.pid.retain(|pid| {
            !seen.contains(pid) && {
                seen.push(*pid);
                true
            }
        });
        let (dump, failed) = session::dump(&self.pid, !self.no_stop, &self.debug_dir)?;
        let dump = dump.viewed(self.frames.view());
        let form = render::dump::Form {
            apart: self.all_threads,
        };
        output::to_file_or_stdout(None, |out| {
            if self.json {
                render::dump::json::write(&dump, out)
            } else {
                render::dump::write(&dump, form, out)
            }
        })?;
        Ok(if failed { Exit::Error } else { Exit::Success })
    }
}
