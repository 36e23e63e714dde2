//! Sums of one program of one process.

use crate::profile::Amount;

/// The sums of one program of one process, over memory only.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Own {
    /// Not yet freed.
    pub(super) live: Amount,
    /// Ever allocated.
    pub(super) allocated: Amount,
    /// The largest live bytes at any moment.
    pub(super) peak_live_bytes: u64,
    /// That, before blocks were looked at for a moment only.
    pub(super) peak_before: u64,
    /// What was live when it ended.
    pub(super) at_exit: Amount,
    /// What it has a copy of since it was forked, and has not given back.
    pub(super) inherited: Amount,
}

impl Amount {
    /// Adds another amount. Sums wrap around like those of the ledger: a hostile target or a hostile recording may have driven them
    /// anywhere.
    pub const fn add(&mut self, other: Self) {
        self.bytes = self.bytes.wrapping_add(other.bytes);
        self.count = self.count.wrapping_add(other.count);
    }

    /// What is left without another, nothing where that is more.
    pub(crate) const fn less(self, other: Self) -> Self {
        Self {
            bytes: self.bytes.saturating_sub(other.bytes),
            count: self.count.saturating_sub(other.count),
        }
    }

    /// Takes an amount out again.
    pub const fn subtract(&mut self, other: Self) {
        self.bytes = self.bytes.wrapping_sub(other.bytes);
        self.count -= other.count;
    }
}
