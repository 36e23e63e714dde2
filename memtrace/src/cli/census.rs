//! `memtrace census`

use std::{fs, path::PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;

use super::output::{to_file_or_stdout, to_stdout};
use crate::{
    exit::Exit,
    message::say,
    profile::census::{Census, Comparison},
    pymalloc,
    render::census::{self as page, Options},
    target, terminal,
};

/// Largest file that is read as a census, in bytes: a row of a type has about 100, and there are at most some 100,000.
const MOST_BYTES: u64 = 256 << 20;

/// Count the objects of a Python program by type, without a probe
///
/// Reads the heap of the interpreter (`CPython` 3.8 to 3.14) from the memory of a process, which goes on running: which objects there are,
/// how many of each type, and what their blocks take. Two of them tell what grows: keep each in a file, and compare.
#[derive(Debug, Args)]
pub(super) struct CensusVerb {
    /// Process id of the program
    #[arg(
        short,
        long,
        value_name = "PID",
        required_unless_present = "diff",
        conflicts_with = "diff"
    )]
    pid: Option<u32>,
    /// Compare two files that were written before: what grew, by type
    #[arg(long, num_args = 2, value_names = ["BEFORE", "AFTER"])]
    diff: Option<Vec<PathBuf>>,
    /// Keep it in this file, as JSON; - is standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// As JSON
    #[arg(long)]
    json: bool,
    /// Types that are shown
    #[arg(long, value_name = "N", default_value_t = 25)]
    top: usize,
}

impl CensusVerb {
    pub(super) fn run(self) -> anyhow::Result<Exit> {
        if self.top == 0 {
            bail!("--top 0 would show nothing");
        }
        let options = Options {
            top: self.top,
            columns: terminal::columns(),
        };
        if let Some([before, after]) = self.diff.as_deref() {
            let (before, after) = (read(before)?, read(after)?);
            let comparison = Comparison::new(&before, &after);
            return to_file_or_stdout(self.output.as_deref().filter(|path| path.as_os_str() != "-"), |out| {
                if self.json || self.output.is_some() {
                    page::write_diff_json(&comparison, out)
                } else {
                    page::write_diff(&comparison, &options, out)
                }
            });
        }
        let Some(pid) = self.pid else {
            bail!("a census is of a process (--pid PID), or compares two (--diff BEFORE AFTER)");
        };
        let target = target::check(pid)?;
        let census = pymalloc::census::take(&target)?;
        let path = self.output.as_deref();
        let file = path.filter(|path| path.as_os_str() != "-");
        if self.json || (path.is_some() && file.is_none()) {
            to_file_or_stdout(file, |out| page::write_json(&census, out))?;
            return Ok(Exit::Success);
        }
        if let Some(file) = file {
            to_file_or_stdout(Some(file), |out| page::write_json(&census, out))?;
            say(&format!("the census is in {}", file.display()));
        }
        let mut text = Vec::new();
        page::write(&census, &options, &mut text)?;
        to_stdout(&text)
    }
}

fn read(path: &PathBuf) -> anyhow::Result<Census> {
    let failed = || format!("failed to read the census {}", path.display());
    let size = fs::metadata(path).with_context(failed)?.len();
    if size > MOST_BYTES {
        bail!("{} is too large for a census: {size} bytes", path.display());
    }
    let bytes = fs::read(path).with_context(failed)?;
    Census::parse(&bytes).map_err(|why| anyhow::anyhow!("failed to read the census {}: {why}", path.display()))
}
