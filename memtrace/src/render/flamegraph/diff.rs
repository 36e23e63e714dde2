//! Differential flame graph: how wide a frame is says how much there is on one side, its colour how much it has changed.
//!
//! Inferno colours a frame by what its own line has changed, so the colour is on the function that allocates: the allocator's own
//! frames, which would be there instead, are left out. Frames above it are white.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use inferno::flamegraph::color::BackgroundColor;

use crate::{
    profile::{
        Frame, Measure,
        diff::{Change, Comparison, Kinship},
    },
    render::{escape, label},
    units::whole,
};

use super::{colour::BEHIND_CHANGES, draw, excess_bits, options_of, picture_of};

/// Which side is drawn.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Width {
    /// The later profile: what is gone is not seen.
    After,
    /// The earlier profile: what is new is not seen, and what is gone is.
    Before,
}

/// Writes the differential flame graph. What grows with time is scaled to the length of the side that is drawn.
///
/// # Errors
///
/// Only those of `out`.
pub fn write(comparison: &Comparison<'_>, measure: Measure, width: Width, out: &mut dyn Write) -> io::Result<()> {
    let (side, other) = match width {
        Width::After => (comparison.after, "before"),
        Width::Before => (comparison.before, "after"),
    };
    let name = match width {
        Width::After => "after",
        Width::Before => "before",
    };
    let folded = fold(comparison, measure, width);
    let total: u128 = folded.values().map(|&(drawn, _)| u128::from(drawn)).sum();
    let shown = u64::try_from(total).unwrap_or(u64::MAX);
    let title = format!("{name}: {}: {}", label::subject(side), measure.named(shown));
    let mut subtitle = match width {
        Width::After => format!("red: more than {other}, blue: less, white: as much or not its own"),
        Width::Before => format!("red: more {other}, blue: less, white: as much or not its own"),
    };
    if comparison.is_rate(measure) {
        subtitle.push_str(" | scaled to equal length");
    }
    if comparison.kinship != Kinship::Same {
        subtitle.push_str(match comparison.kinship {
            Kinship::Rebuilt => " | another build",
            _ => " | NOT THE SAME PROGRAM: little can match",
        });
    }
    if let Some(why) = comparison.unknown(measure) {
        return picture_of(&title, &subtitle, &format!("Nothing can be compared: {why}."), out);
    }
    if total == 0 {
        return picture_of(&title, &subtitle, "There is nothing on this side.", out);
    }
    let others: u128 = folded.values().map(|&(_, other)| u128::from(other)).sum();
    // One bit more: inferno subtracts one side from the other with a sign.
    let shift = match excess_bits(total.max(others)) {
        0 if total.max(others) <= i64::MAX as u128 => 0,
        bits => bits + 1,
    };
    let mut options = options_of(title, subtitle, measure);
    options.factor = 2_f64.powi(shift);
    options.bgcolors = Some(BackgroundColor::Flat(BEHIND_CHANGES));
    options.negate_differentials = width == Width::Before;
    let lines: Vec<String> = folded
        .iter()
        .rev()
        .map(|(stack, (drawn, other))| format!("{} {} {}", stack.join(";"), other >> shift, drawn >> shift))
        .collect();
    draw(&mut options, &lines, measure, out)
}

/// What is drawn and what it is compared with, by the names of the frames, root first.
fn fold(comparison: &Comparison<'_>, measure: Measure, width: Width) -> BTreeMap<Vec<String>, (u64, u64)> {
    let (before, after) = (comparison.before.observed, comparison.after.observed);
    let (drawn_time, other_time) = match width {
        Width::After => (after, before),
        Width::Before => (before, after),
    };
    let scale = if comparison.is_rate(measure) && !other_time.is_zero() {
        drawn_time.as_secs_f64() / other_time.as_secs_f64()
    } else {
        1.0
    };
    let mut folded: BTreeMap<Vec<String>, (u64, u64)> = BTreeMap::new();
    for change in &comparison.changes {
        let (before, after) = (change.before.value(measure), change.after.value(measure));
        let (drawn, other) = match width {
            Width::After => (after, before),
            Width::Before => (before, after),
        };
        // As it is, unless it must be scaled: not every integer is a floating-point number.
        let exact = (scale - 1.0).abs() < f64::EPSILON;
        let other = if exact { other } else { whole(other as f64 * scale) };
        if drawn > 0 || other > 0 {
            let sums = folded.entry(names(comparison, change)).or_default();
            *sums = (sums.0.saturating_add(drawn), sums.1.saturating_add(other));
        }
    }
    folded
}

fn names(comparison: &Comparison<'_>, change: &Change<'_>) -> Vec<String> {
    let mut names: Vec<String> = change.group.map(escape::folded).into_iter().collect();
    if change.stack.is_empty() {
        names.push(label::no_stack_of(comparison.after, change.has_stack).to_owned());
        names.push(escape::folded(change.op.name()));
    }
    names.extend(change.calling_stack().iter().rev().map(|frame| name(frame)));
    names
}

/// A function's name; of one without a symbol the module alone, because addresses of two builds have nothing in common.
fn name(frame: &Frame) -> String {
    match frame.function {
        Some(_) => escape::folded(&label::function(frame)),
        None => escape::folded(&format!("[{}]", label::module(frame))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        profile::fixture,
        render::{diff::tests::pair, tests::rendered},
    };

    fn drawing(comparison: &Comparison<'_>, measure: Measure, width: Width) -> String {
        let svg = rendered(|out| write(comparison, measure, width, out));
        let (head, rest) = svg.split_once("<style").unwrap_or((&svg, ""));
        let body = rest.split_once("</script>").map_or("", |(_, body)| body);
        format!("{head}\n{body}").replace("><", ">\n<")
    }

    #[test]
    fn pictures() {
        let (before, after) = pair();
        let comparison = Comparison::new(&before, &after);
        insta::assert_snapshot!("diff_after", drawing(&comparison, Measure::Live, Width::After));
        insta::assert_snapshot!("diff_before", drawing(&comparison, Measure::Live, Width::Before));
        let unknown = drawing(&comparison, Measure::Peak, Width::After);
        assert!(unknown.contains("Nothing can be compared"), "{unknown}");
    }

    #[test]
    fn what_is_gone_is_in_the_picture_of_before_alone() {
        let (before, after) = pair();
        let comparison = Comparison::new(&before, &after);
        let of = |width| drawing(&comparison, Measure::Live, width);
        assert!(
            of(Width::Before).contains("<title>legacy_init (64.0 KiB") && !of(Width::After).contains("legacy_init")
        );
        assert!(
            of(Width::After).contains("<title>metrics_init (32.0 KiB") && !of(Width::Before).contains("metrics_init")
        );
        // 8 MiB more of what are 12 MiB and a little.
        assert!(
            of(Width::After).contains("<title>session_new (9.0 MiB, 74.42%; +66.15%)"),
            "{}",
            of(Width::After)
        );
    }

    #[test]
    fn any_two_profiles_are_drawn_whole() {
        for (_, before) in fixture::all() {
            for (_, after) in fixture::all() {
                let comparison = Comparison::new(&before, &after);
                for width in [Width::Before, Width::After] {
                    let side = if width == Width::After { &after } else { &before };
                    let svg = drawing(&comparison, Measure::Live, width);
                    let all = format!(
                        "<title>all ({}, 100%)</title>",
                        crate::units::bytes(side.totals.live.bytes)
                    );
                    assert!(side.totals.live.bytes == 0 || svg.contains(&all), "{svg}");
                    assert!(!svg.contains("<script"), "{svg}");
                }
            }
        }
    }
}
