//! What stands in the columns of the tables.

use crate::{
    profile::{Profile, Site},
    render::{bars, label},
    tui::table::{Column, Row, Subject, Table},
    units::{bytes, count, duration, rate, whole},
};

/// What a column is called; that of changes by whether there is a baseline.
pub(super) const fn head(table: Table, column: Column, with_baseline: bool) -> &'static str {
    match column {
        Column::Live if matches!(table, Table::Leaks) => "suspected",
        Column::Live => "live",
        Column::Change if with_baseline => "change",
        Column::Change => "growth",
        Column::Own => "own",
        Column::Blocks => "blocks",
        Column::Age => "oldest",
        Column::Score => "score",
        Column::Verdict => "verdict",
        Column::History => "history",
        Column::Allocated => "allocated",
        Column::Peak => "peak",
        Column::Resident => "resident",
    }
}

/// `+12.4 KiB`, `-3 B`, `0 B`.
pub(super) fn signed(change: f64) -> String {
    let text = bytes(whole(change.abs()));
    match change {
        _ if whole(change.abs()) == 0 => text,
        _ if change > 0.0 => format!("+{text}"),
        _ => format!("-{text}"),
    }
}

/// The text of a cell; `columns` are those of a history.
pub(super) fn cell(profile: &Profile, row: &Row, column: Column, with_baseline: bool, columns: usize) -> String {
    let none = || "-".to_owned();
    match column {
        Column::Live => format!("{}{}", bytes(row.live), error(profile, row)),
        Column::Own => bytes(row.own),
        Column::Blocks => count(row.blocks),
        Column::Change if with_baseline => row.change.map_or_else(none, signed),
        Column::Change => row.change.map_or_else(none, rate),
        Column::Age => row.age.map_or_else(none, duration),
        Column::Score => row.score.map_or_else(none, |score| score.to_string()),
        Column::Allocated => bytes(row.allocated),
        Column::Peak => bytes(row.peak),
        Column::Resident => row.resident.map_or_else(none, bytes),
        Column::Verdict => site(profile, row)
            .and_then(|site| site.suspicion.as_ref())
            .map_or_else(none, |found| label::verdict(found.verdict).to_owned()),
        Column::History => site(profile, row).map_or_else(String::new, |site| sparkline(site, columns)),
    }
}

/// The site that a row is of.
pub(super) fn site<'a>(profile: &'a Profile, row: &Row) -> Option<&'a Site> {
    match row.subject {
        Subject::Site(index) => profile.sites.get(index),
        _ => None,
    }
}

/// ` ± 0.3 MiB` where the sum is an estimate; of a process that is not known.
fn error(profile: &Profile, row: &Row) -> String {
    let of_site = |site: &Site| profile.live_error(site, site.live);
    let error = match &row.subject {
        Subject::Site(_) => site(profile, row).and_then(|site| {
            let part = crate::profile::Amount {
                bytes: row.live,
                count: row.blocks,
            };
            profile.live_error(site, part)
        }),
        // Errors of independent draws add up as squares.
        Subject::Code { sites, .. } if profile.health.sampling.is_some() => {
            let errors = sites.iter().filter_map(|&index| of_site(profile.sites.get(index)?));
            Some(whole(errors.map(|error| (error as f64).powi(2)).sum::<f64>().sqrt()))
        }
        _ => None,
    };
    label::error(error.filter(|&error| error > 0))
}

/// The history as bars, the highest of them its own most.
fn sparkline(site: &Site, columns: usize) -> String {
    let history = &site.history;
    let shown = history.len().min(columns);
    // Each bar is the last moment of its share, so that the right one is now.
    let moment = |bar: usize| history.at(((bar + 1) * history.len() / shown.max(1)).saturating_sub(1));
    let values: Vec<_> = (0..shown).map(moment).collect();
    let most = values.iter().flatten().copied().max().unwrap_or(0);
    bars::standing(&values, most, 1).concat()
}

#[cfg(test)]
mod tests {
    use memtrace_common::op::Op;

    use super::*;
    use crate::profile::fixture::{self, SiteSpec};

    #[test]
    fn sparklines_end_now() {
        let spark = |bytes: &[u64], columns| {
            let profile = fixture::profile([SiteSpec::new(Op::Malloc).live(1, 1).history(bytes)]);
            sparkline(&profile.sites[0], columns)
        };
        assert_eq!(spark(&[], 8), "");
        assert_eq!(spark(&[0, 0], 8), "  ");
        assert_eq!(spark(&[0, 4, 8], 8), " ▄█");
        assert_eq!(spark(&[0, 1, 2, 3, 4, 5, 6, 8], 2), "▃█");
    }

    #[test]
    fn changes_have_a_sign() {
        assert_eq!(
            [2048.0, -3.0, 0.0, -0.2].map(signed),
            ["+2.0 KiB", "-3 B", "0 B", "0 B"]
        );
    }
}
