//! The table.

use ratatui_core::{
    buffer::Buffer,
    layout::Rect,
    style::{Modifier, Style},
    text::Span,
};
use unicode_width::UnicodeWidthStr as _;

use super::{
    Areas, Palette,
    cells::{self, cell, head},
    palette::letter,
    put,
};
use crate::{
    profile::{Frame, Profile},
    render::{label, layout::truncate},
    tui::{
        state::State,
        table::{Column, Row, Subject, Table},
    },
    units::duration,
};

/// Columns that are left to the name of a row, unless the terminal has less than twice as many.
const NAME: usize = 24;

/// Columns of a history.
const HISTORY: usize = 8;
/// The same in a terminal of [`WIDE`] columns and more.
const LONG_HISTORY: usize = 16;
/// See [`LONG_HISTORY`].
const WIDE: usize = 120;

/// Callers that a line can have at most: more do not fit the widest terminal.
const CALLERS: usize = 24;

pub(super) fn draw(state: &State, palette: Palette, areas: &Areas, out: &mut Buffer) {
    let Some(profile) = state.profile() else { return };
    let columns = usize::from(areas.rows.width);
    let shown: Vec<&Row> = state
        .rows
        .iter()
        .skip(state.first)
        .take(areas.rows.height.into())
        .collect();
    if shown.is_empty() {
        put(out, areas.rows, [Span::raw(nothing(state, profile))]);
    }
    let history = if columns >= WIDE { LONG_HISTORY } else { HISTORY };
    let with_baseline = state.baseline.is_some();
    let cells = |&column: &Column| {
        let text = |row: &&Row| cell(profile, row, column, with_baseline, history);
        (column, shown.iter().map(text).collect::<Vec<_>>())
    };
    let table: Vec<(Column, Vec<String>)> = state.table.columns().iter().map(cells).collect();
    let widths = widths(state, &table, history, columns);
    heads(state, &widths, areas.heads, out);
    for (line, (index, row)) in areas.rows.rows().zip(shown.iter().enumerate()) {
        let mut spans = Vec::new();
        for ((column, texts), width) in table.iter().zip(&widths) {
            let pad = " ".repeat(width.saturating_sub(texts[index].width()));
            let text = if matches!(column, Column::History) {
                format!("{}{pad} ", texts[index])
            } else {
                format!("{pad}{} ", texts[index])
            };
            spans.push(Span::raw(text));
        }
        let used: usize = spans.iter().map(|span| span.content.width()).sum();
        name(
            profile,
            state.table,
            row,
            palette,
            columns.saturating_sub(used),
            &mut spans,
        );
        put(out, line, spans);
        if state.first + index == state.selected {
            choose(out, line);
        }
    }
}

/// Turns the colours of a line round, as far as it has none of its own.
fn choose(out: &mut Buffer, line: Rect) {
    for position in line.positions() {
        if let Some(cell) = out.cell_mut(position)
            && cell.bg == ratatui_core::style::Color::Reset
        {
            cell.set_style(Palette::chosen());
        }
    }
}

/// Widths of the columns that there is room for.
fn widths(state: &State, table: &[(Column, Vec<String>)], history: usize, columns: usize) -> Vec<usize> {
    let with_baseline = state.baseline.is_some();
    let widest = |(column, texts): &(Column, Vec<String>)| {
        // Room for the mark of the order.
        let head = head(state.table, *column, with_baseline).width() + 1;
        let least = if matches!(column, Column::History) {
            history
        } else {
            head
        };
        texts.iter().map(|text| text.width()).fold(least, usize::max)
    };
    let room = columns.saturating_sub(NAME.min(columns / 2));
    let mut used = 0;
    let mut widths: Vec<usize> = table.iter().map(widest).collect();
    let fit = widths.iter().take_while(|&&width| {
        used += width + 1;
        used <= room
    });
    let fit = fit.count().max(1);
    widths.truncate(fit);
    widths
}

fn heads(state: &State, widths: &[usize], area: Rect, out: &mut Buffer) {
    let (sorted, reversed) = state.sorted_by();
    let mut spans = Vec::new();
    for (&column, width) in state.table.columns().iter().zip(widths) {
        let name = head(state.table, column, state.baseline.is_some());
        let mark = match (column == sorted, reversed) {
            (false, _) => "",
            (true, false) => "▼",
            (true, true) => "▲",
        };
        let text = format!("{name}{mark}");
        let text = if matches!(column, Column::History) {
            format!("{text:<width$} ")
        } else {
            format!("{text:>width$} ")
        };
        let style = if mark.is_empty() {
            Style::new()
        } else {
            Palette::strong()
        };
        spans.push(Span::styled(text, style.add_modifier(Modifier::UNDERLINED)));
    }
    let hidden = state
        .table
        .columns()
        .iter()
        .skip(widths.len())
        .any(|&column| column == sorted);
    let mut subject = format!("  {}", state.table.subject());
    if hidden {
        // The column itself has no room.
        let mark = if reversed { "▲" } else { "▼" };
        subject = format!(
            "{subject}, by {}{mark}",
            head(state.table, sorted, state.baseline.is_some())
        );
    }
    let used: usize = spans.iter().map(|span| span.content.width()).sum();
    let width = usize::from(area.width).saturating_sub(used);
    let subject = format!("{:<width$}", truncate(&subject, width));
    spans.push(Span::styled(subject, Style::new().add_modifier(Modifier::UNDERLINED)));
    put(out, area, spans);
}

/// Why there is no row.
fn nothing(state: &State, profile: &Profile) -> String {
    match state.table {
        _ if state.filter.is_some() => "nothing that the filter keeps".into(),
        Table::Leaks if profile.too_short_to_suspect() => format!(
            "leaks cannot be told yet: only blocks that are {} old are suspected",
            duration(profile.settings.min_age)
        ),
        Table::Leaks => "nothing is suspected of leaking".into(),
        Table::Processes => "no process is known".into(),
        _ if profile.totals.allocated.count == 0 => "nothing was allocated so far".into(),
        _ => "nothing is live: all that was allocated has been freed".into(),
    }
}

/// What a row is of, with the letter of whose code it is.
fn name(profile: &Profile, table: Table, row: &Row, palette: Palette, columns: usize, spans: &mut Vec<Span<'static>>) {
    let executable = profile.target.executable.rsplit('/').next().unwrap_or_default();
    let chip = |frame: Option<&Frame>| match frame {
        Some(frame) => Span::styled(letter(frame.kind), palette.kind(frame, executable)),
        None => Span::raw(" "),
    };
    let (first, text) = match &row.subject {
        Subject::Site(_) => {
            let Some(site) = cells::site(profile, row) else { return };
            let stack = profile.calling_stack(site);
            let group = profile
                .group(site)
                .map_or_else(String::new, |group| format!("[{}] ", label::command(group)));
            let names: Vec<_> = stack.iter().take(CALLERS).map(|frame| label::function(frame)).collect();
            let text = if names.is_empty() {
                label::no_stack(profile, site).to_owned()
            } else {
                names.join(" < ")
            };
            (chip(stack.first().copied()), format!("{group}{text}"))
        }
        Subject::Code { frame, .. } => {
            let frame = frame.and_then(|index| profile.frames.get(usize::try_from(index).ok()?));
            let text = match frame {
                None => "[no stack]".to_owned(),
                Some(frame) if table == Table::Modules => label::module(frame),
                Some(frame) if frame.function.is_some() => {
                    format!("{} ({})", label::function(frame), label::module(frame))
                }
                Some(frame) => label::function(frame),
            };
            (chip(frame), text)
        }
        Subject::Process(index) => {
            let Some(process) = profile.processes.get(*index) else {
                return;
            };
            let ended = process
                .ended
                .map_or_else(String::new, |at| format!(", ended at {}", duration(at)));
            let name = label::process(&process.command, process.pid, columns.saturating_sub(ended.width() + 2));
            (Span::raw(" "), format!("{name}{ended}"))
        }
    };
    spans.extend([first, Span::raw(" ")]);
    spans.push(Span::raw(truncate(&text, columns.saturating_sub(2))));
}
