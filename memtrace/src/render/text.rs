//! The summary: what somebody reads first, on a terminal of 80 columns.

use std::io::{self, Write};

use memtrace_common::op::Class;

use crate::{
    profile::{
        Profile, Site, Verdict,
        census::{Comparison, Growth},
    },
    units::{blocks, bytes, count, duration, percent, plural, rate},
};

use super::{
    census, header, health, js_heap,
    label::{self, fact},
    layout::{COLUMNS, say, wrap},
    nothing, processes, resident, suppressions, windows,
};

/// Frames of a site in the summary; `leaks.txt` has more, the JSON all.
const FRAMES: usize = 6;
/// Columns before a stack: those of the row's number.
const INDENT: usize = 4;

/// Writes the summary.
///
/// # Errors
///
/// Only those of `out`.
pub fn write(profile: &Profile, out: &mut dyn Write) -> io::Result<()> {
    header::write(profile, "", out)?;
    totals(profile, out)?;
    writeln!(out)?;
    if profile.is_of_many() && !profile.processes.is_empty() {
        processes::write(profile, out)?;
        if !profile.filter.is_empty() {
            writeln!(out)?;
            writeln!(out, "{}", processes::OF_ALL_SITES)?;
        }
        writeln!(out)?;
    }
    if profile.resident.is_some() {
        resident::write(profile, out)?;
        writeln!(out)?;
    }
    if !profile.js_heaps.is_empty() {
        js_heap::write(profile, out)?;
        writeln!(out)?;
    }
    match &profile.health.windows {
        Some(kept) => windows::write(profile, kept, out)?,
        None => sites(profile, out)?,
    }
    writeln!(out)?;
    apart(profile, Class::Pages, PAGES, out)?;
    apart(profile, Class::Pools, POOLS, out)?;
    censuses(profile, out)?;
    suspects(profile, out)?;
    writeln!(out)?;
    health::write(profile, out)
}

fn totals(profile: &Profile, out: &mut dyn Write) -> io::Result<()> {
    for (name, value) in sums(profile) {
        writeln!(out, "{}", fact(name, &value))?;
    }
    Ok(())
}

/// The sums over all sites: name and value of each line.
pub(super) fn sums(profile: &Profile) -> Vec<(&'static str, String)> {
    let totals = &profile.totals;
    let growth = rate(profile.growth_bytes_per_second());
    let by_class = |memory: bool| {
        let shown = totals
            .live_by_class
            .iter()
            .filter(move |(class, live)| class.is_memory() == memory && live.count > 0);
        shown.map(|(class, live)| (*class, *live)).collect::<Vec<_>>()
    };
    let kinds = by_class(true);
    let split = match kinds.as_slice() {
        // One kind is the whole: no news.
        [] | [(Class::Heap, _)] => String::new(),
        kinds => {
            let parts: Vec<_> = kinds
                .iter()
                .map(|(class, live)| format!("{} {}", class.name(), bytes(live.bytes)))
                .collect();
            format!(" ({})", parts.join(", "))
        }
    };
    let live_error = label::error(profile.total_error(|site| profile.live_error(site, site.live)));
    let live = format!("{}{live_error}{split}, {growth}", label::amount(totals.live));
    // Behind a filter it is that of a few moments.
    let least = if profile.filter.is_empty() { "" } else { "at least " };
    let allocations = plural(totals.allocated.count, "allocation");
    let error = label::error(profile.total_error(|site| profile.error(site, site.allocated)));
    let allocated = format!("{} in {allocations}{error}", bytes(totals.allocated.bytes));
    let peak = format!("{least}{}", bytes(totals.peak_live_bytes));
    let mut facts = match profile.health.windows {
        Some(_) => vec![("live", "not known: frees between windows are not seen".to_owned())],
        None => vec![("live", live), ("peak", peak)],
    };
    facts.push(("allocated", allocated));
    let others = by_class(false);
    if !others.is_empty() {
        let parts = others.iter().map(|(class, live)| {
            let pieces = pieces(*class, live.count);
            format!("{} {} in {pieces}", class.name(), bytes(live.bytes))
        });
        facts.push(("not counted", parts.collect::<Vec<_>>().join(", ")));
    }
    facts
}

fn sites(profile: &Profile, out: &mut dyn Write) -> io::Result<()> {
    let live: Vec<_> = profile.memory_sites().filter(|site| site.live.count > 0).collect();
    let shown = live.len().min(profile.settings.top);
    match (live.len(), shown) {
        (0, _) if profile.totals.allocated.count == 0 => {
            let was = if profile.is_of_many() { "were" } else { "was" };
            let targets = label::targets(profile);
            return writeln!(out, "Nothing was allocated while the {targets} {was} observed.");
        }
        (0, _) => return say(&nothing::live(profile), out),
        (all, shown) if all == shown => writeln!(out, "{} with live bytes", plural(all as u64, "site"))?,
        (all, shown) => writeln!(out, "Top {shown} of {} with live bytes", plural(all as u64, "site"))?,
    }
    writeln!(out)?;
    writeln!(
        out,
        "  #        live   share      blocks     oldest        growth  call"
    )?;
    for (number, site) in (1..).zip(&live[..shown]) {
        row(profile, number, site, out)?;
        if number < live.len() {
            writeln!(out)?;
        }
    }
    let rest = &live[shown..];
    if !rest.is_empty() {
        let rest_bytes = rest.iter().fold(0_u64, |sum, site| sum.saturating_add(site.live.bytes));
        let rest_count = rest.iter().fold(0_u64, |sum, site| sum.saturating_add(site.live.count));
        let (share, more) = (
            percent(profile.share(rest_bytes)),
            plural(rest.len() as u64, "more site"),
        );
        writeln!(
            out,
            "    {:>10}  {share:>6}  {:>10}  in {more}",
            bytes(rest_bytes),
            count(rest_count)
        )?;
    }
    Ok(())
}

/// Sites in the lists of what is no part of live memory.
const APART: usize = 5;

/// What is said of pages.
const PAGES: &str = "Pages: mapped while calls of the allocator were not looked at, by the program or by its allocator; no part of live memory";

/// What is said of pools.
const POOLS: &str = "Pools: what Python's allocator has taken to cut into blocks of up to 512 bytes, by who asked when there was no room. A \
    sample of where its heap grows: the other blocks of a pool may be others' (memtrace census counts them by type), and objects from the \
    interpreter's free lists take no room; no part of live memory";

/// What there is of a class that is no part of live memory, the largest first.
fn apart(profile: &Profile, class: Class, said: &str, out: &mut dyn Write) -> io::Result<()> {
    let found = profile.sites.iter().filter(|site| site.op.class() == class);
    let mut found: Vec<_> = found.filter(|site| site.live.bytes > 0).collect();
    if found.is_empty() {
        return Ok(());
    }
    found.sort_by_key(|site| std::cmp::Reverse(site.live.bytes));
    say(said, out)?;
    for site in found.iter().take(APART.min(profile.settings.top)) {
        writeln!(out)?;
        let (live, taken) = (pieces(class, site.live.count), count(site.allocated.count));
        writeln!(
            out,
            "{:>14}  {}: {live} of {taken} taken",
            bytes(site.live.bytes),
            site.op.name()
        )?;
        for line in label::stack(profile, site, INDENT, FRAMES) {
            writeln!(out, "{line}")?;
        }
    }
    writeln!(out)
}

/// What is said of censuses.
const CENSUSES: &str = "Objects of Python of up to 512 bytes by type, at the beginning and at the end. Not told: where they were allocated, \
    what came and went between, what is larger, and objects that the interpreter keeps for the next use (free lists)";

/// What grew in the heaps of Python programs, where that was asked for.
fn censuses(profile: &Profile, out: &mut dyn Write) -> io::Result<()> {
    let options = census::Options {
        top: profile.settings.top,
        columns: COLUMNS,
    };
    for Growth { before, after } in &profile.censuses {
        say(CENSUSES, out)?;
        writeln!(out)?;
        census::write_diff(&Comparison::new(before, after), &options, out)?;
        writeln!(out)?;
    }
    Ok(())
}

/// So many of what is no part of live memory.
fn pieces(class: Class, count: u64) -> String {
    plural(count, if class == Class::Pools { "pool" } else { "mapping" })
}

/// One line of the table. The widths are those of the widest values: `1023.9 KiB`, `59 min 59 s`.
fn columns(cells: [&str; 7], out: &mut dyn Write) -> io::Result<()> {
    let [number, live, share, blocks, oldest, growth, call] = cells;
    writeln!(
        out,
        "{number:>3} {live:>10}  {share:>6}  {blocks:>10}  {oldest:>11}  {growth:>13}  {call}"
    )
}

fn row(profile: &Profile, number: usize, site: &Site, out: &mut dyn Write) -> io::Result<()> {
    let oldest = site.oldest.map_or_else(|| "-".to_owned(), duration);
    let growth = if site.history.len() < 2 {
        "-".to_owned()
    } else {
        rate(site.growth_bytes_per_second)
    };
    let (live, share) = (bytes(site.live.bytes), percent(profile.share(site.live.bytes)));
    let (number, blocks) = (number.to_string(), count(site.live.count));
    columns([&number, &live, &share, &blocks, &oldest, &growth, site.op.name()], out)?;
    if let Some(error) = profile.live_error(site, site.live).filter(|&error| error > 0) {
        writeln!(out, "{:INDENT$}± {}", "", bytes(error))?;
    }
    for line in label::group(profile, site, INDENT)
        .into_iter()
        .chain(label::stack(profile, site, INDENT, FRAMES))
    {
        writeln!(out, "{line}")?;
    }
    if let Some(suspicion) = site.suspicion.as_ref().filter(|suspicion| !suspicion.is_suppressed())
        && let Some(reason) = suspicion.reasons.first()
    {
        let why = format!("{}: {reason}", label::verdict(suspicion.verdict));
        for (line, mark) in wrap(&why, COLUMNS - INDENT - 2)
            .iter()
            .zip(["! ", "  "].into_iter().chain(std::iter::repeat("  ")))
        {
            writeln!(out, "{:INDENT$}{mark}{line}", "")?;
        }
    }
    Ok(())
}

/// One line on suspected leaks for each verdict, or why there are none.
pub(super) fn suspects(profile: &Profile, out: &mut dyn Write) -> io::Result<()> {
    if profile.suspects().next().is_none() {
        say(&nothing::suspected(profile), out)?;
        return suppressions::outcome(profile, out);
    }
    writeln!(out, "Suspected leaks")?;
    for (name, value) in verdicts(profile) {
        writeln!(out, "{}", fact(name, &value))?;
    }
    suppressions::outcome(profile, out)
}

/// The suspected sites by verdict, strongest first: its word, and how much of what.
pub(super) fn verdicts(profile: &Profile) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    for verdict in [Verdict::Leaked, Verdict::Growing, Verdict::StillLive] {
        let found: Vec<_> = profile
            .suspects()
            .filter(|(_, why)| why.verdict == verdict)
            .map(|(site, _)| profile.suspected(site))
            .collect();
        if !found.is_empty() {
            let sum = found.iter().fold((0_u64, 0_u64), |sum, one| {
                (sum.0.saturating_add(one.bytes), sum.1.saturating_add(one.count))
            });
            let text = format!(
                "{}: {} in {}{}",
                plural(found.len() as u64, "site"),
                bytes(sum.0),
                blocks(sum.1),
                meaning(profile, verdict)
            );
            facts.push((label::verdict(verdict), text));
        }
    }
    facts
}

/// What a verdict does and does not say.
fn meaning(profile: &Profile, verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Leaked if profile.is_of_many() => ", never freed before their process ended",
        Verdict::Leaked => ", never freed before the target exited",
        Verdict::Growing => ", old, and more of them all the time",
        Verdict::StillLive => ", old but not growing: may be a cache, or needed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{profile::fixture, render::tests::rendered};

    #[test]
    fn summaries() {
        for (name, profile) in fixture::all() {
            insta::assert_snapshot!(format!("summary_{name}"), rendered(|out| write(&profile, out)));
        }
    }

    #[test]
    fn rows_that_do_not_fit_the_table_are_summed_up() {
        let mut profile = fixture::normal();
        profile.settings.top = 1;
        let text = rendered(|out| write(&profile, out));
        assert!(text.contains("Top 1 of 5 sites with live bytes"), "{text}");
        assert!(text.contains("4.3 MiB   35.2%         154  in 4 more sites"), "{text}");
    }
}
