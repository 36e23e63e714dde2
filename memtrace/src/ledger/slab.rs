//! Live blocks by number.

use crate::profile::Amount;

/// A live block.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Block {
    /// Start (avma).
    pub(super) address: u64,
    /// Requested size in bytes.
    pub(super) size: u64,
    /// Kernel time of the allocation in nanoseconds.
    pub(super) time_ns: u64,
    /// Index of the site, or [`NONE`] for a slot that is free.
    pub(super) site: u32,
    /// For how many blocks of its size it stands; the next free slot, for one that is free.
    weight: u32,
}

impl Block {
    pub(super) const fn new(address: u64, size: u64, time_ns: u64, site: u32, weight: u32) -> Self {
        Self {
            address,
            size,
            time_ns,
            site,
            weight,
        }
    }

    /// What it counts for.
    pub(super) const fn amount(&self) -> Amount {
        Amount {
            bytes: self.size.wrapping_mul(self.weight as u64),
            count: self.weight as u64,
        }
    }
}

/// No slot, no site.
const NONE: u32 = u32::MAX;

/// Blocks of one chunk of the slab: 64 KiB.
const CHUNK: usize = 2048;

/// Blocks of the first chunk at first; it doubles until it is as large as the others.
const FIRST: usize = 16;

/// Blocks by number. In chunks, so that growing neither copies nor leaves a hole of its own size behind, and so that at
/// most a chunk is unused. The first one starts small: most programs of a session are small and short.
#[derive(Clone, Debug)]
pub(super) struct Slab {
    chunks: Vec<Box<[Block]>>,
    /// Slots that were ever used; the others are at the end of the last chunk.
    pub(super) used: u32,
    /// The first free slot of those, each of which names the next.
    free: u32,
}

impl Default for Slab {
    fn default() -> Self {
        Self {
            chunks: Vec::new(),
            used: 0,
            free: NONE,
        }
    }
}

impl Slab {
    pub(super) fn get(&self, slot: u32) -> &Block {
        let slot = slot as usize;
        &self.chunks[slot / CHUNK][slot % CHUNK]
    }

    pub(super) fn get_mut(&mut self, slot: u32) -> &mut Block {
        let slot = slot as usize;
        &mut self.chunks[slot / CHUNK][slot % CHUNK]
    }

    /// Stores a block; `None` when every number is taken.
    pub(super) fn add(&mut self, block: Block) -> Option<u32> {
        if self.free != NONE {
            let slot = self.free;
            let place = self.get_mut(slot);
            let next = place.weight;
            *place = block;
            self.free = next;
            return Some(slot);
        }
        let slot = self.used;
        if slot == NONE {
            return None;
        }
        self.make_room(slot as usize);
        self.used += 1;
        *self.get_mut(slot) = block;
        Some(slot)
    }

    /// Makes sure that there is a slot of this number, one more than there were.
    fn make_room(&mut self, slot: usize) {
        const VACANT: Block = Block::new(0, 0, 0, NONE, NONE);
        match self.chunks.as_mut_slice() {
            [] => self.chunks.push(vec![VACANT; FIRST].into()),
            [first] if slot == first.len() && slot < CHUNK => {
                let mut larger = Vec::with_capacity(2 * slot);
                larger.extend_from_slice(first);
                larger.resize(2 * slot, VACANT);
                *first = larger.into();
            }
            chunks if slot == chunks.len() * CHUNK => self.chunks.push(vec![VACANT; CHUNK].into()),
            _ => {}
        }
    }

    pub(super) fn remove(&mut self, slot: u32) -> Block {
        let next = self.free;
        self.free = slot;
        let place = self.get_mut(slot);
        let block = *place;
        place.site = NONE;
        place.weight = next;
        block
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Block> {
        self.chunks
            .iter()
            .flat_map(|chunk| chunk.iter())
            .filter(|block| block.site != NONE)
    }

    /// The same, to be changed; not the site to none.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Block> {
        self.chunks
            .iter_mut()
            .flat_map(|chunk| chunk.iter_mut())
            .filter(|block| block.site != NONE)
    }

    /// Bytes that it holds.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.chunks.iter().map(|chunk| size_of_val(&**chunk)).sum()
    }
}

const _: () = assert!(size_of::<Block>() == 32);
