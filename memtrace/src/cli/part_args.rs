//! Flags that the readers of recordings share: which recording, which part of it, where names are looked up.

use std::{path::PathBuf, time::Duration};

use bytesize::ByteSize;
use clap::Args;

use super::{frames_args::FramesArgs, report_args::whole_seconds, view_args::FilterArgs};
use crate::{
    options::read_suppressions,
    profile::{Profile, Settings},
    session::{Lookup, Moment, Part, Reading, When},
};

/// Which recording, and what of it.
#[derive(Clone, Debug, Args)]
pub(super) struct PartArgs {
    /// A recording, made by `memtrace record`
    #[arg(value_name = "RECORDING")]
    recording: PathBuf,
    #[command(flatten)]
    moments: MomentArgs,
    #[command(flatten)]
    reading: ReadingArgs,
}

/// What part of a recording.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Part of the recording")]
struct MomentArgs {
    /// What was live at this moment: a time of day (12:03:05), a date with it (2026-11-21T12:03:05, with Z for UTC), or a time since
    /// the start (90s)
    #[arg(long, value_name = "MOMENT", conflicts_with_all = ["peak", "range"])]
    at: Option<When>,
    /// What was live when the most memory was
    #[arg(long, conflicts_with = "range")]
    peak: bool,
    /// What was allocated between two moments, and what was live at the second; either may be left out
    #[arg(long, value_name = "FROM..TO", value_parser = range)]
    range: Option<(Option<When>, Option<When>)>,
    /// Only what this thread allocated; the recording must have been made with --events
    #[arg(long, value_name = "TID")]
    thread: Option<u32>,
}

/// How a recording is read.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Reading")]
pub(super) struct ReadingArgs {
    /// Rows in tables
    #[arg(long, value_name = "N", default_value_t = 10)]
    top: usize,
    /// A block younger than this is never suspected, in whole seconds [default: that of the recording]
    #[arg(long, value_name = "TIME", value_parser = whole_seconds)]
    min_age: Option<Duration>,
    /// A site with fewer suspected bytes than this is not in the leak report, for example 64KiB
    #[arg(long, value_name = "SIZE", default_value = "0")]
    min_size: ByteSize,
    /// Do not tell as leaks what a line of this file is about, in the syntax of `LeakSanitizer`. Can be repeated
    #[arg(long, value_name = "FILE")]
    suppressions: Vec<PathBuf>,
    /// Tell as leaks also what the C library keeps to the end of every program
    #[arg(long)]
    no_default_suppressions: bool,
    /// Look for files and debug files of the recorded machine below this directory as well; can be repeated
    #[arg(long, value_name = "DIR")]
    debug_dir: Vec<PathBuf>,
    /// Ask debuginfod servers for what has no name (`DEBUGINFOD_URLS`; needs debuginfod-find of elfutils)
    #[arg(long)]
    debuginfod: bool,
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten)]
    view: FramesArgs,
    /// Fail, with exit status 1, when more than SIZE has leaked or is growing
    #[arg(long, value_name = "SIZE")]
    fail_over: Option<ByteSize>,
}

impl PartArgs {
    /// Opens the recording, and makes the profile of the part.
    pub(super) fn read(&self) -> anyhow::Result<(Reading, Profile)> {
        let mut reading = Reading::open(&self.recording)?;
        let MomentArgs {
            at,
            peak,
            range,
            thread,
        } = self.moments;
        let (from, to) = range.unwrap_or_default();
        let to = match (peak, at.or(to)) {
            (true, _) => Moment::Peak,
            (false, Some(when)) => Moment::At(when),
            (false, None) => Moment::End,
        };
        let profile = self.reading.profile(&mut reading, from, to, thread)?;
        Ok((reading, profile))
    }
}

impl ReadingArgs {
    /// The profile of a part.
    pub(super) fn profile(
        &self,
        reading: &mut Reading,
        from: Option<When>,
        to: Moment,
        thread: Option<u32>,
    ) -> anyhow::Result<Profile> {
        anyhow::ensure!(self.top > 0, "--top 0 would show nothing");
        let part = Part {
            from,
            to,
            thread,
            min_age: self.min_age,
        };
        let settings = Settings {
            top: self.top,
            min_age: self.min_age.unwrap_or_default(),
            min_size: self.min_size.as_u64(),
            suppressions: read_suppressions(&self.suppressions, !self.no_default_suppressions)?,
            fail_over: self.fail_over.map(|size| size.as_u64()),
            view: self.view.view(),
        };
        let lookup = Lookup {
            directories: self.debug_dir.clone(),
            debuginfod: self.debuginfod,
        };
        let filter = self.filter.filter()?;
        let profile = reading.profile(&part, settings, &lookup)?;
        if filter.is_all() {
            return Ok(profile);
        }
        Ok(filter.apply(&profile)?)
    }
}

/// `12:03..12:05`, `90s..`, `..5min`.
fn range(text: &str) -> Result<(Option<When>, Option<When>), String> {
    let (from, to) = text
        .split_once("..")
        .ok_or("a range has two dots: 12:03:05..12:04:00, 90s.., ..5min")?;
    let side = |text: &str| {
        let text = text.trim();
        (!text.is_empty()).then(|| text.parse()).transpose()
    };
    Ok((side(from)?, side(to)?))
}
