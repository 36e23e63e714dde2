//! The first part of every text: what was observed.

use std::io::{self, Write};

use crate::{
    profile::Profile,
    units::{duration, plural},
};

use super::{
    escape, js_shortage,
    label::{self, fact, fitting_fact},
    layout::{COLUMNS, elide, wrap},
    processes,
};

/// Writes what was observed; `title` comes before the target.
pub(super) fn write(profile: &Profile, title: &str, out: &mut dyn Write) -> io::Result<()> {
    for line in wrap(&format!("{title}{}", subject(profile)), COLUMNS) {
        writeln!(out, "{}", elide(&line, COLUMNS))?;
    }
    writeln!(out)?;
    js_shortage::write(profile, out)?;
    if !profile.filter.is_empty() {
        let clauses: Vec<_> = profile.filter.iter().map(|clause| escape::text(clause)).collect();
        writeln!(out, "{}", fitting_fact("only sites", &clauses.join(", ")))?;
    }
    for (name, value) in program(profile, path) {
        writeln!(out, "{}", fact(name, &value))?;
    }
    Ok(())
}

/// The program and its allocators, where there is one process: name and value of each line. `path` makes a path fit.
pub(super) fn program(profile: &Profile, path: impl Fn(&str) -> String) -> Vec<(&'static str, String)> {
    let target = &profile.target;
    if profile.is_of_many() {
        // Executables and allocators are those of each process: in the part on health.
        return Vec::new();
    }
    let mut facts = vec![("executable", path(&target.executable))];
    if target.allocators.is_empty() {
        facts.push(("allocator", "none was found: only mappings were seen".to_owned()));
    }
    facts.extend(target.allocators.iter().map(|allocator| {
        let (name, hooks) = (
            escape::text(&allocator.name),
            plural(allocator.hooks.len() as u64, "hook"),
        );
        ("allocator", format!("{name}, {hooks} in {}", path(&allocator.path)))
    }));
    facts
}

/// What was observed, for how long, and why that ended.
pub(super) fn subject(profile: &Profile) -> String {
    let (observed, end) = (duration(profile.observed), label::end(profile));
    let mut what = label::subject(profile);
    if profile.is_of_many() {
        what = format!("{what}: {}", processes::counts(profile));
    }
    format!("{what}, {observed} observed, {end}")
}

/// The same in a few lines, for what shows one thing: what was observed, which sites are left, and how far it can be trusted.
pub(super) fn short(profile: &Profile, title: &str, columns: usize, out: &mut dyn Write) -> io::Result<()> {
    let observed = duration(profile.observed);
    let mut lines = vec![format!("{title}{}, {observed} observed", label::subject(profile))];
    if !profile.filter.is_empty() {
        let clauses: Vec<_> = profile.filter.iter().map(|clause| escape::text(clause)).collect();
        lines.push(format!("only sites {}", clauses.join(", ")));
    }
    lines.push(profile.health.accuracy().summary);
    for line in lines.iter().flat_map(|line| wrap(line, columns)) {
        writeln!(out, "{}", elide(&line, columns))?;
    }
    writeln!(out)
}

/// A path in the column of values.
fn path(path: &str) -> String {
    elide(&escape::text(path), COLUMNS - label::FACT_INDENT)
}
