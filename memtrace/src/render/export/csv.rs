//! Comma-separated values after RFC 4180: a row per site, those of files and reserved address space too.
//!
//! A spreadsheet takes what begins with `=`, `+`, `-` or `@` for a formula, and names are the target's: such a name gets an
//! apostrophe in front.

use std::{
    borrow::Cow,
    io::{self, Write},
};

use ::csv::{Terminator, WriterBuilder};

use super::level::{Level, levels};
use crate::{
    profile::{Amount, Profile, Site},
    render::{Measure, escape, label},
};

/// A cell that is a number, or empty.
type Number = fn(&Profile, &Site) -> Option<u64>;

/// The columns that hold numbers, before the texts.
const NUMBERS: [(&str, Number); 16] = [
    ("live_bytes", |_, site| Some(site.live.bytes)),
    ("live_count", |_, site| Some(site.live.count)),
    ("allocated_bytes", |_, site| Some(site.allocated.bytes)),
    ("allocated_count", |_, site| Some(site.allocated.count)),
    ("aged_bytes", |_, site| Some(site.aged.bytes)),
    ("aged_count", |_, site| Some(site.aged.count)),
    ("temporary_bytes", |_, site| {
        site.spread.temporary.map(|amount| amount.bytes)
    }),
    ("temporary_count", |_, site| {
        site.spread.temporary.map(|amount| amount.count)
    }),
    ("at_exit_bytes", |_, site| Some(site.at_exit.bytes)),
    ("at_exit_count", |_, site| Some(site.at_exit.count)),
    ("unknown_bytes", |_, site| Some(site.unknown.bytes)),
    ("unknown_count", |_, site| Some(site.unknown.count)),
    ("suspected_bytes", |profile, site| {
        suspected(profile, site).map(|amount| amount.bytes)
    }),
    ("suspected_count", |profile, site| {
        suspected(profile, site).map(|amount| amount.count)
    }),
    ("live_error_bytes", |profile, site| profile.live_error(site, site.live)),
    ("allocated_error_bytes", |profile, site| {
        profile.error(site, site.allocated)
    }),
];

/// Columns before the numbers, and behind them.
const WORDS: [&str; 4] = ["op", "class", "group", "verdict"];
const PLACES: [&str; 8] = [
    "oldest_seconds",
    "growth_bytes_per_second",
    "leaf",
    "function",
    "module",
    "file",
    "line",
    "stack",
];

/// Writes all sites; a cell is empty where there is nothing to say.
pub(super) fn write(profile: &Profile, _: Measure, out: &mut dyn Write) -> io::Result<()> {
    let mut rows = WriterBuilder::new().terminator(Terminator::CRLF).from_writer(out);
    let names = WORDS.into_iter().chain(NUMBERS.map(|(name, _)| name)).chain(PLACES);
    rows.write_record(names)?;
    for site in &profile.sites {
        for word in words(profile, site) {
            rows.write_field(safe(&word).as_bytes())?;
        }
        for (_, number) in NUMBERS {
            let number = number(profile, site).map(|number| number.to_string());
            rows.write_field(number.unwrap_or_default())?;
        }
        let oldest = site.oldest.map(|age| age.as_secs_f64().to_string());
        rows.write_field(oldest.unwrap_or_default())?;
        // A number of ours, however it begins.
        rows.write_field(site.growth_bytes_per_second.to_string())?;
        for place in places(profile, site) {
            rows.write_field(safe(&place).as_bytes())?;
        }
        rows.write_record(None::<&[u8]>)?;
    }
    rows.flush()
}

/// What is suspected of a site, if it is.
fn suspected(profile: &Profile, site: &Site) -> Option<Amount> {
    site.suspicion.as_ref().map(|_| profile.suspected(site))
}

/// As [`WORDS`] names them.
fn words<'a>(profile: &'a Profile, site: &Site) -> [Cow<'a, str>; 4] {
    let group = site.group.and_then(|group| profile.groups.get(group));
    let verdict = site
        .suspicion
        .as_ref()
        .map(|suspicion| label::verdict(suspicion.verdict));
    [
        site.op.name().into(),
        site.op.class().name().into(),
        group.map(|group| escape::text(group)).unwrap_or_default(),
        verdict.unwrap_or_default().into(),
    ]
}

/// As [`PLACES`] names them, but for the numbers: the leaf, then the first frame above the allocator, then all, root first.
fn places(profile: &Profile, site: &Site) -> [String; 6] {
    let calling = profile.calling_stack(site);
    let caller = calling.first();
    let name = |level: Level<'_>| safe(&escape::folded(&level.shown(profile).name)).into_owned();
    let stack: Vec<String> = levels(profile, site).into_iter().map(name).collect();
    [
        profile.stack(site).next().map(label::function).unwrap_or_default(),
        caller.map(|frame| label::function(frame)).unwrap_or_default(),
        caller.map(|frame| label::module(frame)).unwrap_or_default(),
        caller.and_then(|frame| super::level::source(frame)).unwrap_or_default(),
        caller
            .and_then(|frame| frame.line)
            .map(|line| line.to_string())
            .unwrap_or_default(),
        stack.join(";"),
    ]
}

/// A text that no spreadsheet calculates, also where it takes `;` for the end of a cell.
fn safe(text: &str) -> Cow<'_, str> {
    let formula = |part: &str| {
        part.trim_start()
            .starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠'])
    };
    if !text.split(';').any(formula) {
        return Cow::Borrowed(text);
    }
    let parts: Vec<Cow<'_, str>> = text
        .split(';')
        .map(|part| {
            if formula(part) {
                format!("'{part}").into()
            } else {
                part.into()
            }
        })
        .collect();
    parts.join(";").into()
}
