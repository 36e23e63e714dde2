//! Profiles for other tools: one file per format.
//!
//! Names are escaped as in every other output, so what a reader shows is what was written. Numbers are those of the profile;
//! where they are estimates, the file says so if its format has a place for it. What each format cannot hold is told in
//! `docs/export.md`. A new format is a module and a row in [`Format::ALL`].

mod csv;
mod firefox;
mod heapprofile;
mod level;
mod pprof;
mod proto;
mod remarks;
mod speedscope;
mod tree;

use std::io::{self, Write};

use super::Measure;
use crate::profile::Profile;

/// A format that another tool reads.
#[derive(Clone, Copy, Debug)]
pub struct Format {
    /// What the user calls it by.
    pub name: &'static str,
    /// Name of its file in a folder of reports.
    pub file: &'static str,
    /// Who reads it, in a few words.
    pub about: &'static str,
    render: fn(&Profile, Measure, &mut dyn Write) -> io::Result<()>,
}

impl Format {
    /// Every format, in the order they are named to the user.
    pub const ALL: &[Self] = &[
        Self {
            name: "pprof",
            file: "profile.pb.gz",
            about: "go tool pprof and what else reads profile.proto",
            render: pprof::write,
        },
        Self {
            name: "speedscope",
            file: "profile.speedscope.json",
            about: "speedscope.app",
            render: speedscope::write,
        },
        Self {
            name: "firefox",
            file: "profile.firefox.json",
            about: "profiler.firefox.com",
            render: firefox::write,
        },
        Self {
            name: "heapprofile",
            file: "profile.heapprofile",
            about: "Chrome's developer tools, Memory panel",
            render: heapprofile::write,
        },
        Self {
            name: "csv",
            file: "profile.csv",
            about: "spreadsheets and databases: a row per site",
            render: csv::write,
        },
    ];

    /// The format of a name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|format| format.name == name).copied()
    }
}

/// Writes a profile. The measure is what a reader shows first; formats that hold one measure alone hold this one.
///
/// # Errors
///
/// Only those of `out`.
pub fn write(profile: &Profile, format: Format, measure: Measure, out: &mut dyn Write) -> io::Result<()> {
    // Bytes live and bytes allocated are what each of these formats has a place for.
    let first = if measure.is_cumulative() {
        Measure::Allocated
    } else {
        Measure::Live
    };
    (format.render)(profile, first, out)
}

#[cfg(test)]
mod tests;
