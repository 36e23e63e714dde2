//! One program of one process: everything that is only its own.

use memtrace_common::event::Header;

use super::{
    aside::Aside,
    blocks::Taken,
    identities::Identities,
    live::Live,
    own::Own,
    regions::{Region, Regions},
};
use crate::profile::Amount;

/// Where a program is in its life.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum State {
    /// The place of a process that is not there.
    #[default]
    Vacant,
    /// It runs.
    Alive,
    /// It has ended, and no other process was alive then or since: what it left is still live.
    Last,
    /// It has ended while others live, and what it left has been counted. Its tables stay for a moment, because frees that
    /// found the ring full come late.
    Left,
}

/// One program of one process. Dropped as a whole, so nothing of a process can outlive it but sums.
#[derive(Debug, Default)]
pub(super) struct Process {
    pub(super) pid: u32,
    pub(super) incarnation: u32,
    /// In which group its events count.
    pub(super) group: u32,
    pub(super) state: State,
    pub(super) inherited_unknown: bool,
    pub(super) live: Live,
    pub(super) own: Own,
    pub(super) identities: Identities,
    pub(super) regions: Regions,
    /// Pools of its interpreter, once one is taken.
    pub(super) pools: Option<Box<Regions>>,
    /// What was given to `realloc`.
    pub(super) blocks_aside: Aside<Taken>,
    /// What was given to `munmap` or `mremap`; `None` for a range that is not known.
    pub(super) ranges_aside: Aside<Option<Vec<Region>>>,
    /// Blocks and ranges that it got a copy of.
    pub(super) copied: usize,
    /// Blocks that were not kept, and of these how many may still be freed.
    pub(super) not_kept: u64,
    pub(super) not_kept_live: u64,
    /// The incarnation that it was forked from.
    pub(super) parent: Option<u32>,
    pub(super) started_ns: u64,
    pub(super) ended_ns: Option<u64>,
}

impl Process {
    /// Whether an event is about it.
    #[inline]
    pub(super) const fn is_of(&self, header: &Header) -> bool {
        self.incarnation == header.incarnation && self.pid == header.pid
    }

    /// One more block is not kept.
    pub(super) const fn not_keep(&mut self) {
        self.not_kept += 1;
        self.not_kept_live += 1;
    }

    /// Its blocks, ranges and pools: site, what it counts for, and kernel time of the allocation.
    pub(super) fn things(&self) -> impl Iterator<Item = (u32, Amount, u64)> {
        let blocks = self
            .live
            .iter()
            .map(|block| (block.site, block.amount(), block.time_ns));
        let regions = self.regions.iter().chain(self.pools());
        blocks.chain(regions.map(|region| (region.site, region.amount(), region.time_ns)))
    }

    /// Pools of its interpreter.
    pub(super) fn pools(&self) -> impl Iterator<Item = &Region> {
        self.pools.iter().flat_map(|pools| pools.iter())
    }

    /// Whether it runs.
    pub(super) fn is_alive(&self) -> bool {
        self.state == State::Alive
    }

    /// Whether its blocks and ranges are live.
    pub(super) fn has_live(&self) -> bool {
        matches!(self.state, State::Alive | State::Last)
    }
}
