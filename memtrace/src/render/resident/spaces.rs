//! The heaps of V8 by space, at the first reading and at the last.

use std::io::{self, Write};

use crate::{
    profile::{
        resident::Reading,
        spaces::{Space, SpaceUse, Spaces},
    },
    units::{bytes, duration, plural},
};

/// Spaces that have, or had, pages: what each had at the first reading and has at the last.
pub(in crate::render) fn rows(first: &Spaces, last: &Spaces) -> Vec<(Space, [SpaceUse; 2])> {
    let both = |space| (space, [first.of(space), last.of(space)]);
    let all = Space::ALL.into_iter().map(both);
    all.filter(|(_, [was, is])| was.pages > 0 || is.pages > 0).collect()
}

/// What the rows are of.
pub(in crate::render) fn heading(last: &Reading) -> String {
    match last.heaps {
        0 => "Pages of V8".to_owned(),
        heaps => format!("Pages of V8, {}", plural(heaps.into(), "heap")),
    }
}

/// Writes a row for each space, or nothing where no page was found.
pub(super) fn write(first: &Reading, last: &Reading, out: &mut dyn Write) -> io::Result<()> {
    let rows = rows(&first.spaces, &last.spaces);
    if rows.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "{}; resident at {} and at {}:",
        heading(last),
        duration(first.at),
        duration(last.at)
    )?;
    writeln!(out)?;
    writeln!(
        out,
        "{:>7}  {:>10}  {:>7}  {:>10}  {:>10}  space",
        "pages", "resident", "pages", "resident", "size"
    )?;
    for (space, [was, is]) in rows {
        writeln!(
            out,
            "{:>7}  {:>10}  {:>7}  {:>10}  {:>10}  {}",
            was.pages,
            bytes(was.resident),
            is.pages,
            bytes(is.resident),
            bytes(is.bytes),
            space.name()
        )?;
    }
    writeln!(out)
}
