//! What is packed into the page of a comparison.

use serde::Serialize;

use crate::{
    profile::diff::{Change, Comparison},
    render::{Measure, diff, flamegraph::colour, label},
};

use super::{
    head::Head,
    places::{Path, Places},
    rows::Columns,
};

/// The document.
#[derive(Debug, Serialize)]
pub(super) struct Document {
    #[serde(flatten)]
    head: Head,
    words: Words,
    sites: Sites,
    /// Length of both observations.
    seconds: [f64; 2],
    /// Whether what is cumulative is compared by the second.
    rates: bool,
}

/// Sentences on the whole.
#[derive(Debug, Serialize)]
struct Words {
    title: String,
    exact: bool,
    accuracy: String,
    sides: [String; 2],
    notes: Vec<String>,
}

/// Every site of memory of either.
#[derive(Debug, Serialize)]
struct Sites {
    memory: usize,
    node: Vec<u32>,
    below: Vec<usize>,
    op: Vec<u32>,
    group: Vec<i64>,
    before: Columns,
    after: Columns,
}

/// The document of a comparison.
pub(super) fn document(comparison: &Comparison<'_>, measure: Measure) -> Document {
    let mut places = Places::default();
    let changes = &comparison.changes;
    let paths: Vec<Path> = changes
        .iter()
        .map(|change| path(comparison, change, &mut places))
        .collect();
    let group = |places: &mut Places, change: &Change<'_>| {
        let name = change.group.map(|group| places.string(&label::command(group)));
        name.map_or(-1, i64::from)
    };
    let sites = Sites {
        memory: changes.len(),
        node: places.stacks(&paths),
        below: paths.iter().map(|path| path.below).collect(),
        op: changes.iter().map(|change| places.string(change.op.name())).collect(),
        group: changes.iter().map(|change| group(&mut places, change)).collect(),
        before: changes.iter().map(|change| change.before).collect(),
        after: changes.iter().map(|change| change.after).collect(),
    };
    let sides = [comparison.before, comparison.after];
    // That of the side that can be trusted less.
    let [before, after] = sides.map(|side| side.health.accuracy());
    let accuracy = if before.exact { after } else { before };
    Document {
        head: Head::new(
            "diff",
            measure,
            |measure| comparison.unknown(measure),
            places,
            comparison.after.settings.top,
        ),
        words: Words {
            title: format!("{} compared", label::subject(comparison.after)),
            exact: accuracy.exact,
            accuracy: accuracy.summary,
            sides: sides.map(diff::side),
            notes: diff::notes(comparison),
        },
        sites,
        seconds: sides.map(|side| side.observed.as_secs_f64()),
        rates: comparison.is_rate(Measure::Allocated),
    }
}

/// The frames of a site, root first, with those of the allocator.
fn path(comparison: &Comparison<'_>, change: &Change<'_>, places: &mut Places) -> Path {
    let executable = colour::executable(comparison.after);
    let missing = || (label::no_stack_of(comparison.after, change.has_stack), change.op.name());
    places.path(change.group, &change.stack, missing, executable)
}
