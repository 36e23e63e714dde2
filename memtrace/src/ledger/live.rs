//! The live blocks of one process incarnation, by address.

use hashbrown::{HashTable, hash_table::Entry};

/// A live block.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Block {
    /// Start (avma).
    pub(super) address: u64,
    /// Requested size in bytes.
    pub(super) size: u64,
    /// Kernel time of the allocation in nanoseconds.
    pub(super) time_ns: u64,
    /// Index of the site.
    pub(super) site: u32,
    /// Next free slot when this one is free.
    next: u32,
}

impl Block {
    pub(super) const fn new(address: u64, size: u64, time_ns: u64, site: u32) -> Self {
        Self {
            address,
            size,
            time_ns,
            site,
            next: NONE,
        }
    }
}

const NONE: u32 = u32::MAX;

/// A table of indices into a slab: 32 bytes a block and 5 to 10 for the index, where a table of whole blocks would
/// spend up to 75 right after it has grown.
#[derive(Debug)]
pub(super) struct Live {
    index: HashTable<u32>,
    slab: Vec<Block>,
    free: u32,
}

impl Default for Live {
    fn default() -> Self {
        Self {
            index: HashTable::new(),
            slab: Vec::new(),
            free: NONE,
        }
    }
}

/// Allocators align to 16 bytes at least and spread blocks over few pages, so the low bits say little: one multiplication
/// (Fibonacci hashing, Knuth, TAOCP 3, 6.4) moves what differs to the top, where hashbrown takes its tag from, and
/// the fold brings it back down for the bucket.
const fn hash(address: u64) -> u64 {
    let product = (address >> 4).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    product ^ product >> 32
}

impl Live {
    /// Adds a block; gives back the one that was still live at its address.
    pub(super) fn insert(&mut self, block: Block) -> Option<Block> {
        let slab = &mut self.slab;
        let entry = self.index.entry(
            hash(block.address),
            |&slot| slab[slot as usize].address == block.address,
            |&slot| hash(slab[slot as usize].address),
        );
        match entry {
            Entry::Occupied(entry) => {
                let slot = &mut slab[*entry.get() as usize];
                Some(std::mem::replace(slot, block))
            }
            Entry::Vacant(entry) => {
                let slot = if self.free == NONE {
                    let slot = u32::try_from(slab.len()).unwrap_or(NONE);
                    if slot == NONE {
                        // Four billion live blocks: 160 GiB of ledger. Not kept, as if it had been lost.
                        return Some(block);
                    }
                    slab.push(block);
                    slot
                } else {
                    let slot = self.free;
                    self.free = slab[slot as usize].next;
                    slab[slot as usize] = block;
                    slot
                };
                entry.insert(slot);
                None
            }
        }
    }

    /// The block at an address.
    pub(super) fn get(&self, address: u64) -> Option<&Block> {
        let slab = &self.slab;
        self.index
            .find(hash(address), |&slot| slab[slot as usize].address == address)
            .map(|&slot| &slab[slot as usize])
    }

    /// Takes a block out.
    pub(super) fn remove(&mut self, address: u64) -> Option<Block> {
        let slab = &mut self.slab;
        let entry = self
            .index
            .find_entry(hash(address), |&slot| slab[slot as usize].address == address)
            .ok()?;
        let (slot, _) = entry.remove();
        let block = slab[slot as usize];
        slab[slot as usize].next = self.free;
        self.free = slot;
        Some(block)
    }

    /// All live blocks.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Block> {
        self.index.iter().map(|&slot| &self.slab[slot as usize])
    }
}

const _: () = assert!(size_of::<Block>() == 32);
