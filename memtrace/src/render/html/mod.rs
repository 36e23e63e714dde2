//! `report.html`: one page with everything, that needs no network and no other file.
//!
//! What is of the target is in the page only as packed data, which no browser takes for markup. The page's own script reads it and
//! writes it as text and on canvases. A content security policy names the script and the style by their hashes, and forbids all else.

mod compare;
mod head;
mod history;
mod javascript;
mod pack;
mod places;
mod report;
mod rows;
#[cfg(test)]
mod support;
#[cfg(test)]
mod tests;
mod words;

use std::io::{self, Write};

use data_encoding::BASE64;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::profile::{Profile, diff::Comparison};

use super::Measure;

/// Version of what is packed; the script of the same file reads it, so it is only for people.
const DATA_VERSION: u32 = 1;

/// The page, with a mark where each part goes.
const PAGE: &str = include_str!("assets/page.html");

/// The style.
const STYLE: &str = concat!(
    include_str!("assets/base.css"),
    include_str!("assets/parts.css"),
    include_str!("assets/tables.css"),
);

/// The script: one module, so its parts see each other. `main.js` comes last and starts.
const SCRIPT: &str = concat!(
    include_str!("assets/format.js"),
    include_str!("assets/dom.js"),
    include_str!("assets/data.js"),
    include_str!("assets/stacks.js"),
    include_str!("assets/state.js"),
    include_str!("assets/values.js"),
    include_str!("assets/pairs.js"),
    include_str!("assets/tree.js"),
    include_str!("assets/search.js"),
    include_str!("assets/flame_layout.js"),
    include_str!("assets/flame_draw.js"),
    include_str!("assets/flame.js"),
    include_str!("assets/flame_input.js"),
    include_str!("assets/chart.js"),
    include_str!("assets/timeline.js"),
    include_str!("assets/table.js"),
    include_str!("assets/others.js"),
    include_str!("assets/sites.js"),
    include_str!("assets/functions.js"),
    include_str!("assets/leaks.js"),
    include_str!("assets/facts.js"),
    include_str!("assets/javascript.js"),
    include_str!("assets/controls.js"),
    include_str!("assets/tabs.js"),
    include_str!("assets/keys.js"),
    include_str!("assets/theme.js"),
    include_str!("assets/main.js"),
);

/// Writes the page of a profile. The flame graph shows `measure` first.
///
/// # Errors
///
/// Only those of `out`.
pub fn write(profile: &Profile, measure: Measure, out: &mut dyn Write) -> io::Result<()> {
    page(&report::document(profile, measure), out)
}

/// Writes the page of a comparison.
///
/// # Errors
///
/// Only those of `out`.
pub fn write_diff(comparison: &Comparison<'_>, measure: Measure, out: &mut dyn Write) -> io::Result<()> {
    page(&compare::document(comparison, measure), out)
}

/// Puts the parts into the page.
fn page(document: &impl Serialize, out: &mut dyn Write) -> io::Result<()> {
    let mut rest = PAGE;
    while let Some((before, after)) = rest.split_once("{{") {
        out.write_all(before.as_bytes())?;
        let (mark, after) = after.split_once("}}").unwrap_or((after, ""));
        match mark {
            "policy" => out.write_all(policy().as_bytes())?,
            "style" => out.write_all(STYLE.as_bytes())?,
            "script" => out.write_all(SCRIPT.as_bytes())?,
            "data" => pack::write(document, out)?,
            "version" => out.write_all(env!("CARGO_PKG_VERSION").as_bytes())?,
            _ => {}
        }
        rest = after;
    }
    out.write_all(rest.as_bytes())
}

/// What the browser may run and load: our script and our style, and nothing from anywhere.
fn policy() -> String {
    let hash = |text: &str| BASE64.encode(&Sha256::digest(text.as_bytes()));
    format!(
        "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; base-uri 'none'; form-action 'none'",
        hash(SCRIPT),
        hash(STYLE)
    )
}
