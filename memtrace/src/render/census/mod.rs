//! A census of a Python heap, for people and for programs.

mod diff;
mod text;

use std::io::{self, Write};

use serde::Serialize as _;
use serde_json::Serializer;

use super::json_lines::Lines;
use crate::profile::census::{Census, Comparison};

pub use self::{diff::write as write_diff, text::write};

/// How a census is shown.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Types that are shown.
    pub top: usize,
    /// No line is wider, in columns.
    pub columns: usize,
}

/// Writes a census as JSON: the fields of [`Census`]. Sizes are bytes, times seconds.
///
/// # Errors
/// Only those of `out`.
pub fn write_json(census: &Census, out: &mut dyn Write) -> io::Result<()> {
    census.serialize(&mut Serializer::with_formatter(&mut *out, Lines::default()))?;
    writeln!(out)
}

/// Writes a comparison as JSON: `before` and `after` are what both censuses have beside their types, `types` what became of each.
///
/// # Errors
/// Only those of `out`.
pub fn write_diff_json(comparison: &Comparison<'_>, out: &mut dyn Write) -> io::Result<()> {
    #[derive(serde::Serialize)]
    struct Document<'a> {
        before: Census,
        after: Census,
        #[serde(flatten)]
        comparison: &'a Comparison<'a>,
    }
    let rest = |census: &Census| Census {
        types: Vec::new(),
        ..census.clone()
    };
    let document = Document {
        before: rest(comparison.before),
        after: rest(comparison.after),
        comparison,
    };
    document.serialize(&mut Serializer::with_formatter(&mut *out, Lines::default()))?;
    writeln!(out)
}

#[cfg(test)]
mod tests;
