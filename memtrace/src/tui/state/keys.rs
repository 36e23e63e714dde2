//! What keys do.

use super::{Notice, State};
use crate::tui::{
    input::{Key, Request},
    player::Step,
    table::Table,
};

impl State {
    /// A key was pressed.
    pub(super) fn press(&mut self, key: Key) -> Option<Request> {
        if key == Key::Ctrl('c') {
            return Some(Request::Leave);
        }
        if self.prompt.is_some() {
            self.type_filter(key);
            return None;
        }
        if self.help {
            // Whatever is pressed to be rid of it.
            self.help = false;
            return None;
        }
        match key {
            Key::Char('q') => return Some(Request::Leave),
            Key::Char('w') => return self.save(),
            Key::Char('?') => self.help = true,
            Key::Char('/') => self.prompt = Some(String::new()),
            Key::Escape => self.escape(),
            Key::Char('s') => self.next_column(),
            Key::Char('r') => {
                let (column, reversed) = self.sorted_by();
                self.sort(column, !reversed);
            }
            Key::Char(digit @ '1'..='9') => self.column(digit),
            Key::Char('b') => self.mark(true),
            Key::Char('B') => self.mark(false),
            Key::Tab => self.next_table(1),
            Key::BackTab => self.next_table(Table::ALL.len() - 1),
            Key::Enter => {
                self.pane = Some(!self.has_pane());
                self.keep_in_sight();
            }
            _ if self.player.is_some() => return self.play(key),
            Key::Char('p' | ' ') => self.pause(),
            _ => self.go(key),
        }
        None
    }

    /// Keys that have another meaning in a recording.
    fn play(&mut self, key: Key) -> Option<Request> {
        let player = self.player.as_mut()?;
        let next = match key {
            Key::Left => player.step(Step::Back),
            Key::Right => player.step(Step::On),
            Key::PageUp => player.step(Step::PageBack),
            Key::PageDown => player.step(Step::PageOn),
            Key::Home => player.step(Step::First),
            Key::End => player.step(Step::Last),
            Key::Char('p' | ' ') => player.toggle(),
            Key::Char('+' | '=') => {
                player.faster();
                None
            }
            Key::Char('-') => {
                player.slower();
                None
            }
            _ => {
                self.go(key);
                None
            }
        };
        next.map(Request::Seek)
    }

    /// Keys that move in the table and in the pane.
    fn go(&mut self, key: Key) {
        let page = usize::from(self.areas().rows.height).max(1);
        let selected = self.selected;
        match key {
            Key::Up | Key::Char('k') => self.select(selected.saturating_sub(1)),
            Key::Down | Key::Char('j') => self.select(selected + 1),
            Key::PageUp | Key::Ctrl('u' | 'b') => self.select(selected.saturating_sub(page)),
            Key::PageDown | Key::Ctrl('d' | 'f') => self.select(selected + page),
            Key::Home | Key::Char('g') => self.select(0),
            Key::End | Key::Char('G') => self.select(usize::MAX),
            Key::Char('J') => self.pane_first += 1,
            Key::Char('K') => self.pane_first = self.pane_first.saturating_sub(1),
            _ => {}
        }
        // Its end is known where it is made.
        let lines = crate::tui::view::pane_lines(self);
        let room = usize::from(self.areas().pane_lines());
        self.pane_first = self.pane_first.min(lines.saturating_sub(room));
    }

    fn save(&mut self) -> Option<Request> {
        let profile = self.shown.clone()?;
        self.notice = Some(Notice::news("saving".into()));
        Some(Request::Save(profile))
    }

    fn escape(&mut self) {
        self.notice = None;
        if self.filter.is_some() {
            self.set_filter("");
        }
    }

    fn next_table(&mut self, by: usize) {
        let next = (self.table as usize + by) % Table::ALL.len();
        self.turn_to(Table::ALL[next]);
    }

    fn next_column(&mut self) {
        let (now, _) = self.sorted_by();
        let mut all = self.table.sortable().skip_while(|&column| column != now);
        let next = all.nth(1).or_else(|| self.table.sortable().next());
        if let Some(next) = next {
            self.sort(next, false);
        }
    }

    /// The column of a digit; once more, the other way round.
    fn column(&mut self, digit: char) {
        let number = digit.to_digit(10).map_or(0, |digit| digit as usize);
        if let Some(column) = self.table.sortable().nth(number.saturating_sub(1)) {
            let (now, reversed) = self.sorted_by();
            self.sort(column, now == column && !reversed);
        }
    }

    /// Keeps what is shown, or goes on with the newest.
    fn pause(&mut self) {
        self.paused = !self.paused && !self.ended;
        if !self.paused
            && let Some(latest) = self.latest.take()
        {
            self.show(latest);
        }
    }

    fn type_filter(&mut self, key: Key) {
        let Some(text) = &mut self.prompt else { return };
        match key {
            Key::Char(character) => text.push(character),
            Key::Ctrl('u') => text.clear(),
            Key::Escape => self.prompt = None,
            // With nothing left to delete it is what Esc does.
            Key::Backspace if text.pop().is_none() => self.prompt = None,
            Key::Enter => {
                let text = self.prompt.take().unwrap_or_default();
                self.set_filter(&text);
            }
            _ => {}
        }
    }
}
