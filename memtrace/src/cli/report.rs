//! `memtrace report`, `memtrace leaks`: a recording as a live observation would have told it.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;

use super::{Flame, output, part_args::PartArgs, report_args::export_format};
use crate::{
    exit::Exit,
    options,
    profile::Profile,
    render::{self, export::Format},
    session,
};

/// Report on a recording: what was live, where it was allocated, what grew
#[derive(Debug, Args)]
pub(super) struct ReportVerb {
    #[command(flatten)]
    part: PartArgs,
    /// Write the reports into this directory, as `attach` does. It is made when it does not exist
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Write files for other tools into the output directory too, for example pprof,speedscope
    #[arg(long, value_name = "FORMAT", value_delimiter = ',', value_parser = export_format(), requires = "output")]
    export: Vec<Format>,
    /// What the flame graph and the folded stacks show, and other tools first
    #[arg(long, value_enum, default_value_t = Flame::Live)]
    flame: Flame,
}

impl ReportVerb {
    pub(super) fn run(self) -> anyhow::Result<Exit> {
        if let Some(directory) = &self.output {
            options::try_directory(directory)?;
        }
        let (_, profile) = self.part.read()?;
        session::write_reports(&profile, self.output.as_deref(), &self.export, self.flame.into())?;
        Ok(checked(&profile))
    }
}

/// Show what a recording has that is suspected of leaking, and why
#[derive(Debug, Args)]
pub(super) struct LeaksVerb {
    #[command(flatten)]
    part: PartArgs,
    /// As JSON
    #[arg(long)]
    json: bool,
}

impl LeaksVerb {
    pub(super) fn run(self) -> anyhow::Result<Exit> {
        let (_, profile) = self.part.read()?;
        let mut text = Vec::new();
        if self.json {
            render::json::write(&profile, render::json::Sites::Suspected, &mut text)
        } else {
            render::leaks::write(&profile, &mut text)
        }
        .context("failed to make the leak report")?;
        output::to_stdout(&text)?;
        Ok(checked(&profile))
    }
}

/// The status that a check asks for.
fn checked(profile: &Profile) -> Exit {
    if profile.check_failed() {
        Exit::CheckFailed
    } else {
        Exit::Success
    }
}
