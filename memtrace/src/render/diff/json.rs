//! A comparison for programs.
//!
//! Sizes are bytes, times seconds. The version is that of [`crate::render::json`].
//!
//! ```text
//! memtrace_version   version of memtrace
//! format_version     version of this schema
//! programs           "same", "rebuilt" or "different"
//! before, after      target, observed_seconds, filter[], exact, summary: as in a profile;
//!                    total{live, allocated, temporary, at_peak}: each {bytes, count}, null where it is not known
//! sites[]            every site that either has, in the order of the text for live bytes:
//!                    kind                     by live bytes: "grown", "new", "gone", "shrunk" or "same"
//!                    op, class, group         as in a profile; group is null unless both are split
//!                    before, after            {live, allocated, temporary, at_peak}, growth_bytes_per_second
//!                    stack[]                  as in a profile: that of the later one, if the site is in there
//! ```

use std::io::{self, Write};

use serde::Serialize;
use serde_json::Serializer;

use crate::{
    profile::{
        Amount, Frame, Measure, Profile, Target,
        calltree::Amounts,
        diff::{Change, Comparison, Kind, Kinship},
    },
    render::{json::FORMAT_VERSION, json_lines::Lines},
};

/// Writes a comparison as JSON.
///
/// # Errors
///
/// Only those of `out`.
pub fn write(comparison: &Comparison<'_>, out: &mut dyn Write) -> io::Result<()> {
    document(comparison).serialize(&mut Serializer::with_formatter(&mut *out, Lines::default()))?;
    writeln!(out)
}

#[derive(Serialize)]
struct Document<'a> {
    memtrace_version: &'static str,
    format_version: u32,
    programs: &'static str,
    before: Side<'a>,
    after: Side<'a>,
    sites: Vec<Site<'a>>,
}

#[derive(Serialize)]
struct Side<'a> {
    target: &'a Target,
    observed_seconds: f64,
    filter: &'a [String],
    exact: bool,
    summary: String,
    total: Sums,
}

#[derive(Serialize)]
struct Sums {
    live: Option<Amount>,
    allocated: Option<Amount>,
    temporary: Option<Amount>,
    at_peak: Option<Amount>,
}

#[derive(Serialize)]
struct Site<'a> {
    kind: &'static str,
    op: &'static str,
    class: &'static str,
    group: Option<&'a str>,
    before: SiteSide,
    after: SiteSide,
    stack: Option<&'a [&'a Frame]>,
}

#[derive(Serialize)]
struct SiteSide {
    #[serde(flatten)]
    sums: Sums,
    growth_bytes_per_second: f64,
}

fn document<'a>(comparison: &'a Comparison<'a>) -> Document<'a> {
    let (before, after) = (Known::of(comparison.before), Known::of(comparison.after));
    let site = |kind, change: &'a Change<'a>| Site {
        kind,
        op: change.op.name(),
        class: change.op.class().name(),
        group: change.group,
        before: SiteSide {
            sums: before.sums(&change.before),
            growth_bytes_per_second: change.growth_before,
        },
        after: SiteSide {
            sums: after.sums(&change.after),
            growth_bytes_per_second: change.growth_after,
        },
        stack: change.has_stack.then_some(&*change.stack),
    };
    Document {
        memtrace_version: env!("CARGO_PKG_VERSION"),
        format_version: FORMAT_VERSION,
        programs: match comparison.kinship {
            Kinship::Same => "same",
            Kinship::Rebuilt => "rebuilt",
            Kinship::Different(..) => "different",
        },
        before: side(comparison.before),
        after: side(comparison.after),
        sites: comparison
            .sorted(Measure::Live)
            .into_iter()
            .map(|(kind, _, change)| site(kind_name(kind), change))
            .collect(),
    }
}

const fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Grown => "grown",
        Kind::New => "new",
        Kind::Gone => "gone",
        Kind::Shrunk => "shrunk",
        Kind::Same => "same",
    }
}

fn side(profile: &Profile) -> Side<'_> {
    let accuracy = profile.health.accuracy();
    Side {
        target: &profile.target,
        observed_seconds: profile.observed.as_secs_f64(),
        filter: &profile.filter,
        exact: accuracy.exact,
        summary: accuracy.summary,
        total: Sums {
            live: Measure::Live.total(profile),
            allocated: Measure::Allocated.total(profile),
            temporary: Measure::Temporary.total(profile),
            at_peak: Measure::Peak.total(profile),
        },
    }
}

/// Which amounts a profile knows.
struct Known {
    temporary: bool,
    at_peak: bool,
}

impl Known {
    fn of(profile: &Profile) -> Self {
        Self {
            temporary: Measure::Temporary.total(profile).is_some(),
            at_peak: Measure::Peak.total(profile).is_some(),
        }
    }

    fn sums(&self, amounts: &Amounts) -> Sums {
        Sums {
            live: Some(amounts.live),
            allocated: Some(amounts.allocated),
            temporary: self.temporary.then_some(amounts.temporary),
            at_peak: self.at_peak.then_some(amounts.at_peak),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::{
        profile::fixture,
        render::{diff::tests::pair, tests::rendered},
    };

    #[test]
    fn documents() {
        let (before, after) = pair();
        let text = rendered(|out| write(&Comparison::new(&before, &after), out));
        insta::assert_snapshot!("diff_json", text);
    }

    #[test]
    fn every_document_is_json_with_sums_that_add_up() {
        for (_, before) in fixture::all() {
            for (_, after) in fixture::all() {
                let text = rendered(|out| write(&Comparison::new(&before, &after), out));
                let document: Value = serde_json::from_str(&text).unwrap();
                let sites = document["sites"].as_array().unwrap();
                for (side, profile) in [("before", &before), ("after", &after)] {
                    let sum: u64 = sites
                        .iter()
                        .map(|site| site[side]["live"]["bytes"].as_u64().unwrap())
                        .sum();
                    assert_eq!(sum, profile.totals.live.bytes);
                    assert_eq!(document[side]["target"]["command"], profile.target.command);
                }
            }
        }
    }
}
