//! The processes of an observation of several: a table in the summary, and what is hooked in them.

use std::{
    fmt::Write as _,
    io::{self, Write},
};

use crate::{
    profile::{Allocator, Amount, Process, Profile, SameHooks},
    units::{bytes, count, duration, plural, processes},
};

use super::{
    escape, label,
    layout::{COLUMNS, elide, wrap},
};

/// Columns of a row's numbers with the blanks after them.
const NUMBERS: usize = 48;
/// Columns before what is said of a process below its row.
const INDENT: usize = 4;
/// Columns that a name in the midst of a sentence may take.
const NAME_COLUMNS: usize = 36;
/// What is said of the table behind a filter.
pub(super) const OF_ALL_SITES: &str = "Sums of a process are of all its sites, also of those that are not chosen.";
/// Names of programs in a list of processes that have the same hooks.
const NAMED: usize = 3;
/// Such lists.
const LISTS: usize = 6;

/// `12 processes, 9 living and 3 ended`.
pub(crate) fn counts(profile: &Profile) -> String {
    let (all, living) = (profile.process_count(), profile.living());
    let seen = processes(all);
    match (living, all.saturating_sub(living)) {
        (0, _) => format!("{seen}, all ended"),
        (_, 0) => format!("{seen}, all living"),
        (living, ended) => format!("{seen}, {} living and {} ended", count(living), count(ended)),
    }
}

/// Whether processes are shown with their container: one that all are in is in the first line of the report, or of no interest.
pub(super) fn have_containers(profile: &Profile) -> bool {
    !profile
        .processes
        .windows(2)
        .all(|pair| pair[0].container == pair[1].container)
}

/// What is said of processes that are not in the list, where there are some.
pub(super) fn dropped(profile: &Profile) -> Option<String> {
    let number = Some(profile.processes_dropped).filter(|&number| number > 0)?;
    Some(format!("{} that ended: not listed, no room", processes(number)))
}

/// Blocks from before a fork, in words.
pub(super) fn inherited(process: &Process) -> String {
    match (process.inherited_unknown, process.inherited.count) {
        (true, _) => "unknown".to_owned(),
        (false, 0) => "-".to_owned(),
        (false, _) => bytes(process.inherited.bytes),
    }
}

/// Writes the table: the processes with most live bytes, the others summed up.
pub(super) fn write(profile: &Profile, out: &mut dyn Write) -> io::Result<()> {
    let all = &profile.processes;
    let shown = all.len().min(profile.settings.top);
    if shown < all.len() {
        writeln!(out, "Top {shown} of {}", processes(all.len() as u64))?;
    } else {
        writeln!(out, "{}", processes(all.len() as u64))?;
    }
    writeln!(out)?;
    columns(["live", "allocated", "peak", "inherited"], "process", out)?;
    let (first, rest) = all.split_at(shown);
    let with_container = have_containers(profile);
    for process in first {
        row(process, with_container, out)?;
    }
    if !rest.is_empty() {
        let sum = |amount: fn(&Process) -> Amount| {
            bytes(
                rest.iter()
                    .fold(0_u64, |sum, one| sum.saturating_add(amount(one).bytes)),
            )
        };
        let (live, allocated) = (sum(|one| one.live), sum(|one| one.allocated));
        let more = format!("in {}", plural_more(rest.len(), "process", "processes"));
        // Peaks were at different moments, and what is inherited may be the same blocks.
        columns([&live, &allocated, "-", "-"], &more, out)?;
    }
    if let Some(dropped) = dropped(profile) {
        writeln!(out, "{:INDENT$}{dropped}", "")?;
    }
    Ok(())
}

fn columns(numbers: [&str; 4], process: &str, out: &mut dyn Write) -> io::Result<()> {
    let [live, allocated, peak, inherited] = numbers;
    writeln!(
        out,
        "{live:>10}  {allocated:>10}  {peak:>10}  {inherited:>10}  {process}"
    )
}

fn row(process: &Process, with_container: bool, out: &mut dyn Write) -> io::Result<()> {
    let inherited = inherited(process);
    let (live, allocated) = (bytes(process.live.bytes), bytes(process.allocated.bytes));
    columns(
        [&live, &allocated, &bytes(process.peak_live_bytes), &inherited],
        &label::process(&process.command, process.pid, COLUMNS - NUMBERS),
        out,
    )?;
    for line in wrap(&details(process, with_container), COLUMNS - INDENT) {
        if !line.is_empty() {
            writeln!(out, "{:INDENT$}{}", "", elide(&line, COLUMNS - INDENT))?;
        }
    }
    Ok(())
}

/// What is not in the row's numbers: nothing for a process that was there before and still is.
pub(super) fn details(process: &Process, with_container: bool) -> String {
    let mut clauses = Vec::new();
    if let Some(container) = process.container.as_deref().filter(|_| with_container) {
        clauses.push(format!("in {}", elide(&escape::text(container), NAME_COLUMNS)));
    }
    let parent = process.parent.map(|parent| format!("forked by {parent}"));
    match (process.began.map(duration), parent) {
        (Some(began), Some(parent)) => clauses.push(format!("{parent} at {began}")),
        (Some(began), None) => clauses.push(format!("began at {began}")),
        (None, Some(parent)) => clauses.push(parent),
        (None, None) => {}
    }
    if let Some(late) = process.late {
        clauses.push(format!("joined late: its first {} were not seen", duration(late)));
    }
    if let Some(ended) = process.ended {
        let mut clause = format!("ended at {}", duration(ended));
        if process.at_exit.count > 0 {
            let _infallible = write!(clause, " with {} live", label::amount(process.at_exit));
        }
        clauses.push(clause);
    }
    if process.not_kept > 0 {
        clauses.push(format!("{} without room", plural(process.not_kept, "allocation")));
    }
    clauses.join("; ")
}

/// What is hooked in the processes and what is not: name of the fact and its value, a line each.
pub(super) fn hooks(profile: &Profile) -> Vec<(&'static str, String)> {
    let all = profile.by_hooks();
    let mut facts = Vec::new();
    let (first, rest) = all.split_at(all.len().min(LISTS));
    for same in first {
        facts.push(("hooked", format!("{}: {}", who(same), hooked(same.allocators))));
    }
    if !rest.is_empty() {
        let number: usize = rest.iter().map(|same| same.processes.len()).sum();
        let more = plural_more(number, "process", "processes");
        facts.push(("hooked", format!("{more} in other ways")));
    }
    let unhooked = all
        .iter()
        .flat_map(|same| same.unhooked.iter().map(move |reason| (same, reason)));
    for (same, reason) in unhooked.clone().take(LISTS) {
        facts.push(("not hooked", format!("{}: {}", who(same), escape::text(reason))));
    }
    let more = unhooked.count().saturating_sub(LISTS);
    if more > 0 {
        let more = plural_more(more, "reason", "reasons");
        facts.push(("not hooked", format!("{more} in profile.json")));
    }
    facts
}

/// `1 more process`, `12 more processes`.
fn plural_more(number: usize, one: &str, many: &str) -> String {
    format!("{} more {}", count(number as u64), if number == 1 { one } else { many })
}

/// `nginx (pid 812)`, or `12 processes (nginx, php-fpm)`.
fn who(same: &SameHooks<'_>) -> String {
    if let [process] = same.processes[..] {
        return label::process(&process.command, process.pid, NAME_COLUMNS);
    }
    let mut names: Vec<&str> = Vec::new();
    for process in &same.processes {
        if !names.contains(&&*process.command) {
            names.push(&process.command);
        }
    }
    let named: Vec<_> = names
        .iter()
        .take(NAMED)
        .map(|name| elide(&label::command(name), NAME_COLUMNS))
        .collect();
    let more = match names.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!(
        "{} ({}{more})",
        processes(same.processes.len() as u64),
        named.join(", ")
    )
}

/// `glibc, 4 hooks in libc.so.6`.
fn hooked(allocators: &[Allocator]) -> String {
    if allocators.is_empty() {
        return "no allocator, only mappings were seen".to_owned();
    }
    let one = |allocator: &Allocator| {
        let file = allocator.path.rsplit('/').next().unwrap_or_default();
        format!(
            "{}, {} in {}",
            elide(&escape::text(&allocator.name), NAME_COLUMNS),
            plural(allocator.hooks.len() as u64, "hook"),
            elide(&escape::text(file), NAME_COLUMNS)
        )
    };
    allocators.iter().map(one).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use unicode_width::UnicodeWidthStr as _;

    use super::*;
    use crate::{
        profile::fixture,
        render::{leaks, tests::rendered, text},
    };

    #[test]
    fn processes_are_counted_by_state() {
        let mut profile = fixture::many();
        assert_eq!(counts(&profile), "10 processes, 5 living and 5 ended");
        profile.processes.retain(|process| process.ended.is_none());
        (profile.processes_dropped, profile.health.process_count) = (0, 0);
        assert_eq!(counts(&profile), "5 processes, all living");
        profile.processes.clear();
        profile.processes_dropped = 1;
        assert_eq!(counts(&profile), "1 process, all ended");
    }

    #[test]
    fn hooks_of_many_kinds_are_summed_up() {
        let mut profile = fixture::many();
        let one = profile.processes[0].clone();
        profile.processes = (0..20)
            .map(|pid| Process {
                pid,
                unhooked: vec![format!("reason {pid}")],
                ..one.clone()
            })
            .collect();
        let facts = hooks(&profile);
        assert_eq!(facts.len(), 2 * LISTS + 2);
        assert_eq!(facts[LISTS].1, "14 more processes in other ways");
        assert_eq!(facts[2 * LISTS + 1].1, "14 more reasons in profile.json");
    }

    #[test]
    fn rows_that_do_not_fit_are_summed_up() {
        let mut profile = fixture::many();
        profile.settings.top = 1;
        let text = rendered(|out| write(&profile, out));
        assert!(text.starts_with("Top 1 of 7 processes\n"), "{text}");
        assert!(text.contains("in 6 more processes"), "{text}");
    }
    proptest! {
        #[test]
        fn any_names_are_harmless_and_fit(names in prop::collection::vec("(\\PC|[\u{1b}\n\u{202e} 0-9]|long-){0,40}", 8), many: bool) {
            let mut profile = fixture::many();
            profile.processes.truncate(if many { 3 } else { 1 });
            for (number, process) in (0..).zip(&mut profile.processes) {
                process.pid = number;
                process.command.clone_from(&names[0]);
                process.container = (number == 0).then(|| names[1].clone());
                process.unhooked = vec![names[2].clone()];
                process.allocators = vec![Allocator { name: names[3].clone(), path: names[4].clone(), hooks: Vec::new() }];
            }
            profile.target.selection.clone_from(&names[5]);
            profile.groups = names[6..].to_vec();
            for text in [rendered(|out| text::write(&profile, out)), rendered(|out| leaks::write(&profile, out))] {
                for line in text.lines() {
                    prop_assert!(line.width() <= COLUMNS, "{line}");
                    prop_assert!(!line.contains(escape::is_unsafe), "{line}");
                }
            }
        }
    }
}
