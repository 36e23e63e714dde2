//! The leak report: every suspected site, why, and where.

use std::io::{self, Write};

use crate::{
    profile::{Profile, Site, Suspicion, Verdict, leak::evidence::Evidence},
    units::{bytes, duration, percent, plural},
};

use super::{
    header, health, label,
    layout::{COLUMNS, wrap},
    suppressions, text,
};

/// Frames of a site.
const FRAMES: usize = 16;
/// Columns before evidence and stack.
const INDENT: usize = 6;

/// Writes the report.
///
/// # Errors
///
/// Only those of `out`.
pub fn write(profile: &Profile, out: &mut dyn Write) -> io::Result<()> {
    header::write(profile, "Leak report: ", out)?;
    if !profile.is_of_many() {
        // What the header says of one process ends with a list.
        writeln!(out)?;
    }
    text::suspects(profile, out)?;
    let mut number = 0;
    for verdict in [Verdict::Leaked, Verdict::Growing, Verdict::StillLive] {
        let found: Vec<_> = profile
            .suspects()
            .filter(|(_, suspicion)| suspicion.verdict == verdict)
            .collect();
        if found.is_empty() {
            continue;
        }
        writeln!(out)?;
        writeln!(
            out,
            "{} ({})",
            label::verdict(verdict).to_uppercase(),
            plural(found.len() as u64, "site")
        )?;
        for (site, suspicion) in found {
            number += 1;
            writeln!(out)?;
            entry(profile, number, site, suspicion, out)?;
        }
    }
    writeln!(out)?;
    for line in wrap(&rule(profile), COLUMNS) {
        writeln!(out, "{line}")?;
    }
    suppressions::foot(profile, out)?;
    writeln!(out)?;
    health::write(profile, out)
}

fn entry(profile: &Profile, number: usize, site: &Site, suspicion: &Suspicion, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{number:>3}.  {}", headline(profile, site))?;
    if let Some(group) = label::group(profile, site, INDENT) {
        writeln!(out, "{group}")?;
    }
    for line in wrap(&score(suspicion), COLUMNS - INDENT) {
        writeln!(out, "{:INDENT$}{line}", "")?;
    }
    for reason in &suspicion.reasons {
        for (mark, line) in ["- "]
            .into_iter()
            .chain(std::iter::repeat("  "))
            .zip(wrap(reason, COLUMNS - INDENT - 2))
        {
            writeln!(out, "{:INDENT$}{mark}{line}", "")?;
        }
    }
    for line in label::stack(profile, site, INDENT, FRAMES) {
        writeln!(out, "{line}")?;
    }
    Ok(())
}

/// How much of a site is suspected, by which call, and what part of the whole that is.
pub(super) fn headline(profile: &Profile, site: &Site) -> String {
    let suspected = profile.suspected(site);
    let amount = label::amount(suspected);
    // What ended processes left is no part of live memory.
    let of = if profile.is_left_behind(site) {
        "left by processes that ended".to_owned()
    } else {
        format!("{} of live memory", percent(profile.share(suspected.bytes)))
    };
    let error = label::error(profile.live_error(site, suspected).filter(|&error| error > 0));
    format!("{amount}{error} by {}, {of}", site.op.name())
}

/// "score 96 of 100: growth 100%, survival 100%, late 67%, size 90%, confidence 100%"
pub(super) fn score(suspicion: &Suspicion) -> String {
    let Evidence {
        growth,
        survival,
        lateness,
        size,
        confidence,
        ..
    } = suspicion.evidence;
    let whole = |part: f64| format!("{:.0}%", part * 100.0);
    format!(
        "score {} of 100: growth {}, survival {}, late {}, size {}, confidence {}",
        suspicion.score,
        whole(growth),
        whole(survival),
        whole(lateness),
        whole(size),
        whole(confidence)
    )
}

/// What had to hold for a row to be here.
pub(super) fn rule(profile: &Profile) -> String {
    let mut rule = if profile.exited() {
        format!(
            "Rule: a block is suspected when it was still live as the {} exited",
            label::targets(profile)
        )
    } else {
        let age = duration(profile.settings.min_age);
        let or_left = if profile.is_of_many() {
            ", or when it was still live as its process ended"
        } else {
            ""
        };
        format!(
            "Rule: a live block is suspected from an age of {age}, or when its site grows by replacing blocks by larger ones{or_left}"
        )
    };
    if profile.settings.min_size > 0 {
        rule = format!(
            "{rule}, and a site when its suspected blocks are at least {}",
            bytes(profile.settings.min_size)
        );
    }
    format!("{rule}. Mapped files and reserved address space never are.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{profile::fixture, render::tests::rendered};

    #[test]
    fn reports() {
        for (name, profile) in fixture::all() {
            insta::assert_snapshot!(format!("leaks_{name}"), rendered(|out| write(&profile, out)));
        }
    }

    #[test]
    fn a_report_without_suspects_says_why() {
        let mut profile = fixture::profile([]);
        let report = |profile: &Profile| rendered(|out| write(profile, out)).replace('\n', " ");
        assert!(report(&profile).contains("no site has blocks that are at least 10 s old"));
        profile.settings.min_size = 4096;
        assert!(report(&profile).contains("no site with at least 4.0 KiB has blocks"));
        profile.observed = std::time::Duration::from_secs(4);
        assert!(report(&profile).contains("Leaks cannot be told yet: the target was observed for 4 s"));
        profile.target.end = Some(crate::profile::End::Exited(None));
        assert!(report(&profile).contains("had live blocks when the target exited"));
    }
}
