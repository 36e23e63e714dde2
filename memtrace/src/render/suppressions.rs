//! What was not told as a leak because somebody asked for that, and whether the rest may pass.

use std::io::{self, Write};

use crate::{
    profile::{Profile, suppress::Pattern},
    units::{bytes, plural},
};

use super::{
    escape,
    label::fact,
    layout::{COLUMNS, elide, wrap},
};

/// Columns before a pattern.
const INDENT: usize = 2;

/// Two lines at most: what is suppressed, and what came of the check.
pub(super) fn outcome(profile: &Profile, out: &mut dyn Write) -> io::Result<()> {
    for (name, value) in outcomes(profile) {
        writeln!(out, "{}", fact(name, &value))?;
    }
    Ok(())
}

/// Name and value of these lines.
pub(super) fn outcomes(profile: &Profile) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    let suppressed = profile.suppressed();
    if suppressed.sites > 0 {
        let text = format!(
            "{}: {}; the leak report names the patterns",
            plural(suppressed.sites, "site"),
            bytes(suppressed.amount.bytes)
        );
        facts.push(("suppressed", text));
    }
    if let Some(check) = profile.check() {
        let verb = if check.failed { "failed" } else { "passed" };
        let mut text = format!(
            "{verb}: {} in {} leaked or growing, {} may be",
            bytes(check.found),
            plural(check.sites, "site"),
            bytes(check.limit)
        );
        // A check that passes because something was not seen must not look like one that saw all.
        let accuracy = profile.health.accuracy();
        if !accuracy.exact {
            text = format!("{text}; {}", accuracy.summary);
        }
        facts.push(("check", text));
    }
    facts
}

/// Every pattern that did something, and the user's that did nothing.
pub(super) fn foot(profile: &Profile, out: &mut dyn Write) -> io::Result<()> {
    let found = profile.suppressed();
    let mut parts = Vec::new();
    if found.sites > 0 {
        parts.push(format!(
            "{} with {} suppressed by {}",
            plural(found.sites, "site"),
            bytes(found.amount.bytes),
            plural(found.by_pattern.len() as u64, "pattern")
        ));
    }
    if !found.unused.is_empty() {
        parts.push(format!(
            "{} matched nothing",
            plural(found.unused.len() as u64, "pattern")
        ));
    }
    if parts.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    for line in wrap(&format!("Suppressions: {}", parts.join("; ")), COLUMNS) {
        writeln!(out, "{line}")?;
    }
    for (pattern, sites, amount) in &found.by_pattern {
        let what = format!("{} in {}", bytes(amount.bytes), plural(*sites, "site"));
        writeln!(out, "{}", row(&what, pattern))?;
    }
    for pattern in &found.unused {
        writeln!(out, "{}", row("nothing", pattern))?;
    }
    Ok(())
}

/// `  1.2 MiB in 3 sites      leak_cache (known.supp:4)`
fn row(what: &str, pattern: &Pattern) -> String {
    let place = pattern.place.as_deref().unwrap_or("memtrace's own");
    let text = format!(
        "{:INDENT$}{what:<24}  {} ({})",
        "",
        escape::text(&pattern.text),
        escape::text(place)
    );
    elide(&text, COLUMNS).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use memtrace_common::op::Op;

    use super::*;
    use crate::{
        profile::{
            End,
            fixture::{self, SiteSpec, frame},
            suppress::Suppressions,
        },
        render::{leaks, tests::rendered, text},
    };

    fn profile() -> Profile {
        let site =
            |name: &str, module: &str, size| SiteSpec::new(Op::Malloc).stack([frame(name, module)]).live(size, 1);
        let mut profile = fixture::profile([
            site("cache_fill", "app", 1_258_291),
            site("_IO_file_doallocate", "libc.so.6", 1024),
            site("leak", "app", 4096),
        ]);
        profile.settings.suppressions = Suppressions::of_the_runtime();
        let text = "leak:^cache_*\nleak:no_such_function\u{1b}[31m";
        profile.settings.suppressions.add("ci/known.supp", text).unwrap();
        profile.settings.fail_over = Some(1024);
        profile.target.end = Some(End::Exited(Some("exit status: 0".into())));
        profile.finished()
    }

    #[test]
    fn reports_say_what_is_suppressed_and_what_was_checked() {
        let profile = profile();
        insta::assert_snapshot!("suppressed_leaks", rendered(|out| leaks::write(&profile, out)));
        insta::assert_snapshot!("suppressed_summary", rendered(|out| text::write(&profile, out)));
        for line in rendered(|out| leaks::write(&profile, out)).lines() {
            assert!(
                unicode_width::UnicodeWidthStr::width(line) <= COLUMNS && !line.contains(escape::is_unsafe),
                "{line}"
            );
        }
    }

    #[test]
    fn a_check_of_numbers_that_are_not_exact_says_so() {
        let mut profile = profile();
        profile.health.unhooked_processes = 1;
        let text = rendered(|out| text::write(&profile, out)).replace("\n               ", " ");
        assert!(
            text.contains("may be; incomplete: 1 process not fully hooked"),
            "{text}"
        );
    }

    #[test]
    fn nothing_is_left_when_all_is_suppressed() {
        let mut profile = profile();
        profile.settings.suppressions.add("all", "leak:*").unwrap();
        let profile = profile.finished();
        let text = rendered(|out| text::write(&profile, out));
        assert!(
            text.contains("No suspected leaks: no site that is not suppressed had"),
            "{text}"
        );
        assert!(text.contains("3 sites: 1.2 MiB"), "{text}");
        assert!(text.contains("passed: 0 B in 0 sites"), "{text}");
    }
}
