//! What is remembered of processes after their end.

use std::collections::BTreeMap;

use super::snapshot::{ProcessFacts, ProcessesDropped};

/// The processes that left or used most; of the others only sums.
#[derive(Debug, Default)]
pub(super) struct Ended {
    /// By bytes at exit, then at the peak.
    kept: BTreeMap<(u64, u64, u32), ProcessFacts>,
    limit: usize,
    pub(super) dropped: ProcessesDropped,
}

impl Ended {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            ..Self::default()
        }
    }

    pub(super) fn add(&mut self, facts: ProcessFacts) {
        let rank = (facts.at_exit.bytes, facts.peak_live_bytes, facts.incarnation);
        if let Some(old) = self.kept.insert(rank, facts) {
            // A number that is used a second time, after four billion others.
            self.dropped.add(&old);
        }
        if self.kept.len() > self.limit
            && let Some((_, least)) = self.kept.pop_first()
        {
            self.dropped.add(&least);
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &ProcessFacts> {
        self.kept.values()
    }
}

impl ProcessesDropped {
    fn add(&mut self, facts: &ProcessFacts) {
        self.count += 1;
        self.allocated.add(facts.allocated);
        self.at_exit.add(facts.at_exit);
        self.peak_live_bytes = self.peak_live_bytes.max(facts.peak_live_bytes);
        self.not_kept += facts.not_kept;
    }
}
