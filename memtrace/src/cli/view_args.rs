//! Flags of the views of a profile, each with what it becomes there.

mod filter;

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, ValueEnum};

pub use self::filter::FilterArgs;
use crate::{
    profile::{Measure, Profile, Site, calltree},
    render::{annotate, diff, histogram, lines, timeline, tree},
};

/// What is added up.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub enum MeasureArg {
    /// Bytes not yet freed
    #[default]
    Live,
    /// Bytes ever allocated
    Allocated,
    /// Bytes allocated and freed while it was observed
    Temporary,
    /// Bytes that were live at the moment of the most live bytes
    Peak,
    /// Blocks not yet freed
    LiveBlocks,
    /// Allocations
    Allocations,
    /// Blocks allocated and freed while it was observed
    TemporaryBlocks,
    /// Blocks that were live at the moment of the most live bytes
    PeakBlocks,
}

/// What a view adds up.
#[derive(Clone, Copy, Debug, Args)]
pub struct MeasureArgs {
    /// What is added up
    #[arg(long, value_enum, default_value_t)]
    measure: MeasureArg,
    /// Add up what was allocated and freed while it was observed: short for --measure temporary
    #[arg(long, conflicts_with = "measure")]
    temporary: bool,
}

impl From<MeasureArgs> for Measure {
    fn from(asked: MeasureArgs) -> Self {
        if asked.temporary {
            Self::Temporary
        } else {
            asked.measure.into()
        }
    }
}

/// How a tree of call paths is shown.
#[derive(Clone, Debug, Args)]
pub struct TreeArgs {
    /// What is added up.
    #[command(flatten)]
    pub measure: MeasureArgs,
    /// Begin at what allocates, with its callers below, instead of at the start of threads
    #[arg(long)]
    pub callers: bool,
    /// Levels that are shown [default: all]
    #[arg(long, value_name = "N")]
    pub depth: Option<usize>,
    /// Add up what has a smaller share of all, for example 0.5%
    #[arg(long, value_name = "PERCENT", default_value = "1%", value_parser = share)]
    pub min_share: f64,
    /// Show the allocator's own functions too, and those that only pass a request on
    #[arg(long)]
    pub plumbing: bool,
}

/// How sizes and lifetimes are shown.
#[derive(Clone, Debug, Args)]
pub struct HistogramArgs {
    /// Only the site with this number in the summary's table
    #[arg(long, value_name = "N")]
    pub site: Option<usize>,
    /// A row for each class of size, four to a power of two
    #[arg(long)]
    pub fine: bool,
}

/// How memory over time is shown.
#[derive(Clone, Debug, Args)]
pub struct TimelineArgs {
    /// Lines of the chart of live bytes
    #[arg(long, value_name = "N", default_value_t = 8)]
    pub lines: usize,
}

/// How two profiles are compared.
#[derive(Clone, Debug, Args)]
pub struct DiffArgs {
    /// What is compared.
    #[command(flatten)]
    pub measure: MeasureArgs,
}

/// Memory by source line.
#[derive(Clone, Debug, Args)]
pub struct LinesArgs {
    /// Show blocks instead of bytes
    #[arg(long)]
    pub blocks: bool,
}

/// Memory beside the lines of a source file.
#[derive(Clone, Debug, Args)]
pub struct AnnotateArgs {
    /// The source file as debug information names it, or the end of its path
    #[arg(value_name = "FILE")]
    pub file: String,
    /// Where its text is [default: FILE as it is, then where debug information says]
    #[arg(long, value_name = "PATH")]
    pub source: Option<PathBuf>,
    /// Show blocks instead of bytes
    #[arg(long)]
    pub blocks: bool,
    /// Lines shown around those with memory
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub context: usize,
}

impl From<MeasureArg> for Measure {
    fn from(asked: MeasureArg) -> Self {
        match asked {
            MeasureArg::Live => Self::Live,
            MeasureArg::Allocated => Self::Allocated,
            MeasureArg::Temporary => Self::Temporary,
            MeasureArg::Peak => Self::Peak,
            MeasureArg::LiveBlocks => Self::LiveBlocks,
            MeasureArg::Allocations => Self::Allocations,
            MeasureArg::TemporaryBlocks => Self::TemporaryBlocks,
            MeasureArg::PeakBlocks => Self::PeakBlocks,
        }
    }
}

impl TreeArgs {
    /// The same for a terminal of so many columns.
    pub fn options(&self, columns: usize) -> tree::Options {
        tree::Options {
            measure: self.measure.into(),
            tree: calltree::Options {
                direction: if self.callers {
                    calltree::Direction::Callers
                } else {
                    calltree::Direction::Callees
                },
                plumbing: self.plumbing,
            },
            depth: self.depth.unwrap_or(usize::MAX),
            min_share: self.min_share,
            columns,
        }
    }
}

impl LinesArgs {
    /// The same for a terminal of so many columns, of `top` rows.
    pub const fn options(&self, top: usize, columns: usize) -> lines::Options {
        lines::Options {
            top,
            blocks: self.blocks,
            columns,
        }
    }
}

impl HistogramArgs {
    /// The same for a terminal of so many columns.
    pub const fn options(&self, columns: usize) -> histogram::Options {
        histogram::Options {
            fine: self.fine,
            columns,
        }
    }

    /// The one site that is asked for, or `None` for all.
    ///
    /// # Errors
    /// A number that no site has.
    pub fn site<'profile>(&self, profile: &'profile Profile) -> anyhow::Result<Option<&'profile Site>> {
        let Some(number) = self.site else { return Ok(None) };
        let all = profile.memory_sites().count();
        let site = profile.row(number).with_context(|| match all {
            0 => format!("there is no site {number}: no site is left"),
            all => format!("there is no site {number}: they have the numbers 1 to {all}"),
        })?;
        Ok(Some(site))
    }
}

impl TimelineArgs {
    /// The same for a terminal of so many columns.
    pub fn options(&self, columns: usize) -> timeline::Options {
        timeline::Options {
            lines: self.lines.max(1),
            columns,
        }
    }
}

impl DiffArgs {
    /// The same for the renderer, with so many rows of each kind.
    pub fn options(&self, top: usize) -> diff::Options {
        diff::Options {
            measure: self.measure.into(),
            top,
        }
    }
}

impl AnnotateArgs {
    /// The same for a terminal of so many columns.
    pub const fn options(&self, columns: usize) -> annotate::Options {
        annotate::Options {
            blocks: self.blocks,
            context: self.context,
            columns,
        }
    }
}

/// `0.5%` as 0.005.
fn share(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('%').ok_or("it is a percentage: 1%, 0.5%")?;
    let number: f64 = number
        .trim()
        .parse()
        .map_err(|_error| format!("{number:?} is no number"))?;
    if (0.0..=100.0).contains(&number) {
        Ok(number / 100.0)
    } else {
        Err("it must be from 0% to 100%".to_owned())
    }
}

#[cfg(test)]
mod tests;
