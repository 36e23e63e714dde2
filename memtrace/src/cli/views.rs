//! The verbs that show a recording in other ways: `tree`, `timeline`, `histogram`, `lines`, `annotate`, `flamegraph`, `export`.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use clap::Args;

use super::{
    Flame,
    output::{to_file_or_stdout, to_stdout},
    part_args::PartArgs,
    report_args::export_format,
    view_args::{AnnotateArgs, HistogramArgs, LinesArgs, MeasureArgs, TimelineArgs, TreeArgs},
};
use crate::{
    exit::Exit,
    profile::annotate::annotate,
    render::{self, annotate::Source, export::Format},
    session::Reading,
    terminal::columns,
};

/// Show call paths of a recording as a tree, from the start of threads or from what allocates
#[derive(Debug, Args)]
pub(super) struct TreeVerb {
    #[command(flatten)]
    part: PartArgs,
    #[command(flatten)]
    view: TreeArgs,
}

impl TreeVerb {
    pub(super) fn run(self) -> anyhow::Result<Exit> {
        let (_, profile) = self.part.read()?;
        let mut text = Vec::new();
        render::tree::write(&profile, &self.view.options(columns()), &mut text)?;
        to_stdout(&text)
    }
}

/// Show memory over the time of a recording
#[derive(Debug, Args)]
pub(super) struct TimelineVerb {
    #[command(flatten)]
    part: PartArgs,
    #[command(flatten)]
    view: TimelineArgs,
}

impl TimelineVerb {
    pub(super) fn run(self) -> anyhow::Result<Exit> {
        let (_, profile) = self.part.read()?;
        let mut text = Vec::new();
        render::timeline::write(&profile, &self.view.options(columns()), &mut text)?;
        to_stdout(&text)
    }
}

/// Show sizes and lifetimes of the blocks in a recording
#[derive(Debug, Args)]
pub(super) struct HistogramVerb {
    #[command(flatten)]
    part: PartArgs,
    #[command(flatten)]
    view: HistogramArgs,
}

impl HistogramVerb {
    pub(super) fn run(self) -> anyhow::Result<Exit> {
        let (_, profile) = self.part.read()?;
        let site = self.view.site(&profile)?;
        let mut text = Vec::new();
        render::histogram::write(&profile, site, &self.view.options(columns()), &mut text)?;
        to_stdout(&text)
    }
}

/// Show memory by source line, of all files of a recording
#[derive(Debug, Args)]
pub(super) struct LinesVerb {
    #[command(flatten)]
    part: PartArgs,
    #[command(flatten)]
    view: LinesArgs,
}

impl LinesVerb {
    pub(super) fn run(self) -> anyhow::Result<Exit> {
        let (_, profile) = self.part.read()?;
        let mut text = Vec::new();
        let options = self.view.options(profile.settings.top, columns());
        render::lines::write(&profile, &options, &mut text)?;
        to_stdout(&text)
    }
}

/// Show the memory of a recording beside the lines of a source file
#[derive(Debug, Args)]
pub(super) struct AnnotateVerb {
    #[command(flatten)]
    part: PartArgs,
    #[command(flatten)]
    view: AnnotateArgs,
}

impl AnnotateVerb {
    pub(super) fn run(self) -> anyhow::Result<Exit> {
        let (reading, profile) = self.part.read()?;
        let annotation = annotate(&profile, &self.view.file)?;
        let given = self.view.source.as_deref();
        let guessed = [Path::new(&self.view.file), Path::new(&annotation.file)];
        let path = given.or_else(|| guessed.into_iter().find(|path| path.is_file()));
        // What was asked for by name must be there.
        let text = match (path, given) {
            (Some(path), Some(_)) => Some(
                fs::read(path)
                    .map_err(|error| anyhow::anyhow!("failed to read the source file {}: {error}", path.display()))?,
            ),
            (Some(path), None) => fs::read(path).ok(),
            (None, _) => None,
        };
        let text = text.map(|text| String::from_utf8_lossy(&text).into_owned());
        let source = Source {
            text: text.as_deref(),
            newer: path.is_some_and(|path| is_newer(path, &reading)),
        };
        let mut shown = Vec::new();
        render::annotate::write(&profile, &annotation, source, &self.view.options(columns()), &mut shown)?;
        to_stdout(&shown)
    }
}

/// Whether a file was changed after a recording began.
fn is_newer(path: &Path, reading: &Reading) -> bool {
    let began = u64::try_from(reading.outline().start.began_unix_ns).unwrap_or(0);
    let began = SystemTime::UNIX_EPOCH + Duration::from_nanos(began);
    let modified = fs::metadata(path).and_then(|metadata| metadata.modified());
    modified.is_ok_and(|modified| modified > began)
}

/// Draw a flame graph of a recording
#[derive(Debug, Args)]
pub(super) struct FlamegraphVerb {
    #[command(flatten)]
    part: PartArgs,
    #[command(flatten)]
    measure: MeasureArgs,
    /// The file to write; standard output when it is left out
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Folded stacks instead of a picture, for other programs
    #[arg(long)]
    folded: bool,
}

impl FlamegraphVerb {
    pub(super) fn run(self) -> anyhow::Result<Exit> {
        let (_, profile) = self.part.read()?;
        let measure = self.measure.into();
        to_file_or_stdout(self.output.as_deref(), |out| {
            if self.folded {
                render::folded::write(&profile, measure, out)
            } else {
                render::flamegraph::write(&profile, measure, out)
            }
        })
    }
}

/// Write a recording in the format of another tool
#[derive(Debug, Args)]
pub(super) struct ExportVerb {
    #[command(flatten)]
    part: PartArgs,
    /// The format
    #[arg(long, value_name = "FORMAT", value_parser = export_format())]
    format: Format,
    /// What the other tool shows first
    #[arg(long, value_enum, default_value_t = Flame::Live)]
    flame: Flame,
    /// The file to write; standard output when it is left out
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl ExportVerb {
    pub(super) fn run(self) -> anyhow::Result<Exit> {
        let (_, profile) = self.part.read()?;
        to_file_or_stdout(self.output.as_deref(), |out| {
            render::export::write(&profile, self.format, self.flame.into(), out)
        })
    }
}
