//! The live blocks of one process incarnation, by address.

use hashbrown::{HashTable, hash_table::Entry};

pub(super) use super::slab::Block;
use super::slab::Slab;
use crate::profile::Amount;

/// What adding a block came to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Added {
    /// It is live.
    New,
    /// It is live, and this one was still live at its address.
    Replaced(Block),
    /// It is not kept: too many others are live.
    Full,
}

/// Slots below which giving memory back is not worth the work: 128 KiB.
const COMPACT_SLOTS: usize = 1 << 12;

/// A table of indices into a slab: 32 bytes a block and 6 to 12 for the index, where a table of whole blocks would
/// spend up to 75 right after it has grown.
#[derive(Debug, Default)]
pub(super) struct Live {
    index: HashTable<u32>,
    slab: Slab,
}

/// Allocators align to 16 bytes at least and spread blocks over few pages, so the low bits say little: one multiplication
/// (Fibonacci hashing, Knuth, TAOCP 3, 6.4) moves what differs to the top, where hashbrown takes its tag from, and
/// the fold brings it back down for the bucket.
const fn hash(address: u64) -> u64 {
    let product = address.rotate_right(4).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    product ^ product >> 32
}

impl Live {
    /// Adds a block, unless so many others are live.
    pub(super) fn insert(&mut self, block: Block, limit: usize) -> Added {
        let slab = &mut self.slab;
        let full = self.index.len() >= limit;
        let entry = self.index.entry(
            hash(block.address),
            |&slot| slab.get(slot).address == block.address,
            |&slot| hash(slab.get(slot).address),
        );
        match entry {
            Entry::Occupied(entry) => Added::Replaced(std::mem::replace(slab.get_mut(*entry.get()), block)),
            Entry::Vacant(_) if full => Added::Full,
            Entry::Vacant(entry) => match slab.add(block) {
                Some(slot) => {
                    entry.insert(slot);
                    Added::New
                }
                None => Added::Full,
            },
        }
    }

    /// The block at an address.
    pub(super) fn get(&self, address: u64) -> Option<&Block> {
        let slot = self
            .index
            .find(hash(address), |&slot| self.slab.get(slot).address == address)?;
        Some(self.slab.get(*slot))
    }

    /// Takes a block out.
    pub(super) fn remove(&mut self, address: u64) -> Option<Block> {
        let slab = &mut self.slab;
        let entry = self
            .index
            .find_entry(hash(address), |&slot| slab.get(slot).address == address)
            .ok()?;
        let (slot, _) = entry.remove();
        Some(slab.remove(slot))
    }

    /// All live blocks, in the order of the slab: a walk through memory rather than a jump for each.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Block> {
        self.slab.iter()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    /// The same blocks, all of another site; and what they count for.
    pub(super) fn copy(&self, site: u32) -> (Self, Amount) {
        let mut copy = Self::default();
        if self.is_sparse() {
            self.refill(&mut copy);
        } else {
            copy.index.clone_from(&self.index);
            copy.slab.clone_from(&self.slab);
        }
        let mut all = Amount::default();
        for block in copy.slab.iter_mut() {
            block.site = site;
            all.add(block.amount());
        }
        (copy, all)
    }

    /// Gives memory back when less than a quarter of it is used, as after a peak.
    pub(super) fn compact(&mut self) {
        if (self.slab.used as usize) < COMPACT_SLOTS || !self.is_sparse() {
            return;
        }
        let old = std::mem::take(self);
        old.refill(self);
    }

    fn is_sparse(&self) -> bool {
        self.index.len() < self.slab.used as usize / 4
    }

    /// Puts all blocks into a table that is empty.
    fn refill(&self, other: &mut Self) {
        other.index.reserve(self.index.len(), |_| 0);
        for block in self.iter() {
            other.insert(*block, usize::MAX);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(address: u64) -> Block {
        Block::new(address, address, address, 7, 1)
    }

    /// Bytes that are held.
    fn held(live: &Live) -> usize {
        live.index.allocation_size() + live.slab.held()
    }

    fn addresses(range: std::ops::Range<u64>) -> impl Iterator<Item = u64> {
        range.map(|index| 0x5555_0000_0000 + 48 * index)
    }

    #[test]
    fn a_block_costs_at_most_48_bytes_at_any_fill() {
        let mut live = Live::default();
        for (count, address) in (1..).zip(addresses(0..500_000)) {
            live.insert(block(address), usize::MAX);
            // Below, a chunk that is not full weighs too much.
            if count >= 10_000 {
                assert!(held(&live) <= 48 * count, "{} bytes for {count}", held(&live));
            }
        }
    }

    #[test]
    fn a_peak_gives_its_memory_back_and_loses_nothing() {
        let mut live = Live::default();
        for address in addresses(0..300_000) {
            assert_eq!(live.insert(block(address), usize::MAX), Added::New);
        }
        live.compact();
        assert_eq!(live.slab.used, 300_000);
        for address in addresses(1000..300_000) {
            assert_eq!(live.remove(address).map(|block| block.size), Some(address));
        }
        live.compact();
        assert_eq!(live.slab.used, 1000);
        assert!(held(&live) < 100_000, "{}", held(&live));
        assert!(live.iter().map(|block| block.address).eq(addresses(0..1000)));
        for address in addresses(1000..2000) {
            assert_eq!(live.insert(block(address), usize::MAX), Added::New);
        }
        for address in addresses(0..2000) {
            assert_eq!(live.insert(block(address), usize::MAX), Added::Replaced(block(address)));
            assert_eq!(live.get(address).map(|block| block.time_ns), Some(address));
            assert!(live.remove(address).is_some() && live.remove(address).is_none());
        }
        assert_eq!(live.iter().count(), 0);
    }

    #[test]
    fn a_copy_is_of_another_site_and_independent() {
        for kept in [3, 5000] {
            let mut live = Live::default();
            for address in addresses(0..5000) {
                live.insert(block(address), usize::MAX);
            }
            for address in addresses(kept..5000) {
                live.remove(address);
            }
            let (mut copy, all) = live.copy(9);
            assert_eq!((all.bytes, all.count), (addresses(0..kept).sum::<u64>(), kept));
            assert!(live.iter().all(|block| block.site == 7));
            for address in addresses(0..kept) {
                assert_eq!(copy.remove(address).map(|block| block.site), Some(9));
            }
            assert_eq!((copy.len(), live.len() as u64), (0, kept));
            assert!(held(&copy) <= held(&live));
        }
    }

    #[test]
    fn a_few_blocks_take_little_memory() {
        let mut live = Live::default();
        for address in addresses(0..50) {
            live.insert(block(address), usize::MAX);
        }
        assert!(held(&live) <= 3000, "{}", held(&live));
        assert_eq!(live.insert(block(1), 50), Added::Full);
        assert_eq!((live.len(), live.get(1)), (50, None));
    }
}
