//! What could not be paired, counted by name.

use serde::{Deserialize, Serialize};

use crate::profile::Amount;

/// What could not be paired.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Tally {
    /// Frees of blocks that were not known: allocated before attach, or lost.
    pub unmatched_frees: u64,
    /// Allocations at an address, or mappings over a range, that was still live: its free was missed, and is made up for.
    pub conflicts: u64,
    /// Frees that found the ring full and were applied late.
    pub recovered_frees: u64,
    /// Frees that found the ring full and had nothing left to do: the block was never known, or a conflict freed it.
    pub outdated_frees: u64,
    /// Unmappings of ranges that were not known: mapped before attach, or by an allocator for itself.
    pub unmapped_unknown: u64,
    /// Memory that went with a program that was replaced by `exec`: neither freed nor leaked.
    pub gone_with_exec: Amount,
    /// Blocks that were not kept because too many others of their process were live.
    pub not_kept: u64,
    /// Frees of blocks that were not known, by processes of which is not known what they have a copy of since they were forked.
    pub inherited_frees: u64,
    /// Events that can be of no process: it has ended, or has another pid.
    pub strays: u64,
    /// Allocations among them.
    pub stray_allocations: Amount,
}

impl Tally {
    /// Allocations can be of no process.
    pub(super) const fn lost(&mut self, count: u64, bytes: u64) {
        self.stray_allocations.count = self.stray_allocations.count.saturating_add(count);
        self.stray_allocations.bytes = self.stray_allocations.bytes.saturating_add(bytes);
    }
}
