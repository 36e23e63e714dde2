//! Sums of sites in columns.

use serde::Serialize;

use crate::profile::{Amount, calltree::Amounts};

/// An amount of every site.
#[derive(Debug, Default, Serialize)]
pub(super) struct Column {
    bytes: Vec<u64>,
    count: Vec<u64>,
}

impl Column {
    /// Adds that of the next site.
    pub(super) fn push(&mut self, amount: Amount) {
        self.bytes.push(amount.bytes);
        self.count.push(amount.count);
    }
}

/// The amounts that can be shown, in the order of the page's measures; what is not known of a site is nothing.
#[derive(Debug, Default, Serialize)]
pub(super) struct Columns {
    live: Column,
    allocated: Column,
    temporary: Column,
    peak: Column,
}

impl Columns {
    /// Adds those of the next site.
    pub(super) fn push(&mut self, amounts: Amounts) {
        self.live.push(amounts.live);
        self.allocated.push(amounts.allocated);
        self.temporary.push(amounts.temporary);
        self.peak.push(amounts.at_peak);
    }
}

impl FromIterator<Amounts> for Columns {
    fn from_iter<I: IntoIterator<Item = Amounts>>(all: I) -> Self {
        let mut columns = Self::default();
        all.into_iter().for_each(|amounts| columns.push(amounts));
        columns
    }
}
