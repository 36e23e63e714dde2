//! `memtrace diff`

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{
    output::{to_file_or_stdout, to_stdout},
    part_args::ReadingArgs,
    view_args::DiffArgs,
};
use crate::{
    exit::Exit,
    profile::{Profile, diff::Comparison},
    render::{self, flamegraph::diff::Width},
    session::{Moment, Reading, When},
};

/// Compare two recordings, or two moments of one: what has grown, what is new, what is gone
///
/// Sites are the same when their functions are, so a program can be compared with its next build. The same recording may be given
/// twice, with --before and --after as its moments.
#[derive(Debug, Args)]
pub(super) struct DiffVerb {
    /// The recording that is compared with
    #[arg(value_name = "BEFORE")]
    before: PathBuf,
    /// The recording that is looked at
    #[arg(value_name = "AFTER")]
    after: PathBuf,
    /// Which moment of the first recording [default: its end]
    #[arg(long = "before", value_name = "MOMENT", id = "before_moment")]
    before_at: Option<When>,
    /// Which moment of the second [default: its end]
    #[arg(long = "after", value_name = "MOMENT", id = "after_moment")]
    after_at: Option<When>,
    #[command(flatten)]
    view: DiffArgs,
    #[command(flatten, next_help_heading = "Reading")]
    reading: ReadingArgs,
    /// As JSON
    #[arg(long)]
    json: bool,
    /// Draw a flame graph into this file instead; - is standard output
    #[arg(long, value_name = "FILE", conflicts_with = "json")]
    flamegraph: Option<PathBuf>,
    /// Write one HTML page into this file instead: differential flame graph and tables; - is standard output
    #[arg(long, value_name = "FILE", conflicts_with_all = ["json", "flamegraph"])]
    html: Option<PathBuf>,
    /// Which side the flame graph is as wide as: what is gone is only seen in the first
    #[arg(long, value_enum, default_value_t = Side::After)]
    width: Side,
}

/// Which side a flame graph is as wide as.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Side {
    /// The first recording
    Before,
    /// The second recording
    After,
}

impl DiffVerb {
    pub(super) fn run(self) -> anyhow::Result<Exit> {
        let profile = |file: &PathBuf, at: Option<When>| -> anyhow::Result<Profile> {
            let mut reading = Reading::open(file)?;
            let to = at.map_or(Moment::End, Moment::At);
            self.reading.profile(&mut reading, None, to, None)
        };
        let before = profile(&self.before, self.before_at)?;
        let after = profile(&self.after, self.after_at)?;
        let comparison = Comparison::new(&before, &after);
        let options = self.view.options(after.settings.top);
        let named = |path: &PathBuf| (path.as_os_str() != "-").then(|| path.clone());
        if let Some(path) = &self.html {
            return to_file_or_stdout(named(path).as_deref(), |out| {
                render::html::write_diff(&comparison, options.measure, out)
            });
        }
        if let Some(path) = &self.flamegraph {
            let width = match self.width {
                Side::Before => Width::Before,
                Side::After => Width::After,
            };
            return to_file_or_stdout(named(path).as_deref(), |out| {
                render::flamegraph::diff::write(&comparison, options.measure, width, out)
            });
        }
        let mut text = Vec::new();
        if self.json {
            render::diff::json::write(&comparison, &mut text)?;
        } else {
            render::diff::write(&comparison, &options, &mut text)?;
        }
        to_stdout(&text)
    }
}
