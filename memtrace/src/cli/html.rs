//! `memtrace html`: a recording as one page.

use std::path::PathBuf;

use clap::Args;

use super::{output::to_file_or_stdout, part_args::PartArgs, view_args::MeasureArg};
use crate::{exit::Exit, render};

/// Write a recording as one HTML page: flame graph, timeline, tables, leaks, health
///
/// The page needs no network and no other file. `report -o DIR` and `attach -o DIR` write the same as report.html.
#[derive(Debug, Args)]
pub(super) struct HtmlVerb {
    #[command(flatten)]
    part: PartArgs,
    /// What it shows first
    #[arg(long, value_enum, default_value_t)]
    measure: MeasureArg,
    /// The file to write; standard output when it is left out
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl HtmlVerb {
    pub(super) fn run(self) -> anyhow::Result<Exit> {
        let (_, profile) = self.part.read()?;
        to_file_or_stdout(self.output.as_deref(), |out| {
            render::html::write(&profile, self.measure.into(), out)
        })
    }
}
