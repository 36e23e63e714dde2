//! Arenas of pymalloc: what pools are cut from, and the array that lists them.
//!
//! The layout is that of `struct arena_object`, the same from 3.8 to 3.14.

use std::ops::Range;

use super::{
    memory::{Memory, half, word},
    pool::Header,
};

/// Bytes of an entry of the array.
const ENTRY: usize = 48;

/// Pools of an arena: 256 KiB of 4 KiB before 3.10, 1 MiB of 16 KiB since.
const POOLS: u64 = 64;

/// Most entries that are read: arenas of 256 GiB.
const MOST: usize = 1 << 18;

/// Most bytes of one part of the data that are looked through.
const MOST_DATA: usize = 64 << 20;

/// Entries that are read at once.
const PIECE: usize = 1024;

/// The array of an interpreter.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Array {
    /// The word that points to it (avma): it moves when it grows.
    pub(super) holder: u64,
    /// First entry (avma).
    avma: u64,
    /// Bytes of a pool.
    pub(super) pool: usize,
}

/// An arena that was there when the array was read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Arena {
    /// Its place in the array.
    pub(super) index: u32,
    /// First byte (avma); pools begin at the next multiple of their size.
    pub(super) start: u64,
    /// Bytes.
    pub(super) size: u64,
    /// Where the next pool would be cut (avma): nothing behind it was used yet.
    cut: u64,
}

impl Arena {
    /// Its pools so far.
    pub(super) fn pools(&self, pool: usize) -> Range<u64> {
        let start = self.start.next_multiple_of(pool as u64);
        start..self.cut.max(start)
    }

    /// Its addresses.
    pub(super) fn range(&self) -> Range<u64> {
        self.start..self.start + self.size
    }
}

/// An entry of the array.
enum Entry {
    Arena(Arena),
    /// One without an arena.
    Unused,
    /// None at all.
    Nonsense,
}

impl Array {
    /// Finds the array: behind which word of the data is the arena of each of these pools, at the place that the pool says? `None` when
    /// it is behind none, or behind several different ones.
    pub(super) fn find(memory: &impl Memory, data: &[Range<u64>], known: &[(u64, Header)]) -> Option<Self> {
        let (first, header) = known.first()?;
        let pool = header.size;
        let mut candidates: Vec<Self> = Vec::new();
        for range in data {
            let size = usize::try_from(range.end.checked_sub(range.start)?).ok()?;
            let mut bytes = vec![0; size.min(MOST_DATA)];
            if !memory.read(range.start, &mut bytes) {
                continue;
            }
            for at in (0..bytes.len()).step_by(8) {
                let Some(avma) = word(&bytes, at).filter(|avma| is_pointer(*avma)) else {
                    continue;
                };
                let holder = range.start + at as u64;
                let array = Self { holder, avma, pool };
                // Other words may point to its first entry as well.
                if candidates.iter().all(|known| known.avma != avma) && array.holds(memory, *first, *header) {
                    candidates.push(array);
                }
            }
        }
        // Of a process that runs, a pool may have gone meanwhile.
        candidates.retain(|array| array.holds_most(memory, known));
        match candidates[..] {
            [array] => Some(array),
            _ => None,
        }
    }

    /// Whether the arenas of most of these pools are where they say.
    pub(super) fn holds_most(&self, memory: &impl Memory, known: &[(u64, Header)]) -> bool {
        let held = known.iter().filter(|(pool, header)| self.holds(memory, *pool, *header));
        held.count() * 2 > known.len()
    }

    /// The array that a word points to.
    pub(super) fn behind(memory: &impl Memory, holder: u64, pool: usize) -> Option<Self> {
        let avma = memory.word(holder).filter(|avma| is_pointer(*avma))?;
        Some(Self { holder, avma, pool })
    }

    /// The same as it is now.
    pub(super) fn again(self, memory: &impl Memory) -> Option<Self> {
        Self::behind(memory, self.holder, self.pool)
    }

    /// Whether the arena of a pool is where the pool says.
    fn holds(&self, memory: &impl Memory, pool: u64, header: Header) -> bool {
        let at = u64::from(header.arena)
            .checked_mul(ENTRY as u64)
            .and_then(|into| self.avma.checked_add(into));
        let entry = at.and_then(|at| memory.record::<ENTRY>(at));
        entry.is_some_and(|bytes| match self.entry(&bytes, header.arena) {
            Entry::Arena(arena) => header.size == self.pool && arena.pools(self.pool).contains(&pool),
            Entry::Unused | Entry::Nonsense => false,
        })
    }

    /// All arenas. The array's length is not known: it ends at the first entry that is none. What lies behind it in the C library's heap
    /// may look like one; a pool of such an arena does not name it ([`Self::is_its`]).
    pub(super) fn arenas(&self, memory: &impl Memory) -> Vec<Arena> {
        let mut arenas: Vec<Arena> = Vec::new();
        let mut piece = PIECE;
        let mut index = 0;
        while index < MOST {
            let mut bytes = vec![0; piece * ENTRY];
            let at = self.avma.wrapping_add((index * ENTRY) as u64);
            if !memory.read(at, &mut bytes) {
                // It ends within this piece: the rest one by one.
                if piece == 1 {
                    break;
                }
                piece = 1;
                continue;
            }
            for entry in bytes.chunks_exact(ENTRY) {
                match self.entry(entry, u32::try_from(index).unwrap_or(u32::MAX)) {
                    Entry::Arena(arena) => arenas.push(arena),
                    Entry::Unused => {}
                    Entry::Nonsense => return arenas,
                }
                index += 1;
            }
        }
        arenas
    }

    /// Whether a header that was read in an arena says that it belongs to it.
    pub(super) const fn is_its(&self, header: &Header, arena: &Arena) -> bool {
        header.arena == arena.index && header.size == self.pool
    }

    fn entry(&self, bytes: &[u8], index: u32) -> Entry {
        let read = || {
            let (start, cut) = (word(bytes, 0)?, word(bytes, 8)?);
            let (free, total) = (half(bytes, 16)?, half(bytes, 20)?);
            let list = word(bytes, 24)?;
            if start == 0 {
                return Some(Entry::Unused);
            }
            let pool = self.pool as u64;
            let size = POOLS * pool;
            let end = start.checked_add(size)?;
            // One that does not begin where pools do has one less.
            let fits = POOLS - u64::from(!start.is_multiple_of(pool));
            let inside = |avma: u64| avma.is_multiple_of(pool) && (start..=end).contains(&avma);
            let sound = start.is_multiple_of(4096)
                && u64::from(total) == fits
                && free <= total
                && inside(cut)
                && (list == 0 || inside(list));
            sound.then_some(Entry::Arena(Arena {
                index,
                start,
                size,
                cut,
            }))
        };
        read().unwrap_or(Entry::Nonsense)
    }
}

/// Whether a word can be the address of something in user space.
const fn is_pointer(word: u64) -> bool {
    word != 0 && word.is_multiple_of(8) && word >> 47 == 0
}
