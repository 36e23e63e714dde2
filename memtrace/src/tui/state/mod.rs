//! What the screen shows, and how it changes.

mod baseline;
pub(super) mod identity;
mod keys;
mod notice;
mod rows;

use std::{sync::Arc, time::Duration};

pub(super) use self::notice::Notice;
use self::{baseline::Baseline, rows::Sort};
use super::{
    input::{Input, Request},
    player::Player,
    table::{Row, Table},
    view::areas::Areas,
};
use crate::profile::{Profile, filter::FramePattern};

/// Everything that is shown and chosen.
#[derive(Clone, Debug)]
pub struct State {
    /// Columns and lines of the terminal.
    pub(super) size: (u16, u16),
    /// Where in a recording one is; `None` where it is live.
    pub(super) player: Option<Player>,
    /// What is shown.
    pub(super) shown: Option<Arc<Profile>>,
    /// The same with the sites that the filter keeps.
    pub(super) filtered: Option<Arc<Profile>>,
    /// The newest while another one is shown because of a pause.
    pub(super) latest: Option<Arc<Profile>>,
    pub(super) paused: bool,
    pub(super) ended: bool,
    pub(super) baseline: Option<Baseline>,
    pub(super) filter: Option<FramePattern>,
    /// What is being typed as a filter.
    pub(super) prompt: Option<String>,
    pub(super) table: Table,
    sorts: [Sort; Table::ALL.len()],
    pub(super) rows: Vec<Row>,
    /// Index of the chosen row.
    pub(super) selected: usize,
    /// Index of the first row that is seen.
    pub(super) first: usize,
    /// Whether the pane below is open; `None` as long as nobody has said so: then it depends on the room.
    pane: Option<bool>,
    /// Lines of the pane above its first one.
    pub(super) pane_first: usize,
    pub(super) help: bool,
    pub(super) notice: Option<Notice>,
}

impl State {
    /// An empty screen of this many columns and lines, of an observation or of a recording.
    pub fn new(size: (u16, u16), player: Option<Player>) -> Self {
        Self {
            size,
            player,
            shown: None,
            filtered: None,
            latest: None,
            paused: false,
            ended: false,
            baseline: None,
            filter: None,
            prompt: None,
            table: Table::Sites,
            sorts: Table::ALL.map(Sort::first),
            rows: Vec::new(),
            selected: 0,
            first: 0,
            pane: None,
            pane_first: 0,
            help: false,
            notice: None,
        }
    }

    /// Heeds an input; what is to be done then, if anything.
    pub fn update(&mut self, input: Input) -> Option<Request> {
        match input {
            Input::Key(key) => return self.press(key),
            Input::Passed(time) => return self.passed(time),
            Input::Resize(columns, lines) => {
                self.size = (columns, lines);
                self.keep_in_sight();
            }
            Input::Profile(profile) => self.arrived(profile),
            Input::Moment(number, profile) => {
                if let Some(player) = &mut self.player {
                    player.arrived(number);
                }
                self.show(profile);
            }
            Input::Ended(profile) => {
                self.ended = true;
                self.arrived(profile);
            }
            Input::Unread(number, why) => {
                if let Some(player) = &mut self.player {
                    player.failed(number);
                }
                self.notice = Some(Notice::warning(why));
            }
            Input::Saved(Ok(path)) => {
                self.notice = Some(Notice::news(format!("saved in {}", path.display())));
            }
            Input::Saved(Err(why)) => self.notice = Some(Notice::warning(why)),
            Input::Said(text) => self.notice = Some(Notice::news(text)),
        }
        None
    }

    /// A newer profile is there.
    fn arrived(&mut self, profile: Arc<Profile>) {
        if self.paused {
            self.latest = Some(profile);
            return;
        }
        self.show(profile);
    }

    fn show(&mut self, profile: Arc<Profile>) {
        self.shown = Some(profile);
        self.refilter();
    }

    fn passed(&mut self, time: Duration) -> Option<Request> {
        if let Some(notice) = &mut self.notice
            && !notice.stays_after(time)
        {
            self.notice = None;
        }
        let next = self.player.as_mut()?.passed(time)?;
        Some(Request::Seek(next))
    }

    /// Columns and lines that it is drawn for.
    pub const fn size(&self) -> (u16, u16) {
        self.size
    }

    /// Whether time passing changes anything.
    pub fn is_moving(&self) -> bool {
        self.notice.is_some() || self.player.as_ref().is_some_and(Player::is_playing)
    }

    /// Whether the pane is open.
    pub(super) fn has_pane(&self) -> bool {
        self.pane.unwrap_or_else(|| Areas::has_room_for_pane(self.size))
    }

    /// Where everything is.
    pub(super) fn areas(&self) -> Areas {
        Areas::new(self.size, self.has_pane())
    }

    /// What rows are made of: what is shown, behind the filter.
    pub(super) fn profile(&self) -> Option<&Profile> {
        self.filtered.as_deref().or(self.shown.as_deref())
    }

    /// The chosen row.
    pub(super) fn row(&self) -> Option<&Row> {
        self.rows.get(self.selected)
    }

    /// How the table is sorted: the column, and whether the smallest is first.
    pub(super) fn sorted_by(&self) -> (super::table::Column, bool) {
        let Sort { column, reversed } = self.sorts[self.table as usize];
        (column, reversed)
    }
}
