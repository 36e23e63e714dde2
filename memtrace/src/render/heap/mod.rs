//! Heap snapshots as text.

pub mod json;
pub mod sample;
#[cfg(test)]
mod tests;

use std::io::{self, Write};

use super::{
    escape,
    layout::{COLUMNS, elide},
    units,
};
use crate::profile::heap::{HeapComparison, HeapKinds, HeapObject, HeapPath, HeapSummary, ScriptPlace};

/// What can be chosen of its form.
#[derive(Clone, Copy, Debug)]
pub struct Form {
    /// Rows of each table.
    pub top: usize,
    /// By what classes are sorted.
    pub sort: Sort,
    /// Columns of a line.
    pub columns: usize,
}

impl Default for Form {
    fn default() -> Self {
        Self {
            top: 20,
            sort: Sort::Retained,
            columns: COLUMNS,
        }
    }
}

/// By what classes are sorted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Sort {
    /// What goes with them.
    Retained,
    /// Their own bytes.
    Shallow,
    /// How many there are.
    Count,
}

/// From this distance on only the engine itself leads to an object.
const SYSTEM: u32 = 100_000_000;

/// Columns that a name has at least.
const LEAST_NAME: usize = 20;

/// Writes what is in a snapshot.
///
/// # Errors
/// Only those of `out`.
pub fn summary(summary: &HeapSummary, form: Form, out: &mut dyn Write) -> io::Result<()> {
    writeln!(
        out,
        "{} in {} and {}",
        units::bytes(summary.total),
        units::plural(summary.nodes, "node"),
        units::plural(summary.edges, "reference")
    )?;
    kinds(summary.kinds, out)?;
    let mut classes: Vec<_> = summary.classes.iter().collect();
    match form.sort {
        Sort::Retained => (),
        Sort::Shallow => classes.sort_by_key(|class| std::cmp::Reverse(class.shallow)),
        Sort::Count => classes.sort_by_key(|class| std::cmp::Reverse(class.count)),
    }
    writeln!(out, "\n{:>12} {:>11} {:>11}  class", "objects", "shallow", "retained")?;
    let room = form.columns.saturating_sub(38).max(LEAST_NAME);
    for class in classes.iter().take(form.top) {
        writeln!(
            out,
            "{:>12} {:>11} {:>11}  {}",
            units::count(class.count),
            units::bytes(class.shallow),
            units::bytes(class.retained),
            self::class(&class.name, class.place, room)
        )?;
    }
    more(classes.len(), form.top, "class", "classes", out)?;
    if form.top > 0 && !summary.objects.is_empty() {
        writeln!(out, "\nObjects that retain most:")?;
        objects(&summary.objects, form, out)?;
    }
    if summary.detached_count > 0 {
        writeln!(out, "\n{} detached:", units::plural(summary.detached_count, "object"))?;
        objects(&summary.detached, form, out)?;
    }
    Ok(())
}

fn kinds(kinds: HeapKinds, out: &mut dyn Write) -> io::Result<()> {
    let parts = [
        ("code", kinds.code),
        ("strings", kinds.strings),
        ("arrays", kinds.arrays),
        ("system", kinds.system),
        ("outside V8's heap", kinds.native),
    ];
    let said: Vec<_> = parts
        .into_iter()
        .filter(|&(_, bytes)| bytes > 0)
        .map(|(name, bytes)| format!("{name} {}", units::bytes(bytes)))
        .collect();
    if said.is_empty() {
        return Ok(());
    }
    writeln!(out, "of that: {}", said.join(", "))
}

fn objects(objects: &[HeapObject], form: Form, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{:>12} {:>11} {:>11}  object", "id", "shallow", "retained")?;
    let room = form.columns.saturating_sub(38).max(LEAST_NAME);
    for object in objects.iter().take(form.top) {
        writeln!(
            out,
            "{:>12} {:>11} {:>11}  {}",
            format!("@{}", object.id),
            units::bytes(object.shallow),
            units::bytes(object.retained),
            self::object(object, room)
        )?;
    }
    Ok(())
}

/// Writes why an object is there.
///
/// # Errors
/// Only those of `out`.
pub fn path(path: &HeapPath, form: Form, out: &mut dyn Write) -> io::Result<()> {
    let object = &path.object;
    writeln!(out, "{} @{}", self::object(object, form.columns), object.id)?;
    writeln!(
        out,
        "{} itself, {} retained; type {}{}",
        units::bytes(object.shallow),
        units::bytes(object.retained),
        escape::text(&object.kind),
        if object.detached { ", detached" } else { "" }
    )?;
    match object.distance {
        None => writeln!(out, "Nothing but weak references leads to it.")?,
        Some(distance) => {
            if distance >= SYSTEM {
                writeln!(out, "Only the engine itself refers to it.")?;
            }
            writeln!(out, "\nShortest way to it:")?;
            for step in &path.steps {
                let reference = step
                    .reference
                    .as_ref()
                    .map(|reference| escape::text(&reference.shown).into_owned());
                let label = format!("@{}", step.object.id);
                let reference = reference.unwrap_or_else(|| "root".into());
                let reference = elide(&reference, form.columns / 3);
                let room = form
                    .columns
                    .saturating_sub(reference.chars().count() + label.len() + 6)
                    .max(LEAST_NAME);
                writeln!(out, "  {reference}  {} {label}", self::object(&step.object, room))?;
            }
        }
    }
    writeln!(out, "\nIt goes when any of these goes (its dominators), nearest first:")?;
    objects(&path.dominators, form, out)?;
    more(path.dominators.len(), form.top, "dominator", "dominators", out)
}

/// Writes what is different.
///
/// # Errors
/// Only those of `out`.
pub fn comparison(comparison: &HeapComparison, form: Form, out: &mut dyn Write) -> io::Result<()> {
    for (name, side) in [("before", comparison.before), ("after", comparison.after)] {
        writeln!(
            out,
            "{name:>6}: {} in {}",
            units::bytes(side.bytes),
            units::plural(side.objects, "object")
        )?;
    }
    if comparison.classes.is_empty() {
        return writeln!(out, "\nNothing is new and nothing is gone.");
    }
    writeln!(
        out,
        "\n{:>10} {:>10} {:>12} {:>12}  class",
        "new", "gone", "objects", "bytes"
    )?;
    let room = form.columns.saturating_sub(50).max(LEAST_NAME);
    for class in comparison.classes.iter().take(form.top) {
        writeln!(
            out,
            "{:>10} {:>10} {:>12} {:>12}  {}",
            units::count(class.added_count),
            units::count(class.removed_count),
            signed(class.count_delta(), units::count),
            signed(class.bytes_delta(), units::bytes),
            self::class(&class.name, class.place, room)
        )?;
    }
    more(comparison.classes.len(), form.top, "class", "classes", out)
}

/// With its sign, unless it is nothing.
fn signed(value: i128, format: impl Fn(u64) -> String) -> String {
    let size = u64::try_from(value.unsigned_abs()).unwrap_or(u64::MAX);
    match value {
        0 => format(0),
        1.. => format!("+{}", format(size)),
        _ => format!("-{}", format(size)),
    }
}

fn more(all: usize, shown: usize, one: &str, several: &str, out: &mut dyn Write) -> io::Result<()> {
    match all.saturating_sub(shown) {
        0 => Ok(()),
        1 => writeln!(out, "and 1 more {one}"),
        rest => writeln!(out, "and {} more {several}", units::count(rest as u64)),
    }
}

/// `Name (script 31:4:16)`: lines and columns are counted from 1 here, as editors do.
fn class(name: &str, place: Option<ScriptPlace>, room: usize) -> String {
    let place = place.map_or(String::new(), |place| {
        format!(
            " (script {}:{}:{})",
            place.script_id,
            u64::from(place.line) + 1,
            u64::from(place.column) + 1
        )
    });
    let name = if name.is_empty() {
        "(no name)".into()
    } else {
        escape::text(name)
    };
    format!(
        "{}{place}",
        elide(&name, room.saturating_sub(place.len()).max(LEAST_NAME))
    )
}

/// The class, and what else names it.
fn object(object: &HeapObject, room: usize) -> String {
    let class = if object.class.is_empty() {
        "(no name)".into()
    } else {
        escape::text(&object.class)
    };
    let name = escape::text(&object.name);
    let is_text = object.kind.contains("string");
    let said = match (name.is_empty() && !is_text || name == class, is_text) {
        (true, _) => class.into_owned(),
        (false, true) => format!("{class} \"{name}\""),
        (false, false) => format!("{class} {name}"),
    };
    elide(&said, room)
}
