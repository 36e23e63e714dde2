//! Verbs that ask a running program.

use std::{path::PathBuf, time::Duration};

use anyhow::bail;
use bytesize::ByteSize;
use clap::Args;

use super::{FormArgs, SortArg};
use crate::{
    cli::output::to_file_or_stdout,
    exit::Exit,
    inspector::Sampling,
    message::say,
    render::heap::{json, sample},
    session::heap::{Consent, Found, Live},
    units,
};

#[derive(Debug, Args)]
struct LiveArgs {
    /// Process id of a node program
    #[arg(short, long, value_name = "PID", value_parser = clap::value_parser!(u32).range(1..))]
    pid: u32,
    /// Port of its inspector, where that is open already; no signal is sent then, and it stays open
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    inspector_port: Option<u16>,
}

#[derive(Debug, Args)]
struct ConsentArgs {
    /// Do not ask whether the program may be stopped for so long
    #[arg(long)]
    yes: bool,
}

/// Take a snapshot of a running node program, by its inspector
///
/// The inspector is opened by a signal (SIGUSR1) and closed again. The whole program is stopped while the snapshot is made, and takes
/// several times the memory of its heap: what that may be is said first, and asked (docs/inspector.md). Only the main thread's heap is in it.
#[derive(Debug, Args)]
pub(super) struct Snapshot {
    #[command(flatten)]
    live: LiveArgs,
    /// The file that is written; Chrome, and `heap show`, read it
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    #[command(flatten)]
    consent: ConsentArgs,
}

/// Sample where a running node program allocates what stays, by its inspector
///
/// The inspector is opened by a signal (SIGUSR1) and closed again. V8 samples allocations of the main thread; at the end it collects garbage,
/// and what was allocated since the beginning and lives is told by function (docs/inspector.md).
#[derive(Debug, Args)]
pub(super) struct Sample {
    #[command(flatten)]
    live: LiveArgs,
    /// How long; Ctrl-C ends it earlier
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, default_value = "30s")]
    duration: Duration,
    /// Mean bytes between two samples
    #[arg(long, value_name = "BYTES", default_value = "32KiB")]
    interval: ByteSize,
    /// Also what is collected meanwhile: all that was allocated (node 20 or newer)
    #[arg(long)]
    allocated: bool,
    /// Also write V8's profile into this file (.heapprofile), which Chrome reads
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Rows of the table
    #[arg(long, value_name = "N", default_value_t = 20)]
    top: usize,
    /// As JSON, with all functions
    #[arg(long)]
    json: bool,
}

/// Count the objects of a running node program by class, by its inspector
///
/// A snapshot is taken, read as `heap show` does, and not kept: what that costs is as with `heap snapshot`.
#[derive(Debug, Args)]
pub(super) struct Histogram {
    #[command(flatten)]
    live: LiveArgs,
    /// By what classes are sorted
    #[arg(long, value_enum, default_value_t = SortArg::Retained)]
    sort: SortArg,
    #[command(flatten)]
    form: FormArgs,
    #[command(flatten)]
    consent: ConsentArgs,
}

/// What is new in a running node program after a while, and what is gone, by class, by its inspector
///
/// Two snapshots are taken over one connection, compared as `heap compare` does, and not kept: what each costs is as with `heap snapshot`.
#[derive(Debug, Args)]
pub(super) struct Diff {
    #[command(flatten)]
    live: LiveArgs,
    /// Time between the two, which Ctrl-C ends earlier; the inspector is open that long
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    interval: Duration,
    #[command(flatten)]
    form: FormArgs,
    #[command(flatten)]
    consent: ConsentArgs,
}

impl LiveArgs {
    const fn live(&self) -> Live {
        Live {
            pid: self.pid,
            port: self.inspector_port,
        }
    }
}

impl Snapshot {
    pub(super) fn run(self) -> anyhow::Result<Exit> {
        let consent = Consent::new(self.consent.yes)?;
        let found = self.live.live().snapshot(self.output.clone(), consent)?;
        say(&format!(
            "the snapshot is in {} ({})",
            self.output.display(),
            units::bytes(found.value)
        ));
        closed(found)
    }
}

impl Sample {
    pub(super) fn run(self) -> anyhow::Result<Exit> {
        if self.interval.as_u64() == 0 {
            bail!("--interval 0: V8 takes one byte or more between two samples");
        }
        let sampling = Sampling {
            interval: self.interval.as_u64(),
            allocated: self.allocated,
        };
        let output = self.output.clone();
        let found = self.live.live().sample(sampling, self.duration, output)?;
        if let Some(path) = &self.output {
            say(&format!("the profile is in {}", path.display()));
        }
        to_file_or_stdout(None, |out| {
            if self.json {
                json::write(json::Content::Sample(&found.value), out)
            } else {
                sample::write(&found.value, self.top, crate::terminal::columns(), out)
            }
        })?;
        closed(found)
    }
}

impl Histogram {
    pub(super) fn run(self) -> anyhow::Result<Exit> {
        let consent = Consent::new(self.consent.yes)?;
        let found = self.live.live().histogram(self.form.top, consent)?;
        super::shown(&found.value, &self.form, self.sort.into())?;
        closed(found)
    }
}

impl Diff {
    pub(super) fn run(self) -> anyhow::Result<Exit> {
        let consent = Consent::new(self.consent.yes)?;
        let found = self.live.live().diff(self.interval, consent)?;
        super::compared(&found.value, &self.form)?;
        closed(found)
    }
}

/// What was found is not lost when the inspector cannot be closed, but that is an error.
fn closed<T>(found: Found<T>) -> anyhow::Result<Exit> {
    match found.still_open {
        None => Ok(Exit::Success),
        Some(error) => Err(error.into()),
    }
}
