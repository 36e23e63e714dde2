//! The first lines: what is observed, its sums, and how far they can be trusted.

use ratatui_core::{buffer::Buffer, layout::Rect, style::Style, text::Span};
use unicode_width::UnicodeWidthStr as _;

use super::{Palette, cells::signed, put};
use crate::{
    profile::Profile,
    render::{
        js_shortage, label,
        layout::{elide, truncate},
        processes,
    },
    tui::{player::Player, state::State, table::Table},
    units::{bytes, duration, plural, rate},
};

/// Fewest columns of the target's name.
const SUBJECT: usize = 16;

pub(super) fn draw(state: &State, palette: Palette, area: Rect, out: &mut Buffer) {
    let mut lines = area.rows();
    let columns = usize::from(area.width);
    let mut next = |spans: Vec<Span<'_>>, out: &mut Buffer| {
        if let Some(line) = lines.next() {
            put(out, line, spans);
        }
    };
    let (status, warns) = status(state);
    let status = truncate(&status, columns.saturating_sub(SUBJECT + 2));
    let subject = state
        .shown
        .as_deref()
        .map_or_else(|| "memtrace".to_owned(), label::subject);
    let subject = elide(&subject, columns.saturating_sub(status.width() + 2));
    let gap = columns.saturating_sub(subject.width() + status.width());
    let style = if warns { palette.warning() } else { Style::new() };
    let spans = vec![
        Span::styled(subject, Palette::strong()),
        Span::raw(" ".repeat(gap)),
        Span::styled(status, style),
    ];
    next(spans, out);
    let Some(profile) = state.shown.as_deref() else {
        return;
    };
    let (mut now, more) = (sums(state, profile), more(profile));
    if area.height < 4 {
        now.extend(more);
        next(vec![Span::raw(fitting(&now, columns))], out);
    } else {
        next(vec![Span::raw(fitting(&now, columns))], out);
        next(vec![Span::raw(fitting(&more, columns))], out);
    }
    let accuracy = profile.health.accuracy();
    // A sample without losses is as good as it can be, and its error bars are there.
    let lossless = accuracy.exact || !accuracy.summary.starts_with("incomplete");
    // That it is the end of a program must not be overlooked.
    let short = js_shortage::status(profile).map(|short| format!("{short}; "));
    let health = if lossless && short.is_none() {
        Span::raw(truncate(&accuracy.summary, columns))
    } else {
        let said = format!("! {}{}", short.unwrap_or_default(), accuracy.summary);
        Span::styled(truncate(&said, columns), palette.warning())
    };
    next(vec![health], out);
}

/// What goes on, and whether it must not be overlooked.
fn status(state: &State) -> (String, bool) {
    if let Some(player) = &state.player {
        return (playing(player), false);
    }
    let Some(shown) = state.shown.as_deref() else {
        return ("waiting for the first numbers".into(), false);
    };
    let observed = duration(shown.observed);
    if state.paused {
        let newest = state.latest.as_deref().unwrap_or(shown);
        let since = duration(newest.observed.saturating_sub(shown.observed));
        let goes_on = if state.ended { "ended" } else { "it goes on" };
        return (format!("PAUSED at {observed}, {since} ago; {goes_on}"), true);
    }
    if state.ended {
        return (format!("{observed}, {}", label::end(shown)), true);
    }
    (observed, false)
}

/// `12 s of 60 s, moment 13 of 61, x4`: those of the numbers below, whatever is read meanwhile.
fn playing(player: &Player) -> String {
    let reading = || format!("reading moment {}", player.at() + 1);
    let Some((number, time)) = player.shown() else {
        return format!("{} of {}", reading(), player.count());
    };
    let what = match (player.is_waiting(), player.is_playing()) {
        (true, _) => reading() + ", ",
        (_, true) => "playing, ".into(),
        _ => String::new(),
    };
    format!(
        "{what}{} of {}, moment {} of {}, {}",
        duration(time),
        duration(player.length()),
        number + 1,
        player.count(),
        player.speed()
    )
}

/// What is live and how it changes.
fn sums(state: &State, profile: &Profile) -> Vec<String> {
    let totals = &profile.totals;
    let error = label::error(profile.total_error(|site| profile.live_error(site, site.live)));
    let mut all = vec![format!("live {}{error}", label::amount(totals.live))];
    if let Some(baseline) = &state.baseline {
        let change = totals.live.bytes as f64 - baseline.live_bytes() as f64;
        all.push(format!(
            "{} since the baseline at {}",
            signed(change),
            duration(baseline.at())
        ));
    } else {
        all.push(rate(profile.growth_bytes_per_second()));
    }
    all
}

/// The other sums.
fn more(profile: &Profile) -> Vec<String> {
    let mut all = Vec::new();
    if let Some(per_second) = profile.allocated_bytes_per_second() {
        // It cannot be less than nothing.
        all.push(format!("allocates {}", rate(per_second).trim_start_matches('+')));
    }
    all.push(format!("peak {}", bytes(profile.totals.peak_live_bytes)));
    if let Some(last) = profile.resident.as_ref().and_then(|resident| resident.last()) {
        all.push(format!("resident {}", bytes(last.rss)));
    }
    if profile.is_of_many() {
        all.push(processes::counts(profile));
    }
    all
}

/// As many of them as there is room for.
fn fitting(parts: &[String], columns: usize) -> String {
    let mut line = String::new();
    for part in parts {
        if line.is_empty() {
            line = truncate(part, columns);
        } else if line.width() + 2 + part.width() <= columns {
            line = format!("{line}  {part}");
        } else {
            break;
        }
    }
    line
}

/// The names of the tables, and what the filter keeps.
pub(super) fn tables(state: &State, palette: Palette, area: Rect, out: &mut Buffer) {
    let filter = filter(state);
    let columns = usize::from(area.width);
    let names: usize = Table::ALL.iter().map(|table| table.name().len() + 1).sum();
    // What is not there can be found by Tab, what the numbers are of cannot.
    let only = !filter.is_empty() && names + 1 + filter.width() > columns;
    let mut spans = Vec::new();
    let mut used = 0;
    for table in Table::ALL {
        let chosen = table == state.table;
        if only && !chosen {
            continue;
        }
        let style = if chosen { Palette::chosen() } else { Palette::faint() };
        spans.extend([Span::styled(table.name(), style), Span::raw(" ")]);
        used += table.name().len() + 1;
    }
    if !filter.is_empty() {
        let text = truncate(&filter, columns.saturating_sub(used + 1));
        spans.push(Span::raw(" ".repeat(columns.saturating_sub(used + text.width()))));
        spans.push(Span::styled(text, palette.warning()));
    }
    put(out, area, spans);
}

/// `/json/: 3.2 MiB in 10 blocks, 2 sites`
fn filter(state: &State) -> String {
    let Some(pattern) = &state.filter else {
        return String::new();
    };
    if state.table == Table::Processes {
        return "the filter is of sites".into();
    }
    let pattern = pattern.to_string();
    let pattern = crate::render::escape::text(&pattern);
    let kept = state.filtered.as_deref();
    let kept = kept.map_or_else(String::new, |kept| {
        let sites = kept.memory_sites().filter(|site| site.live.count > 0).count();
        format!(
            ": {} in {}",
            bytes(kept.totals.live.bytes),
            plural(sites as u64, "site")
        )
    });
    format!("{pattern}{kept}")
}
