//! Two profiles beside each other as text: what has grown first.

pub mod json;

use std::io::{self, Write};

use crate::{
    profile::{
        Measure, Profile,
        diff::{Change, Comparison, Kind, Kinship, Pair},
    },
    units::{bytes, count, duration, plural, rate, whole},
};

use super::{
    escape, label,
    layout::{COLUMNS, elide, wrap},
};

/// How a comparison is shown.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// What is compared.
    pub measure: Measure,
    /// Rows of each kind.
    pub top: usize,
}

/// Frames of a site.
const FRAMES: usize = 6;
/// Columns before a stack.
const INDENT: usize = 4;
/// The order in which kinds are told, with their headings.
const KINDS: [(Kind, &str); 4] = [
    (Kind::Grown, "Grown"),
    (Kind::New, "New"),
    (Kind::Gone, "Gone"),
    (Kind::Shrunk, "Shrunk"),
];

/// Writes the comparison, at most 80 columns wide.
///
/// # Errors
///
/// Only those of `out`.
pub fn write(comparison: &Comparison<'_>, options: &Options, out: &mut dyn Write) -> io::Result<()> {
    header(comparison, out)?;
    let measure = options.measure;
    if let Some(why) = comparison.unknown(measure) {
        return say(&format!("Nothing can be compared: {why}."), out);
    }
    totals(comparison, measure, out)?;
    let sorted = comparison.sorted(measure);
    let of_kind = |wanted: Kind| sorted.iter().filter(move |(kind, ..)| *kind == wanted).count() as u64;
    writeln!(out)?;
    say(
        &format!(
            "{} by {}: {} grown, {} new, {} gone, {} shrunk, {} the same",
            plural(sorted.len() as u64, "site"),
            measure.name(),
            count(of_kind(Kind::Grown)),
            count(of_kind(Kind::New)),
            count(of_kind(Kind::Gone)),
            count(of_kind(Kind::Shrunk)),
            count(of_kind(Kind::Same)),
        ),
        out,
    )?;
    for (kind, heading) in KINDS {
        let all: Vec<_> = sorted.iter().filter(|(of, ..)| *of == kind).collect();
        if all.is_empty() {
            continue;
        }
        let rest = all.len().saturating_sub(options.top);
        writeln!(out)?;
        columns(["before", "after", "change"], heading, out)?;
        for (_, pair, change) in all.iter().take(options.top) {
            row(comparison, measure, *pair, change, out)?;
        }
        if rest > 0 {
            let sum = all
                .iter()
                .skip(options.top)
                .fold(Pair::default(), |sum, (_, pair, _)| Pair {
                    before: sum.before + pair.before,
                    after: sum.after + pair.after,
                });
            numbers(
                comparison,
                measure,
                sum,
                &format!("in {}", plural(rest as u64, "more site")),
                out,
            )?;
        }
    }
    Ok(())
}

/// What is compared, how far it can be trusted, and what the reader must know of it.
fn header(comparison: &Comparison<'_>, out: &mut dyn Write) -> io::Result<()> {
    say(&format!("before: {}", side(comparison.before)), out)?;
    say(&format!("after:  {}", side(comparison.after)), out)?;
    for note in notes(comparison) {
        writeln!(out)?;
        say(&note, out)?;
    }
    writeln!(out)
}

/// One of both profiles, and how far it can be trusted.
pub(super) fn side(profile: &Profile) -> String {
    let filter = profile.filter.iter().map(|clause| escape::text(clause));
    let filter = filter.collect::<Vec<_>>().join(", ");
    let only = if filter.is_empty() {
        String::new()
    } else {
        format!("; only sites {filter}")
    };
    format!(
        "{}, {} observed; {}{only}",
        label::subject(profile),
        duration(profile.observed),
        profile.health.accuracy().summary
    )
}

/// What limits the comparison, a sentence each.
pub(super) fn notes(comparison: &Comparison<'_>) -> Vec<String> {
    let mut notes = Vec::new();
    match &comparison.kinship {
        Kinship::Same => {}
        Kinship::Rebuilt => notes.push(
            "Another build of the program: sites are matched by the names of their functions, so one that was renamed is gone and \
             new."
                .to_owned(),
        ),
        Kinship::Different(before, after) => notes.push(format!(
            "Warning: these are not of one program. Before it is {}, after it is {}: sites are matched by the names of their functions, so \
             what meets is in libraries that both use, and says little.",
            escape::text(before),
            escape::text(after)
        )),
    }
    if comparison.before.filter != comparison.after.filter {
        notes.push("Warning: the sites of both were not chosen by the same filter.".to_owned());
    }
    if comparison.before.health.sampling.is_some() || comparison.after.health.sampling.is_some() {
        notes.push("Sums are estimates where a sample was taken: a small change may be chance.".to_owned());
    }
    if comparison.is_rate(Measure::Allocated) {
        notes.push(
            "The observations are not equally long: what was allocated and freed is compared by the second, what is live as it was."
                .to_owned(),
        );
    }
    notes
}

fn totals(comparison: &Comparison<'_>, measure: Measure, out: &mut dyn Write) -> io::Result<()> {
    columns(["before", "after", "change"], "all memory", out)?;
    let mut shown = vec![
        Measure::Live,
        Measure::LiveBlocks,
        Measure::Allocated,
        Measure::Allocations,
    ];
    if !shown.contains(&measure) {
        shown.push(measure);
    }
    for measure in shown {
        numbers(comparison, measure, comparison.total(measure), measure.name(), out)?;
    }
    Ok(())
}

fn row(
    comparison: &Comparison<'_>,
    measure: Measure,
    pair: Pair,
    change: &Change<'_>,
    out: &mut dyn Write,
) -> io::Result<()> {
    numbers(comparison, measure, pair, change.op.name(), out)?;
    if let Some(group) = change.group {
        let group = label::command(group);
        writeln!(out, "{:INDENT$}of {}", "", elide(&group, COLUMNS - INDENT - 3))?;
    }
    let profile = if change.after.allocated.count > 0 {
        comparison.after
    } else {
        comparison.before
    };
    if change.stack.is_empty() {
        return writeln!(out, "{:INDENT$}{}", "", label::no_stack_of(profile, change.has_stack));
    }
    for line in label::frames(change.calling_stack(), INDENT, FRAMES) {
        writeln!(out, "{line}")?;
    }
    Ok(())
}

fn numbers(
    comparison: &Comparison<'_>,
    measure: Measure,
    pair: Pair,
    name: &str,
    out: &mut dyn Write,
) -> io::Result<()> {
    let text = |value| value_text(comparison, measure, value);
    let sign = match pair.kind() {
        Kind::Grown | Kind::New => "+",
        Kind::Shrunk | Kind::Gone => "-",
        Kind::Same => "",
    };
    let change = format!("{sign}{}", text(pair.change().abs()));
    columns([&text(pair.before), &text(pair.after), &change], name, out)
}

/// `1.2 MiB`, `1,010`, or by the second `1.2 MiB/s`, `3.5/s`.
fn value_text(comparison: &Comparison<'_>, measure: Measure, value: f64) -> String {
    match (comparison.is_rate(measure), measure.is_count()) {
        (false, false) => bytes(whole(value)),
        (false, true) => count(whole(value)),
        // What is slow is told by the hour: a leak of a byte a second is one.
        (true, false) if value > 0.0 && value < 1.0 => format!("{}/h", bytes(whole(value * 3_600.0))),
        (true, false) => rate(value).trim_start_matches('+').to_owned(),
        (true, true) if value > 0.0 && value < 0.1 => format!("{:.1}/h", value * 3_600.0),
        (true, true) if value < 100.0 => format!("{value:.1}/s"),
        (true, true) => format!("{}/s", count(whole(value))),
    }
}

fn columns([before, after, change]: [&str; 3], name: &str, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{before:>13}  {after:>13}  {change:>14}  {name}")
}

fn say(text: &str, out: &mut dyn Write) -> io::Result<()> {
    wrap(text, COLUMNS)
        .iter()
        .try_for_each(|line| writeln!(out, "{}", elide(line, COLUMNS).trim_end()))
}

#[cfg(test)]
pub(super) mod tests;
