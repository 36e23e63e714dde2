//! What the last line says for a while.

use std::time::Duration;

/// How long news stay: long enough to be read twice.
const STAY: Duration = Duration::from_secs(10);

/// A sentence for the user.
#[derive(Clone, Debug)]
pub(in crate::tui) struct Notice {
    /// The sentence.
    pub(in crate::tui) text: String,
    /// Whether something went wrong.
    pub(in crate::tui) warning: bool,
    /// How long it was there.
    age: Duration,
}

impl Notice {
    pub(super) const fn news(text: String) -> Self {
        Self {
            text,
            warning: false,
            age: Duration::ZERO,
        }
    }

    pub(super) fn warning(text: String) -> Self {
        Self {
            warning: true,
            ..Self::news(text)
        }
    }

    /// Whether it is still to be seen when so much more time has passed.
    pub(super) fn stays_after(&mut self, time: Duration) -> bool {
        self.age = self.age.saturating_add(time);
        self.age < STAY
    }
}
