//! The keys, over all of the screen.

use ratatui_core::{buffer::Buffer, layout::Rect, text::Span};

use super::{Palette, put};
use crate::{render::layout::truncate, tui::state::State};

/// What each key does; docs/top.md has the same.
const KEYS: [(&str, &str); 13] = [
    ("q, Ctrl-C", "leave, with the summary"),
    ("Tab, Shift-Tab", "next table, the one before"),
    ("up, down, j, k", "choose a row; g and G the first and the last"),
    ("Enter", "open or close the pane with the stack"),
    ("J, K", "scroll the pane"),
    ("s, 1 to 6", "sort by the next column, by the column of that number"),
    ("r", "sort the other way round"),
    ("/", "keep sites with such a function (as --frame); Esc keeps all"),
    ("b", "mark a baseline: from then on the change since is shown"),
    ("B", "forget the baseline"),
    ("w", "write a snapshot: the files of -o, in a new directory here"),
    ("?", "this"),
    ("n k p j", "before a frame: native, kernel, Python, JavaScript"),
];

/// Those of a live screen.
const LIVE: [(&str, &str); 2] = [
    ("p, space", "pause what is shown; collecting goes on"),
    ("PgUp, PgDn", "a page; Home and End as g and G"),
];

/// Those of a recording.
const REPLAY: [(&str, &str); 4] = [
    ("left, right", "the moment before, the next; PgUp and PgDn ten"),
    ("Home, End", "the first moment, the last"),
    ("space, p", "play, stop"),
    ("+, -", "twice as fast, half as fast"),
];

pub(super) fn draw(state: &State, palette: Palette, area: Rect, out: &mut Buffer) {
    let mut lines = area.rows();
    let columns = usize::from(area.width);
    let extra = if state.player.is_some() { &REPLAY[..] } else { &LIVE };
    let title = "memtrace top: keys (any key goes back)";
    if let Some(line) = lines.next() {
        put(out, line, [Span::styled(title, palette.warning())]);
    }
    for (line, (key, what)) in lines.zip(KEYS[..2].iter().chain(extra).chain(&KEYS[2..])) {
        let key = format!("{key:<15} ");
        let what = truncate(what, columns.saturating_sub(key.len()));
        put(out, line, [Span::styled(key, Palette::strong()), Span::raw(what)]);
    }
}
