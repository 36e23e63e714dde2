//! What comes to the screen, and what it asks for.

use std::{path::PathBuf, sync::Arc, time::Duration};

use crate::profile::Profile;

/// A key as the screen knows it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Key {
    /// A character that was typed.
    Char(char),
    /// A letter with the control key.
    Ctrl(char),
    /// Return.
    Enter,
    /// Escape.
    Escape,
    /// What deletes the last character.
    Backspace,
    /// Tab.
    Tab,
    /// Tab with shift.
    BackTab,
    /// Arrow.
    Up,
    /// Arrow.
    Down,
    /// Arrow.
    Left,
    /// Arrow.
    Right,
    /// A page up.
    PageUp,
    /// A page down.
    PageDown,
    /// To the beginning.
    Home,
    /// To the end.
    End,
}

/// What changes the screen.
#[derive(Clone, Debug)]
pub enum Input {
    /// A key was pressed.
    Key(Key),
    /// The terminal has this many columns and lines.
    Resize(u16, u16),
    /// A newer profile.
    Profile(Arc<Profile>),
    /// The profile of a moment of the recording, by the moment's number.
    Moment(usize, Arc<Profile>),
    /// The observation has come to its end; this is its profile.
    Ended(Arc<Profile>),
    /// The moment of this number could not be read, and why.
    Unread(usize, String),
    /// A snapshot is written there, or why it could not be.
    Saved(Result<PathBuf, String>),
    /// Something that is said to the user meanwhile.
    Said(String),
    /// So much time has passed since the last one.
    Passed(Duration),
}

impl Input {
    /// Whether it makes an earlier one of its kind worthless.
    pub(super) const fn is_of_numbers(&self) -> bool {
        matches!(
            self,
            Self::Profile(_) | Self::Moment(..) | Self::Ended(_) | Self::Unread(..)
        )
    }
}

/// What the screen wants done.
#[derive(Clone, Debug)]
pub enum Request {
    /// The user has enough.
    Leave,
    /// This profile is to be written.
    Save(Arc<Profile>),
    /// This moment of the recording is to be shown, by its number.
    Seek(usize),
}
