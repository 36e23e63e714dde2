//! What of a recording is looked at.

use std::time::Duration;

use super::When;

/// A moment of a recording.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Moment {
    /// Its end.
    #[default]
    End,
    /// When the most memory was live.
    Peak,
    /// Another.
    At(When),
}

/// What of a recording is looked at.
#[derive(Clone, Copy, Debug, Default)]
pub struct Part {
    /// Only what was allocated from then on counts as allocated, and histories begin there.
    pub from: Option<When>,
    /// Until then.
    pub to: Moment,
    /// Only what this thread has allocated.
    pub thread: Option<u32>,
    /// From which age on a block can be suspected, if not from that of the recording.
    pub min_age: Option<Duration>,
}
