//! Draws the [`State`]. Names of the target are escaped as in every text, and widths are columns of a terminal.

pub(super) mod areas;
mod cells;
mod footer;
mod header;
mod help;
pub(super) mod palette;
mod pane;
mod rows;
#[cfg(test)]
mod tests;

use ratatui_core::{
    buffer::Buffer,
    layout::Rect,
    terminal::Frame,
    text::{Line, Span},
};

use self::{
    areas::{Areas, LEAST_COLUMNS, LEAST_LINES},
    palette::Palette,
};
use super::state::State;
pub(super) use pane::lines as pane_lines;

/// Draws all of it.
pub fn view(state: &State, palette: Palette, frame: &mut Frame<'_>) {
    let all = frame.area();
    let out = frame.buffer_mut();
    if !Areas::fit((all.width, all.height)) {
        let text = format!(
            "terminal too small: needs {LEAST_COLUMNS}x{LEAST_LINES}, has {}x{}",
            all.width, all.height
        );
        for (line, words) in all.rows().zip(crate::render::layout::wrap(&text, all.width.into())) {
            put(out, line, [Span::raw(words)]);
        }
        return;
    }
    if state.help {
        help::draw(state, palette, all, out);
        return;
    }
    let areas = state.areas();
    header::draw(state, palette, areas.header, out);
    header::tables(state, palette, areas.tables, out);
    rows::draw(state, palette, &areas, out);
    pane::draw(state, palette, areas.pane, out);
    footer::draw(state, palette, areas.footer, out);
}

/// Puts a line where it has room.
fn put<'a>(out: &mut Buffer, area: Rect, spans: impl IntoIterator<Item = Span<'a>>) {
    // The terminal may have become smaller since its size was asked for.
    let area = area.intersection(out.area);
    if !area.is_empty() {
        let line: Line<'a> = spans.into_iter().collect();
        out.set_line(area.x, area.y, &line, area.width);
    }
}
