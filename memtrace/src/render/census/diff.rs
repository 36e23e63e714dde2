//! What grew between two censuses, for people.

use std::io::{self, Write};

use super::{Options, text::warnings};
use crate::{
    profile::census::{Amount, Census, Change, Comparison},
    render::{
        escape,
        layout::{elide, truncate, wrap},
    },
    units::{bytes, count, plural},
};

/// Columns before a type's name.
const NUMBERS: usize = 42;

/// Writes a comparison: what grew first, then what shrank.
///
/// # Errors
/// Only those of `out`.
pub fn write(comparison: &Comparison<'_>, options: &Options, out: &mut dyn Write) -> io::Result<()> {
    let mut line = |text: &str| writeln!(out, "{}", truncate(&escape::text(text), options.columns).trim_end());
    let (before, after) = (comparison.before, comparison.after);
    for (mark, census) in [("before", before), ("after", after)] {
        let Census {
            pid,
            command,
            python,
            blocks,
            ..
        } = census;
        line(&format!(
            "{mark:<7} {pid} ({command}), Python {python}: {} with {}",
            plural(blocks.count, "block"),
            bytes(blocks.bytes)
        ))?;
    }
    if !comparison.same_process {
        line("They are of different processes.")?;
    }
    line("")?;
    line(&format!("{:>12} {:>12} {:>13}  type", "bytes", "count", "count after"))?;
    let mut row = |name: &str, change: &Change| {
        let name = elide(&escape::text(name), options.columns.saturating_sub(NUMBERS).max(8));
        let (size, number) = (signed(change.bytes(), bytes), signed(change.count(), count));
        line(&format!(
            "{size:>12} {number:>12} {:>13}  {name}",
            count(change.after.count)
        ))
    };
    let shown = |wanted: fn(i128) -> bool| {
        let rows = comparison.types.iter();
        rows.filter(move |change| wanted(change.bytes()))
    };
    for change in shown(|bytes| bytes > 0).take(options.top) {
        row(&change.name, change)?;
    }
    let shrunk: Vec<_> = shown(|bytes| bytes < 0).collect();
    for change in shrunk.iter().rev().take(options.top) {
        row(&change.name, change)?;
    }
    let sides = |name: &str, of: fn(&Census) -> Amount| Change {
        name: name.to_owned(),
        before: of(before),
        after: of(after),
    };
    for change in [
        sides("[without a type]", |census| census.unknown.plus(census.unread)),
        sides("[a type, but not in use]", |census| census.unowned),
        sides("[all blocks]", |census| census.blocks),
        sides("[arenas]", |census| census.arenas),
    ] {
        row(&change.name, &change)?;
    }
    let hidden =
        shown(|bytes| bytes > 0).count().saturating_sub(options.top) + shrunk.len().saturating_sub(options.top);
    if hidden > 0 {
        line(&format!(
            "{} more changed: --top shows more.",
            plural(hidden as u64, "type")
        ))?;
    }
    for (side, census) in [("Before", before), ("After", after)] {
        for warning in warnings(census) {
            for part in wrap(&format!("{side}: {warning}"), options.columns) {
                line(&part)?;
            }
        }
    }
    Ok(())
}

/// A difference with its sign.
fn signed(change: i128, unit: fn(u64) -> String) -> String {
    let size = u64::try_from(change.unsigned_abs()).unwrap_or(u64::MAX);
    let sign = match change {
        0 => "",
        1.. => "+",
        _ => "-",
    };
    format!("{sign}{}", unit(size))
}
