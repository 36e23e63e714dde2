//! A pool of pymalloc: blocks of one size behind a header. Pure; all that is in it may be anything.
//!
//! The layout is that of `struct pool_header` (`Objects/obmalloc.c`, from 3.12 `Include/internal/pycore_obmalloc.h`), the same from 3.8 to 3.14.

use super::memory::{Memory, half, word};

/// Bytes of the header (`POOL_OVERHEAD`).
pub(super) const HEADER: usize = 48;

/// What sizes are multiples of (`ALIGNMENT`).
pub(super) const ALIGNMENT: usize = 16;

/// Sizes of blocks (`NB_SMALL_SIZE_CLASSES`): 16, 32 ... 512 bytes.
pub(super) const CLASSES: usize = 32;

/// What a pool can have as its size: before 3.10 a page, since then four (`POOL_SIZE`).
pub(super) const SIZES: [usize; 2] = [4096, 16384];

/// Whether a pool has no block in use any more, so that it was given back. Of one that cannot be read nothing is known: of a process that
/// ends the memory goes first.
pub fn is_empty(memory: &impl Memory, pool: u64) -> bool {
    // Its count of blocks in use comes first.
    memory.record(pool).is_some_and(|count| u32::from_le_bytes(count) == 0)
}

/// Most blocks of a pool.
const MOST_BLOCKS: usize = (SIZES[1] - HEADER) / ALIGNMENT;

/// Words of one bit for each block.
const WORDS: usize = MOST_BLOCKS.div_ceil(64);

/// The header of a pool.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Header {
    /// Blocks in use.
    pub(super) used: u32,
    /// First block of the list of free ones (avma); 0 is none.
    free: u64,
    /// Which arena it says that it is of.
    pub(super) arena: u32,
    /// Bytes of a block.
    pub(super) block: usize,
    /// Bytes of the pool.
    pub(super) size: usize,
    /// Blocks that have been handed out or were made ready for it; those after them were never used.
    carved: usize,
}

impl Header {
    /// Reads a header; `None` for what cannot be one.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let class = half(bytes, 36)? as usize;
        (class < CLASSES).then_some(())?;
        let block = (class + 1) * ALIGNMENT;
        // The last place for a block is its size before the end.
        let size = half(bytes, 44)? as usize + block;
        SIZES.contains(&size).then_some(())?;
        let next = half(bytes, 40)? as usize;
        let carved = next.checked_sub(HEADER)?;
        let fits = (size - HEADER) / block;
        (carved.is_multiple_of(block) && carved / block <= fits).then_some(())?;
        let used = half(bytes, 0)?;
        (used as usize <= carved / block).then_some(Self {
            used,
            free: word(bytes, 8)?,
            arena: half(bytes, 32)?,
            block,
            size,
            carved: carved / block,
        })
    }

    /// The class of its blocks' size.
    pub(super) const fn class(&self) -> usize {
        self.block / ALIGNMENT - 1
    }

    /// Blocks that fit.
    pub(super) const fn capacity(&self) -> usize {
        (self.size - HEADER) / self.block
    }
}

/// Which blocks of a pool are in use.
#[derive(Clone, Copy, Debug)]
pub(super) struct Used {
    free: [u64; WORDS],
    header: Header,
}

impl Used {
    /// Follows the list of free blocks of a pool that lies at `avma`. `None` where it leads elsewhere, in a circle, or to another
    /// number of blocks than the header has: the pool was changed while it was read.
    pub(super) fn find(header: Header, avma: u64, pool: &[u8]) -> Option<Self> {
        let mut free = [0_u64; WORDS];
        let (mut next, mut count) = (header.free, 0);
        while next != 0 {
            let at = usize::try_from(next.checked_sub(avma)?).ok()?;
            let into = at.checked_sub(HEADER)?;
            let index = into / header.block;
            (into.is_multiple_of(header.block) && index < header.carved).then_some(())?;
            let (words, bit) = (free.get_mut(index / 64)?, 1 << (index % 64));
            (*words & bit == 0).then_some(())?;
            *words |= bit;
            count += 1;
            next = word(pool, at)?;
        }
        (header.carved - count == header.used as usize).then_some(Self { free, header })
    }

    /// Offsets of the blocks in use, from the start of the pool.
    pub(super) fn offsets(&self) -> impl Iterator<Item = usize> {
        (0..self.header.carved)
            .filter(|index| self.free[index / 64] >> (index % 64) & 1 == 0)
            .map(|index| HEADER + index * self.header.block)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A pool at an address with blocks of which some were freed again, as pymalloc leaves it.
    pub(in super::super) fn made(avma: u64, size: usize, class: usize, arena: u32, blocks: &[bool]) -> Vec<u8> {
        let block = (class + 1) * ALIGNMENT;
        let mut bytes = vec![0; size];
        let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        let mut free = 0_u64;
        for (index, _) in blocks.iter().enumerate().filter(|(_, used)| !**used) {
            let at = HEADER + index * block;
            put(at, &free.to_le_bytes());
            free = avma + at as u64;
        }
        let half = |value: usize| u32::try_from(value).unwrap().to_le_bytes();
        put(0, &half(blocks.iter().filter(|used| **used).count()));
        put(8, &free.to_le_bytes());
        put(32, &arena.to_le_bytes());
        put(36, &half(class));
        put(40, &half(HEADER + blocks.len() * block));
        put(44, &half(size - block));
        bytes
    }

    proptest! {
        #[test]
        fn exactly_the_used_blocks_are_found(class in 0..CLASSES, large: bool, blocks in prop::collection::vec(any::<bool>(), 0..1021)) {
            let size = SIZES[usize::from(large)];
            let fits = (size - HEADER) / ((class + 1) * ALIGNMENT);
            let blocks = &blocks[..blocks.len().min(fits)];
            let bytes = made(0x10000, size, class, 3, blocks);
            let header = Header::parse(&bytes).unwrap();
            prop_assert_eq!((header.size, header.class(), header.arena, header.capacity()), (size, class, 3, fits));
            let used = Used::find(header, 0x10000, &bytes).unwrap();
            let wanted: Vec<usize> =
                (0..blocks.len()).filter(|&index| blocks[index]).map(|index| HEADER + index * (class + 1) * ALIGNMENT).collect();
            prop_assert_eq!(used.offsets().collect::<Vec<_>>(), wanted);
        }

        #[test]
        fn anything_is_survived_and_never_gives_more_than_fits(
            mut bytes in prop::collection::vec(any::<u8>(), 16384),
            class in 0..40_u32, next in 0..20_000_u32, used in 0..1100_u32, free in 0..20_000_u64,
        ) {
            bytes[36..40].copy_from_slice(&class.to_le_bytes());
            bytes[40..44].copy_from_slice(&next.to_le_bytes());
            bytes[44..48].copy_from_slice(&(16384 - (class + 1) * 16).to_le_bytes());
            bytes[..4].copy_from_slice(&used.to_le_bytes());
            bytes[8..16].copy_from_slice(&free.to_le_bytes());
            if let Some(header) = Header::parse(&bytes) {
                prop_assert!(header.used as usize <= header.capacity());
                if let Some(used) = Used::find(header, 0, &bytes) {
                    prop_assert_eq!(used.offsets().count(), header.used as usize);
                    prop_assert!(used.offsets().all(|at| at + header.block <= header.size));
                }
            }
        }
    }

    #[test]
    fn a_list_that_was_torn_is_noticed() {
        let good = made(0x4000, 4096, 3, 0, &[true, false, false, true]);
        let header = |bytes: &[u8]| Header::parse(bytes).unwrap();
        assert!(Used::find(header(&good), 0x4000, &good).is_some());
        let damage = |at: usize, value: u64| {
            let mut bytes = good.clone();
            bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
            Used::find(header(&bytes), 0x4000, &bytes).is_none()
        };
        let second = HEADER + 2 * 64;
        assert!(damage(second, 0x4000 + second as u64), "a circle");
        assert!(damage(second, 0x4000 + 8), "into the header");
        assert!(damage(second, 0x3000) && damage(second, u64::MAX), "elsewhere");
        assert!(damage(second, 0), "too short");
        assert!(damage(second, 0x4000 + (HEADER + 64 + 16) as u64), "within a block");
    }
}
