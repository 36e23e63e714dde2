//! Sums by site.
//!
//! The sums of a site, which every event changes, lie apart from what only a report needs.

use hashbrown::{HashTable, hash_table::Entry};
use memtrace_common::Op;

use super::history::History;
use crate::profile::Amount;

/// What a site is: an operation and the identity of a call stack, 0 for none.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Key {
    pub(super) op: Op,
    pub(super) stack: u64,
}

impl Key {
    /// Identities are mixed well already, so their low bits choose the bucket; the operation goes into the upper half,
    /// which the multiplication brings to the top, where hashbrown takes its tag from.
    const fn hash(self) -> u64 {
        (self.stack ^ (self.op as u64) << 32).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

/// The sums of one site.
///
/// Sizes come from the registers of the target, which may be hostile, so a sum of them must not be able to stop the
/// collector. Live bytes wrap around: what was added is what is later subtracted, so they find their way back.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sums {
    /// Ever allocated.
    pub(super) allocated: Amount,
    /// Not yet freed.
    pub(super) live: Amount,
    /// Whether its bytes count as live memory.
    memory: bool,
}

/// All sites, and the sums of those that are memory.
#[derive(Debug, Default)]
pub(super) struct Sites {
    index: HashTable<u32>,
    keys: Vec<Key>,
    sums: Vec<Sums>,
    /// Live bytes over time.
    histories: Vec<History>,
    /// Live bytes of all sites whose class is memory.
    pub(super) live_bytes: u64,
    /// The most there ever was of that.
    pub(super) peak_bytes: u64,
}

impl Sites {
    /// The index of a site, made when it is new.
    pub(super) fn index(&mut self, key: Key) -> u32 {
        let keys = &mut self.keys;
        let entry = self.index.entry(
            key.hash(),
            |&site| keys[site as usize] == key,
            |&site| keys[site as usize].hash(),
        );
        match entry {
            Entry::Occupied(entry) => *entry.get(),
            Entry::Vacant(entry) => {
                // The limit on stacks keeps the number of sites far below.
                let site = u32::try_from(keys.len()).unwrap_or(u32::MAX - 1);
                keys.push(key);
                self.sums.push(Sums {
                    memory: key.op.class().is_memory(),
                    ..Sums::default()
                });
                self.histories.push(History::default());
                entry.insert(site);
                site
            }
        }
    }

    /// Whether a site is known.
    pub(super) fn contains(&self, key: Key) -> bool {
        self.index
            .find(key.hash(), |&site| self.keys[site as usize] == key)
            .is_some()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// The operation of a site.
    pub(super) fn op(&self, site: u32) -> Op {
        self.keys[site as usize].op
    }

    /// Something was allocated.
    pub(super) fn allocate(&mut self, site: u32, bytes: u64) {
        let allocated = &mut self.sums[site as usize].allocated;
        allocated.bytes = allocated.bytes.saturating_add(bytes);
        allocated.count += 1;
        self.add(site, bytes, 1);
    }

    /// Something is live.
    pub(super) fn add(&mut self, site: u32, bytes: u64, count: u64) {
        let sums = &mut self.sums[site as usize];
        sums.live.bytes = sums.live.bytes.wrapping_add(bytes);
        sums.live.count += count;
        if sums.memory {
            self.live_bytes = self.live_bytes.wrapping_add(bytes);
            self.peak_bytes = self.peak_bytes.max(self.live_bytes);
        }
    }

    /// Something is no longer live, which [`Sites::add`] has seen before.
    pub(super) fn subtract(&mut self, site: u32, bytes: u64, count: u64) {
        let sums = &mut self.sums[site as usize];
        sums.live.bytes = sums.live.bytes.wrapping_sub(bytes);
        sums.live.count -= count;
        if sums.memory {
            self.live_bytes = self.live_bytes.wrapping_sub(bytes);
        }
    }

    /// All sites by index.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Key, &Sums, &History)> {
        let sums = self.keys.iter().zip(&self.sums);
        sums.zip(&self.histories)
            .map(|((key, sums), history)| (*key, sums, history))
    }

    /// Drops every second value of every history.
    pub(super) fn thin(&mut self) {
        self.histories.iter_mut().for_each(History::thin);
    }

    /// Notes live bytes as those of moment `index`.
    pub(super) fn note(&mut self, index: usize) {
        for (history, sums) in self.histories.iter_mut().zip(&self.sums) {
            history.note(index, sums.live.bytes);
        }
    }
}
