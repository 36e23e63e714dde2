//! The last line: what is being typed, what has happened, or which keys there are.

use ratatui_core::{buffer::Buffer, layout::Rect, text::Span};
use unicode_width::UnicodeWidthStr as _;

use super::{Palette, put};
use crate::{
    render::{escape, layout::truncate},
    tui::state::State,
};

/// Keys of a live screen, the most important first.
const LIVE: [&str; 9] = [
    "q quit",
    "? keys",
    "Tab table",
    "/ filter",
    "s sort",
    "p pause",
    "b baseline",
    "w save",
    "Enter stack",
];

/// The same of a recording.
const REPLAY: [&str; 9] = [
    "q quit",
    "? keys",
    "Tab table",
    "←/→ moment",
    "space play",
    "/ filter",
    "s sort",
    "b baseline",
    "w save",
];

/// The same of an observation that has ended.
const ENDED: [&str; 6] = [
    "q quit, with the summary",
    "? keys",
    "Tab table",
    "/ filter",
    "s sort",
    "w save",
];

pub(super) fn draw(state: &State, palette: Palette, area: Rect, out: &mut Buffer) {
    let columns = usize::from(area.width);
    if let Some(typed) = &state.prompt {
        let hint = "  (regular expression over functions, empty for none; Enter, Esc)";
        let typed = format!("/{}", escape::text(typed));
        // The end is what one types.
        let skipped: String = tail(&typed, columns.saturating_sub(1));
        let hint = if typed.width() + 1 + hint.width() <= columns {
            hint
        } else {
            ""
        };
        let spans = [
            Span::raw(skipped),
            Span::styled(" ", Palette::chosen()),
            Span::styled(hint, Palette::faint()),
        ];
        return put(out, area, spans);
    }
    if let Some(notice) = &state.notice {
        let style = if notice.warning {
            palette.warning()
        } else {
            Palette::strong()
        };
        let text = truncate(&escape::text(&notice.text), columns);
        return put(out, area, [Span::styled(text, style)]);
    }
    let keys = match (&state.player, state.ended) {
        (Some(_), _) => &REPLAY[..],
        (None, true) => &ENDED,
        (None, false) => &LIVE,
    };
    let mut line = String::new();
    for key in keys {
        let gap = if line.is_empty() { "" } else { "  " };
        if line.width() + gap.len() + key.width() <= columns {
            line = format!("{line}{gap}{key}");
        }
    }
    put(out, area, [Span::styled(line, Palette::faint())]);
}

/// The end of a text that fits.
fn tail(text: &str, columns: usize) -> String {
    let mut rest = text;
    while rest.width() > columns {
        let mut characters = rest.chars();
        characters.next();
        rest = characters.as_str();
    }
    rest.to_owned()
}
