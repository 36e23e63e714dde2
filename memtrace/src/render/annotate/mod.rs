//! A source file with memory beside its lines.

use std::{
    collections::BTreeSet,
    io::{self, Write},
};

use crate::{
    profile::{
        Amount, Profile,
        annotate::{Annotation, LineSums},
    },
    units::{bytes, count, plural},
};

use super::{
    escape, header,
    layout::{COLUMNS, elide, truncate, wrap},
};

/// The text of the file, where whoever asks could read it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Source<'a> {
    /// Its content. Without it lines are shown by their numbers alone.
    pub text: Option<&'a str>,
    /// Whether the file was changed after the observation began: its lines may be others than those that ran.
    pub newer: bool,
}

/// How lines are shown.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Whether blocks are shown instead of bytes.
    pub blocks: bool,
    /// Lines without memory that are shown before and after one with; the others are folded.
    pub context: usize,
    /// No line is wider, in columns.
    pub columns: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            blocks: false,
            context: 2,
            columns: COLUMNS,
        }
    }
}

/// Writes the lines.
///
/// # Errors
///
/// Only those of `out`.
pub fn write(
    profile: &Profile,
    annotation: &Annotation,
    source: Source<'_>,
    options: &Options,
    out: &mut dyn Write,
) -> io::Result<()> {
    header::short(profile, "By line: ", options.columns, out)?;
    let text: Vec<&str> = source.text.map(|text| text.lines().collect()).unwrap_or_default();
    let last = annotation.lines.keys().next_back().copied().unwrap_or(0);
    let mut view = View { options, out };
    view.say(&escape::text(&annotation.file))?;
    let through = &annotation.total;
    let unit = if options.blocks { " blocks" } else { "" };
    view.say(&format!(
        "{}{unit} live, {}{unit} allocated through this file",
        view.amount(through.live),
        view.amount(through.allocated)
    ))?;
    if source.newer {
        view.say("Warning: the file was changed after this was observed: lines may have moved.")?;
    }
    let length = text.len();
    if source.text.is_some() && last as usize > length {
        let lines = plural(length as u64, "line");
        view.say(&format!(
            "Warning: the file has {lines}, and line {last} is in a call stack: it is not the one that was compiled."
        ))?;
    }
    view.line("")?;
    view.row(["live", "through", "allocated", "through"], "line", "")?;
    let shown = shown(annotation, length, options.context);
    let mut before = None;
    for number in shown {
        if source.text.is_some() && before.is_some_and(|before| before + 1 < number) {
            view.row([""; 4], "…", "")?;
        }
        before = Some(number);
        let sums = annotation.lines.get(&number).copied().unwrap_or_default();
        let content = (number as usize).checked_sub(1).and_then(|index| text.get(index));
        let content = match content {
            Some(content) => clean(content),
            None if source.text.is_some() => "[no such line]".to_owned(),
            None => String::new(),
        };
        let cells = view.cells(&sums);
        view.row(
            [&cells[0], &cells[1], &cells[2], &cells[3]],
            &number.to_string(),
            &content,
        )?;
    }
    Ok(())
}

/// Lines with memory and those around them that the file has.
fn shown(annotation: &Annotation, length: usize, context: usize) -> BTreeSet<u32> {
    let context = u32::try_from(context).unwrap_or(u32::MAX);
    let length = u32::try_from(length).unwrap_or(u32::MAX);
    let around = annotation.lines.keys().flat_map(|&number| {
        let (first, last) = (
            number.saturating_sub(context).max(1),
            number.saturating_add(context).min(length),
        );
        (first..=last).chain([number])
    });
    around.collect()
}

/// A line of the source as it can be shown: its tabs are four columns wide.
fn clean(line: &str) -> String {
    escape::text(&line.replace('\t', "    ")).into_owned()
}

/// Lines that are being written.
struct View<'a> {
    options: &'a Options,
    out: &'a mut dyn Write,
}

impl View<'_> {
    fn amount(&self, amount: Amount) -> String {
        if self.options.blocks {
            count(amount.count)
        } else {
            bytes(amount.bytes)
        }
    }

    /// The numbers of a line; nothing where there is nothing.
    fn cells(&self, sums: &LineSums) -> [String; 4] {
        let amounts = [sums.own.live, sums.total.live, sums.own.allocated, sums.total.allocated];
        amounts.map(|amount| {
            if amount == Amount::default() {
                String::new()
            } else {
                self.amount(amount)
            }
        })
    }

    fn row(
        &mut self,
        [own, through, allocated, through_allocated]: [&str; 4],
        number: &str,
        text: &str,
    ) -> io::Result<()> {
        self.line(&format!(
            "{own:>10} {through:>10} {allocated:>10} {through_allocated:>10} {number:>6}  {text}"
        ))
    }

    fn say(&mut self, text: &str) -> io::Result<()> {
        let columns = self.options.columns;
        wrap(text, columns)
            .iter()
            .try_for_each(|line| self.line(&elide(line, columns)))
    }

    fn line(&mut self, line: &str) -> io::Result<()> {
        writeln!(
            self.out,
            "{}",
            truncate(line.trim_end(), self.options.columns).trim_end()
        )
    }
}

#[cfg(test)]
mod tests;
