//! Flame graph: an SVG that a browser opens, drawn by inferno.
//!
//! Sizes in the tooltips are in readable units, which inferno does not offer: its titles are rewritten on the way out.

pub(super) mod colour;
pub mod diff;
pub mod javascript;

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use inferno::flamegraph::{
    self, Options, TextTruncateDirection,
    color::{BackgroundColor, PaletteMap},
};

use crate::{profile::Profile, units};

use self::colour::{BACKGROUND, palette};
use super::{Measure, folded, label, layout::truncate};

/// What is counted, as inferno writes it into every title; [`readable_titles`] looks for it.
const fn count_name(measure: Measure) -> &'static str {
    if measure.is_count() { "blocks" } else { "bytes" }
}

/// Writes the flame graph. A profile without bytes gives a picture that says so.
///
/// # Errors
///
/// Only those of `out`.
pub fn write(profile: &Profile, measure: Measure, out: &mut dyn Write) -> io::Result<()> {
    let folded = folded::fold(profile, measure);
    if folded.is_empty() {
        return empty(profile, measure, out);
    }
    let (title, subtitle) = (title(profile, measure), subtitle(profile));
    draw_folded(&folded, title, subtitle, palette(profile), measure, out)
}

/// Draws stacks by name, root first, of which there is one at least.
fn draw_folded(
    folded: &BTreeMap<Vec<String>, u64>,
    title: String,
    subtitle: String,
    mut palette: PaletteMap,
    measure: Measure,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut options = options_of(title, subtitle, measure);
    options.palette_map = Some(&mut palette);
    let shift = excess_bits(folded.values().map(|&bytes| u128::from(bytes)).sum());
    options.factor = 2_f64.powi(shift);
    let lines: Vec<String> = folded
        .iter()
        .rev()
        .map(|(stack, bytes)| format!("{} {}", stack.join(";"), bytes >> shift))
        .collect();
    draw(&mut options, &lines, measure, out)
}

/// What all pictures have in common.
fn options_of<'a>(title: String, subtitle: String, measure: Measure) -> Options<'a> {
    let mut options = Options::default();
    options.title = title;
    options.subtitle = Some(subtitle);
    options.bgcolors = Some(BackgroundColor::Flat(BACKGROUND));
    options.hash = true;
    count_name(measure).clone_into(&mut options.count_name);
    options.name_type = String::new();
    options.text_truncate_direction = TextTruncateDirection::Right;
    options.frame_height = 18;
    // Lines come in the order of their frames, which keeps equal frames together; inferno would sort by the
    // characters of the line, where a blank in a name parts them. Only its flame chart keeps the order, from
    // last to first.
    options.flame_chart = true;
    options
}

/// Draws folded stacks, which come from last to first.
fn draw(options: &mut Options<'_>, lines: &[String], measure: Measure, out: &mut dyn Write) -> io::Result<()> {
    let mut svg = Vec::new();
    flamegraph::from_lines(options, lines.iter().map(String::as_str), &mut svg)?;
    readable_titles(&String::from_utf8_lossy(&svg), measure, out)?;
    writeln!(out)
}

/// By how many bits to scale down so that the sum of all stacks fits inferno's `u64`: 0 but for sums of
/// allocated bytes that no real program reaches.
fn excess_bits(total: u128) -> i32 {
    // One bit of room, because every value is cut off on its own and rounded by the factor again.
    i32::try_from(65_u32.saturating_sub(total.leading_zeros())).unwrap_or(0)
}

fn title(profile: &Profile, measure: Measure) -> String {
    let total = measure.total(profile).map_or(0, |total| measure.of(total));
    format!("{}: {}", label::subject(profile), measure.named(total))
}

/// The verdict and what the colours mean.
fn subtitle(profile: &Profile) -> String {
    let verdict = format!(
        "{} observed, {}",
        units::duration(profile.observed),
        profile.health.accuracy().summary
    );
    format!(
        "{} | orange: program, grey: allocator, other: libraries",
        truncate(&verdict, VERDICT_COLUMNS)
    )
}

/// Columns of the subtitle that the verdict may take; with the rest it fits the 1200 pixels of the picture.
const VERDICT_COLUMNS: usize = 100;

/// Copies an SVG with `(1,234,567 bytes, 5.00%)` at the end of each title made `(1.2 MiB, 5.00%)`. Text in an
/// SVG is escaped, so no name can hold a tag and be taken for the end of a title.
fn readable_titles(svg: &str, measure: Measure, out: &mut dyn Write) -> io::Result<()> {
    let mut rest = svg;
    while let Some(end) = rest.find("</title>") {
        let (head, tail) = rest.split_at(end);
        match readable_title(head, measure) {
            Some((before, size, after)) => write!(out, "{before}({size}{after}")?,
            None => out.write_all(head.as_bytes())?,
        }
        out.write_all(b"</title>")?;
        rest = &tail["</title>".len()..];
    }
    out.write_all(rest.as_bytes())
}

/// What comes before the size of a title, the size, and what comes after it.
fn readable_title(title: &str, measure: Measure) -> Option<(&str, String, &str)> {
    let (before, details) = title.rsplit_once('(')?;
    let (number, after) = details.split_once(' ')?;
    let value: u64 = number.replace(',', "").parse().ok()?;
    let after = after.strip_prefix(count_name(measure))?;
    let unit = if measure.is_count() { " blocks" } else { "" };
    Some((before, format!("{}{unit}", measure.text(value)), after))
}

/// The picture of nothing; inferno's is an error message.
fn empty(profile: &Profile, measure: Measure, out: &mut dyn Write) -> io::Result<()> {
    let nothing = match (measure.unknown(profile), measure) {
        (Some(why), _) => format!("Nothing can be shown: {why}."),
        (None, Measure::Live | Measure::LiveBlocks) => "Nothing was live at the end of the observation.".to_owned(),
        (None, Measure::Allocated | Measure::Allocations) => "Nothing was allocated during the observation.".to_owned(),
        (None, Measure::Temporary | Measure::TemporaryBlocks) => {
            "Nothing was freed that was allocated during the observation.".to_owned()
        }
        (None, Measure::Peak | Measure::PeakBlocks) => "Nothing was live at any moment of the observation.".to_owned(),
    };
    picture_of(&title(profile, measure), &subtitle(profile), &nothing, out)
}

/// A picture with nothing but text.
fn picture_of(title: &str, subtitle: &str, nothing: &str, out: &mut dyn Write) -> io::Result<()> {
    let lines = [(36, 17, title), (60, 12, subtitle), (110, 14, nothing)];
    writeln!(out, r#"<?xml version="1.0" encoding="UTF-8"?>"#)?;
    writeln!(
        out,
        r#"<svg xmlns="http://www.w3.org/2000/svg" version="1.1" width="1200" height="150" viewBox="0 0 1200 150">"#
    )?;
    writeln!(
        out,
        r#"<rect width="1200" height="150" fill="rgb({},{},{})"/>"#,
        BACKGROUND.r, BACKGROUND.g, BACKGROUND.b
    )?;
    for (y, size, text) in lines {
        let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        writeln!(
            out,
            r#"<text x="600" y="{y}" text-anchor="middle" font-family="monospace" font-size="{size}">{text}</text>"#
        )?;
    }
    writeln!(out, "</svg>")
}

#[cfg(test)]
mod tests {
    use memtrace_common::op::Op;
    use proptest::prelude::*;

    use super::*;
    use crate::{
        profile::fixture::{self, SiteSpec, frame},
        render::tests::rendered,
    };

    /// A picture without inferno's script and style, one element a line.
    fn drawing(profile: &Profile, measure: Measure) -> String {
        let svg = rendered(|out| write(profile, measure, out));
        let (head, rest) = svg.split_once("<style").unwrap_or((&svg, ""));
        let body = rest.split_once("</script>").map_or("", |(_, body)| body);
        format!("{head}\n{body}").replace("><", ">\n<")
    }

    #[test]
    fn pictures() {
        for (name, profile) in fixture::all() {
            insta::assert_snapshot!(format!("flamegraph_{name}"), drawing(&profile, Measure::Live));
        }
    }

    #[test]
    fn markup_in_names_stays_text() {
        let svg = drawing(&fixture::hostile(), Measure::Live);
        assert!(svg.contains("&lt;script&gt;") && !svg.contains("<script"), "{svg}");
    }

    #[test]
    fn equal_frames_stay_together_whatever_the_names() {
        let site = |names: &[&str]| {
            SiteSpec::new(Op::Malloc)
                .stack(names.iter().rev().map(|name| frame(name, "m")))
                .live(10, 1)
        };
        let profile = fixture::profile([site(&["a"]), site(&["a b", "c"]), site(&["a", "d"])]);
        let svg = drawing(&profile, Measure::Live);
        assert!(svg.contains("<title>a (20 B, 66.67%)</title>"), "{svg}");
    }

    #[test]
    fn sums_beyond_64_bits_are_drawn() {
        let site = |name| {
            SiteSpec::new(Op::Malloc)
                .stack([frame(name, "m")])
                .allocated(u64::MAX, 1)
        };
        let profile = fixture::profile([site("a"), site("b"), site("c")]);
        let svg = drawing(&profile, Measure::Allocated);
        assert!(svg.contains("<title>b (16.0 EiB, 33.33%)</title>"), "{svg}");
    }

    proptest! {
        #[test]
        fn any_names_are_drawn_and_nothing_is_left_out(
            stacks in prop::collection::vec((prop::collection::vec("([a-c #;_0-9.]|\\PC){0,4}", 0..4), 1..1000_u64), 1..8),
        ) {
            let total = stacks.iter().map(|(_, bytes)| bytes).sum::<u64>();
            let sites = stacks.iter().map(|(names, bytes)| {
                SiteSpec::new(Op::Malloc).stack(names.iter().map(|name| frame(name, "m"))).live(*bytes, 1)
            });
            let svg = rendered(|out| write(&fixture::profile(sites), Measure::Live, out));
            let all = format!("<title>all ({}, 100%)</title>", units::bytes(total));
            prop_assert!(svg.contains(&all));
        }
    }
}
