//! Sums by site.

use memtrace_common::Op;
use rustc_hash::FxHashMap;

use super::history::History;
use crate::profile::Amount;

/// A site: an operation and a call stack.
#[derive(Debug)]
pub(super) struct Site {
    /// The operation.
    pub(super) op: Op,
    /// Identity of the stack, 0 for none.
    pub(super) stack: u64,
    /// Ever allocated.
    pub(super) allocated: Amount,
    /// Not yet freed.
    pub(super) live: Amount,
    /// Live bytes over time.
    pub(super) history: History,
}

/// All sites, and the sums of those that are memory.
#[derive(Debug, Default)]
pub(super) struct Sites {
    by_key: FxHashMap<(u64, u8), u32>,
    all: Vec<Site>,
    /// Live bytes of all sites whose class is memory.
    pub(super) live_bytes: u64,
    /// The most there ever was of that.
    pub(super) peak_bytes: u64,
}

impl Sites {
    /// The index of a site, made when it is new.
    pub(super) fn index(&mut self, op: Op, stack: u64) -> u32 {
        *self.by_key.entry((stack, op as u8)).or_insert_with(|| {
            let index = u32::try_from(self.all.len()).unwrap_or(u32::MAX);
            self.all.push(Site {
                op,
                stack,
                allocated: Amount::default(),
                live: Amount::default(),
                history: History::default(),
            });
            index
        })
    }

    /// The operation of a site.
    pub(super) fn op(&self, site: u32) -> Op {
        self.all[site as usize].op
    }

    /// Something was allocated.
    pub(super) fn allocate(&mut self, site: u32, bytes: u64) {
        let allocated = &mut self.all[site as usize].allocated;
        allocated.bytes += bytes;
        allocated.count += 1;
        self.add(site, bytes, 1);
    }

    /// Something is live.
    pub(super) fn add(&mut self, site: u32, bytes: u64, count: u64) {
        let site = &mut self.all[site as usize];
        site.live.bytes += bytes;
        site.live.count += count;
        if site.op.class().is_memory() {
            self.live_bytes += bytes;
            self.peak_bytes = self.peak_bytes.max(self.live_bytes);
        }
    }

    /// Something is no longer live. What is taken away was added before, so nothing can go below zero.
    pub(super) fn subtract(&mut self, site: u32, bytes: u64) {
        let site = &mut self.all[site as usize];
        site.live.bytes -= bytes;
        site.live.count -= 1;
        if site.op.class().is_memory() {
            self.live_bytes -= bytes;
        }
    }

    /// All sites by index.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Site> {
        self.all.iter()
    }

    /// All sites by index, to change.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Site> {
        self.all.iter_mut()
    }
}
