//! The table that is shown at each interval while the observation goes on: one line a site.

use std::io::{self, Write};

use crate::{
    profile::{Profile, Site},
    units::{blocks, bytes, count, duration, percent, rate},
};

use super::{js_heap, js_shortage, label, layout::truncate, processes};

/// Writes the table for a terminal of `columns`; no line is wider.
///
/// # Errors
///
/// Only those of `out`.
pub fn write(profile: &Profile, columns: usize, out: &mut dyn Write) -> io::Result<()> {
    let mut line = |text: &str| writeln!(out, "{}", truncate(text, columns));
    line(&status(profile))?;
    if profile.is_of_many() {
        line(&processes::counts(profile))?;
    }
    for status in js_heap::status(profile).into_iter().chain(js_shortage::status(profile)) {
        line(&status)?;
    }
    let accuracy = profile.health.accuracy();
    if !accuracy.exact {
        line(&accuracy.summary)?;
    }
    let mut sites = profile
        .memory_sites()
        .filter(|site| site.live.count > 0)
        .take(profile.settings.top)
        .peekable();
    if sites.peek().is_some() {
        line("      live   share     blocks        growth  site")?;
    }
    for site in sites {
        line(&row(profile, site))?;
    }
    Ok(())
}

/// `12 s  live 12.4 MiB in 10,210 blocks  +12.4 KiB/s  allocated 1.2 GiB`
fn status(profile: &Profile) -> String {
    let totals = &profile.totals;
    format!(
        "{}  live {} in {}  {}  allocated {}",
        duration(profile.observed),
        bytes(totals.live.bytes),
        blocks(totals.live.count),
        rate(profile.growth_bytes_per_second()),
        bytes(totals.allocated.bytes),
    )
}

/// One site: numbers, then its function and as many callers as the line has room for.
fn row(profile: &Profile, site: &Site) -> String {
    let growth = if site.history.len() < 2 {
        "-".to_owned()
    } else {
        rate(site.growth_bytes_per_second)
    };
    let frames: Vec<_> = profile.calling_stack(site).into_iter().map(label::function).collect();
    let stack = if frames.is_empty() {
        label::no_stack(profile, site).to_owned()
    } else {
        frames.join(" < ")
    };
    let group = profile
        .group(site)
        .map_or_else(String::new, |group| format!("[{}] ", label::command(group)));
    format!(
        "{:>10}  {:>6}  {:>9}  {growth:>12}  {group}{stack}",
        bytes(site.live.bytes),
        percent(profile.share(site.live.bytes)),
        count(site.live.count),
    )
}

#[cfg(test)]
mod tests {
    use unicode_width::UnicodeWidthStr as _;

    use super::*;
    use crate::{profile::fixture, render::tests::rendered};

    #[test]
    fn tables() {
        for (name, profile) in fixture::all() {
            insta::assert_snapshot!(format!("live_{name}"), rendered(|out| write(&profile, 100, out)));
        }
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        for (_, profile) in fixture::all() {
            for columns in 0..130 {
                let table = rendered(|out| write(&profile, columns, out));
                assert!(table.lines().all(|line| line.width() <= columns), "{columns}: {table}");
            }
        }
    }
}
