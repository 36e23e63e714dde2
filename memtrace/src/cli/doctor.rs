//! `memtrace doctor`

use std::io::{self, Write as _};

use anyhow::Context as _;
use clap::Args;

use super::output;
use crate::{
    doctor::{Level, Report, text},
    exit::Exit,
};

/// Check what would work here, and say what to do about the rest
///
/// Looks at the kernel and at memtrace's privileges, and with --pid also at a program: which allocator it has, whether its
/// files have symbols, and whether they were compiled with frame pointers. Nothing is attached and nothing is changed.
/// The exit status is 1 when a line fails.
#[derive(Debug, Args)]
pub(super) struct DoctorArgs {
    /// Process id of a program to look at as well
    #[arg(short, long, value_name = "PID")]
    pid: Option<u32>,
}

impl DoctorArgs {
    pub(super) fn run(self) -> anyhow::Result<Exit> {
        let report = Report::new(self.pid);
        let mut page = Vec::new();
        text::write(&report, &mut page)
            .and_then(|()| output::ignore_closed_pipe(io::stdout().lock().write_all(&page)))
            .context("failed to write the checks to standard output")?;
        Ok(match report.worst() {
            Level::Ok | Level::Warning => Exit::Success,
            Level::Fails => Exit::CheckFailed,
        })
    }
}
