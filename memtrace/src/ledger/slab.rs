//! Live blocks by number.

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
    /// The next free slot, for one that is free.
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

/// No slot, no site.
const NONE: u32 = u32::MAX;

/// Blocks of one chunk of the slab: 64 KiB.
const CHUNK: usize = 2048;

/// Blocks by number. In chunks, so that growing neither copies nor leaves a hole of its own size behind, and so that at
/// most a chunk is unused.
#[derive(Debug)]
pub(super) struct Slab {
    chunks: Vec<Box<[Block; CHUNK]>>,
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
            let next = place.next;
            *place = block;
            self.free = next;
            return Some(slot);
        }
        let slot = self.used;
        if slot == NONE {
            return None;
        }
        if slot as usize / CHUNK == self.chunks.len() {
            // On the heap from the start: an array would be made on the stack first.
            let chunk = vec![Block::new(0, 0, 0, NONE); CHUNK].into_boxed_slice();
            self.chunks.push(chunk.try_into().ok()?);
        }
        self.used += 1;
        *self.get_mut(slot) = block;
        Some(slot)
    }

    pub(super) fn remove(&mut self, slot: u32) -> Block {
        let next = self.free;
        self.free = slot;
        let place = self.get_mut(slot);
        let block = *place;
        place.site = NONE;
        place.next = next;
        block
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Block> {
        self.chunks
            .iter()
            .flat_map(|chunk| chunk.iter())
            .filter(|block| block.site != NONE)
    }

    /// Bytes that it holds.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.chunks.len() * size_of::<[Block; CHUNK]>()
    }
}

const _: () = assert!(size_of::<Block>() == 32);
