//! Memory over time as a chart of text: live bytes, how fast memory is allocated, what is resident, what was lost.

mod columns;

use std::io::{self, Write};

use crate::{
    profile::{Moment, Profile},
    units::{bytes, count, duration, rate, whole},
};

use super::{
    bars, header,
    layout::{COLUMNS, truncate, wrap},
};

use self::columns::{Column, columns};

/// How the chart is shown.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Lines of the chart of live bytes; the others have a quarter of them, at least one.
    pub lines: usize,
    /// No line is wider, in columns.
    pub columns: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            lines: 8,
            columns: COLUMNS,
        }
    }
}

/// Columns before a chart: those of the scale, and its line.
const SCALE: usize = 14;

/// Writes the charts.
///
/// # Errors
///
/// Only those of `out`.
pub fn write(profile: &Profile, options: &Options, out: &mut dyn Write) -> io::Result<()> {
    header::short(profile, "Over time: ", options.columns, out)?;
    let moments = &profile.timeline;
    let (Some(first), Some(last), true) = (moments.first(), moments.last(), moments.len() > 1) else {
        return say(
            "There are fewer than two moments: observe longer.",
            options.columns,
            out,
        );
    };
    let width = options.columns.saturating_sub(SCALE);
    let columns = columns(moments, width);
    let small = (options.lines / 4).max(1);
    let mut chart =
        |title: &str, values: &[Option<u64>], text: &dyn Fn(u64) -> String, lines: usize| -> io::Result<()> {
            say(title, options.columns, out)?;
            let most = values.iter().flatten().max().copied().unwrap_or(0);
            for (line, bars) in bars::standing(values, most, lines).iter().enumerate() {
                let scale = match line {
                    0 => text(most),
                    _ if line + 1 == lines => "0".to_owned(),
                    _ => String::new(),
                };
                put(&format!("{scale:>12} │{bars}"), options.columns, out)?;
            }
            put(&axis(first, last, width), options.columns, out)?;
            writeln!(out)
        };
    let of = |value: fn(&Column) -> Option<u64>| columns.iter().map(value).collect::<Vec<_>>();

    let highest = moments.iter().map(|moment| moment.live_bytes).max().unwrap_or(0);
    let title = format!(
        "Live bytes: {} at first, {} at last, at most {} at these {} moments",
        bytes(first.live_bytes),
        bytes(last.live_bytes),
        bytes(highest),
        count(moments.len() as u64),
    );
    chart(&title, &of(|column| Some(column.live_bytes)), &bytes, options.lines)?;

    if let (Some(before), Some(after)) = (first.allocated_bytes, last.allocated_bytes) {
        let seconds = last.at.saturating_sub(first.at).as_secs_f64();
        let mean = after.saturating_sub(before) as f64 / seconds.max(f64::MIN_POSITIVE);
        let title = format!(
            "Allocated: {} in all, {} on average",
            bytes(after),
            per_second(whole(mean))
        );
        chart(&title, &of(|column| column.allocated_per_second), &per_second, small)?;
    }
    if moments.iter().any(|moment| moment.resident_bytes.is_some()) {
        let last = moments
            .iter()
            .rev()
            .find_map(|moment| moment.resident_bytes)
            .unwrap_or(0);
        let whose = if profile.filter.is_empty() {
            ""
        } else {
            ", with what the chosen sites have no part in"
        };
        let title = format!("Resident memory of the targets: {} at last{whose}", bytes(last));
        chart(&title, &of(|column| column.resident_bytes), &bytes, small)?;
    }
    if last.lost > 0 {
        let title = format!("Lost records: {} in all", count(last.lost));
        chart(&title, &of(|column| Some(column.lost)), &count, small)?;
    }
    Ok(())
}

/// `12.4 MiB/s`.
fn per_second(bytes: u64) -> String {
    rate(bytes as f64).trim_start_matches('+').to_owned()
}

/// The ground of a chart with the times of its ends.
fn axis(first: &Moment, last: &Moment, width: usize) -> String {
    let (from, to) = (duration(first.at), duration(last.at));
    let gap = width.saturating_sub(from.len() + to.len());
    format!("{:>13}└{}\n{:14}{from}{:gap$}{to}", "", "─".repeat(width), "", "")
}

fn say(text: &str, columns: usize, out: &mut dyn Write) -> io::Result<()> {
    wrap(text, columns).iter().try_for_each(|line| put(line, columns, out))
}

/// Writes lines, cut to what fits.
fn put(text: &str, columns: usize, out: &mut dyn Write) -> io::Result<()> {
    text.lines()
        .try_for_each(|line| writeln!(out, "{}", truncate(line, columns).trim_end()))
}

#[cfg(test)]
mod tests;
