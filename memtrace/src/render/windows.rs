//! What was allocated in windows: rates by call stack. Frees between them were not seen, so of live bytes nothing is said.

use std::{
    io::{self, Write},
    time::Duration,
};

use memtrace_common::op::Class;

use super::{
    label,
    layout::{COLUMNS, wrap},
};
use crate::{
    profile::{Profile, Windows},
    units::{bytes, count, duration, whole},
};

/// Frames of a site, and columns before them.
const FRAMES: usize = 6;
const INDENT: usize = 4;

/// Writes the sites that allocate most.
pub(super) fn write(profile: &Profile, windows: &Windows, out: &mut dyn Write) -> io::Result<()> {
    let time = |seconds: f64| duration(Duration::from_secs_f64(seconds.max(0.0)));
    let said = format!(
        "Allocated by call stack, each second: seen in {} windows, {} together, and scaled to {}. What is live is not known, because frees between \
         windows are not seen",
        count(windows.count),
        time(windows.seconds),
        time(windows.of_seconds)
    );
    for line in wrap(&said, COLUMNS) {
        writeln!(out, "{line}")?;
    }
    let mut sites: Vec<_> = profile
        .sites
        .iter()
        .filter(|site| site.op.class() == Class::Heap && site.allocated.count > 0)
        .collect();
    sites.sort_by_key(|site| std::cmp::Reverse((site.allocated.bytes, site.allocated.count)));
    let seconds = windows.of_seconds.max(0.001);
    let each_second = |sum: u64| whole(sum as f64 / seconds);
    for site in sites.iter().take(profile.settings.top) {
        writeln!(out)?;
        writeln!(
            out,
            "{:>14}/s in {} blocks/s  {}",
            bytes(each_second(site.allocated.bytes)),
            count(each_second(site.allocated.count)),
            site.op.name()
        )?;
        for line in label::stack(profile, site, INDENT, FRAMES) {
            writeln!(out, "{line}")?;
        }
    }
    Ok(())
}
