//! Which part of the terminal is whose.

use ratatui_core::layout::Rect;

/// Columns and lines with which there is something to be seen.
pub(in crate::tui) const LEAST_COLUMNS: u16 = 40;
/// See [`LEAST_COLUMNS`].
pub(in crate::tui) const LEAST_LINES: u16 = 8;

/// Lines from which on the pane is open unless it is closed.
const WITH_PANE: u16 = 20;

/// Lines from which on the header is not cut short.
const WHOLE_HEADER: u16 = 16;

/// Lines between header and footer that are shared half and half; of fewer the table keeps one.
const HALVED: u16 = 8;

/// The parts, from above.
#[derive(Clone, Copy, Debug)]
pub(in crate::tui) struct Areas {
    pub(super) header: Rect,
    /// Names of the tables.
    pub(super) tables: Rect,
    /// Names of the columns.
    pub(super) heads: Rect,
    /// The table itself.
    pub(in crate::tui) rows: Rect,
    pub(super) pane: Rect,
    pub(super) footer: Rect,
}

impl Areas {
    /// Whether a terminal is large enough.
    pub(super) const fn fit((columns, lines): (u16, u16)) -> bool {
        columns >= LEAST_COLUMNS && lines >= LEAST_LINES
    }

    /// Whether the pane is open at first.
    pub(in crate::tui) const fn has_room_for_pane((_, lines): (u16, u16)) -> bool {
        lines >= WITH_PANE
    }

    pub(in crate::tui) fn new((columns, lines): (u16, u16), with_pane: bool) -> Self {
        let header = if lines >= WHOLE_HEADER { 4 } else { 3 };
        let body = lines.saturating_sub(header + 3);
        let pane = match (with_pane, body) {
            (false, _) => 0,
            (true, HALVED..) => body / 2,
            (true, _) => body.saturating_sub(1),
        };
        let mut next = 0;
        let mut take = |height: u16| {
            let area = Rect::new(0, next, columns, height.min(lines.saturating_sub(next)));
            next = area.bottom();
            area
        };
        Self {
            header: take(header),
            tables: take(1),
            heads: take(1),
            rows: take(body - pane),
            pane: take(pane),
            footer: take(1),
        }
    }

    /// Lines of the pane below its title; where there are few there is no title.
    pub(in crate::tui) const fn pane_lines(&self) -> u16 {
        if self.pane.height < 3 {
            self.pane.height
        } else {
            self.pane.height - 1
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_somebodys_and_no_more() {
        for lines in 0..100 {
            for pane in [false, true] {
                let areas = Areas::new((80, lines), pane);
                let all = [
                    areas.header,
                    areas.tables,
                    areas.heads,
                    areas.rows,
                    areas.pane,
                    areas.footer,
                ];
                let sum: u16 = all.iter().map(|area| area.height).sum();
                assert!(sum <= lines && all.iter().all(|area| area.bottom() <= lines), "{lines}");
                if Areas::fit((80, lines)) {
                    assert_eq!(sum, lines);
                    assert!(areas.rows.height > 0, "{lines}");
                    assert_eq!(areas.pane.height > 0, pane, "{lines}");
                }
            }
        }
    }
}
