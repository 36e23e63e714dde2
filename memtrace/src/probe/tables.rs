//! What the BPF side unwinds by: tables, the mappings they belong to, and its word that mappings have changed.

use aya::maps::{Array, ArrayOfMaps, Map, MapData, MapError};
use memtrace_common::{
    limits::{CACHED_RULES, MAX_ARENAS, SPACE_COPIES},
    space::{Changes, Space},
    unwind::CHUNK_WORDS,
};

use super::ProbeError;

/// `BPF_F_INNER_MAP` (include/uapi/linux/bpf.h, Linux 5.10): arrays of different lengths may lie in one array of maps.
const INNER_MAP: u32 = 1 << 12;

/// A piece of a table, as one value of an array.
type Chunk = [u32; CHUNK_WORDS];

/// An array of tables in the kernel.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Arena(u32);

impl Arena {
    /// Its number, for [`memtrace_common::space::Mapping::arena`].
    pub const fn index(self) -> u32 {
        self.0
    }
}

/// Loads tables and tells the BPF side of them.
pub struct Tables {
    arenas: ArrayOfMaps<MapData, Array<MapData, Chunk>>,
    spaces: Array<MapData, Space>,
    current: Array<MapData, u64>,
    rules: Array<MapData, [u64; 2]>,
    /// What takes the place of an array that is given back: an array of maps has no other way to let go of one.
    nothing: Array<MapData, Chunk>,
    /// By index; whether an arena is there.
    used: Vec<bool>,
    /// Where to look for a free index first: one that was given back is used again as late as possible, for a walk that
    /// began before may still name it.
    next: u32,
}

/// Tells of the BPF side's word that executable mappings have changed.
pub struct CodeChanges(Array<MapData, Changes>);

impl CodeChanges {
    pub(super) fn new(map: Map) -> Result<Self, ProbeError> {
        let map = Array::try_from(map).map_err(|source| ProbeError::map("open the map of changes", source))?;
        Ok(Self(map))
    }

    /// Kernel monotonic time in nanoseconds of the last change in a process; 0 for none.
    ///
    /// # Errors
    /// When the kernel does not give it.
    pub fn last(&self, slot: u32) -> Result<u64, ProbeError> {
        self.0
            .get(&slot, 0)
            .map(|changes| changes.last)
            .map_err(|source| ProbeError::map("read what changed", source))
    }
}

impl Tables {
    pub(super) fn new([tables, spaces, current, rules]: [Map; 4]) -> Result<Self, ProbeError> {
        let failed = |source| ProbeError::map("open the maps of unwind tables", source);
        Ok(Self {
            arenas: ArrayOfMaps::try_from(tables).map_err(failed)?,
            spaces: Array::try_from(spaces).map_err(failed)?,
            current: Array::try_from(current).map_err(failed)?,
            rules: Array::try_from(rules).map_err(failed)?,
            nothing: Array::create(1, INNER_MAP).map_err(failed)?,
            used: vec![false; MAX_ARENAS as usize],
            next: 0,
        })
    }

    /// Loads the words of one or several tables; each begins at a chunk of its own.
    ///
    /// # Errors
    /// When there are too many, or the kernel has no memory for them.
    pub fn load(&mut self, words: &[u32]) -> Result<Arena, ProbeError> {
        let failed = |source| ProbeError::map("load unwind tables", source);
        let free = (0..MAX_ARENAS)
            .map(|step| (self.next + step) % MAX_ARENAS)
            .find(|&index| !self.used[index as usize])
            .ok_or_else(|| {
                failed(MapError::OutOfBounds {
                    index: MAX_ARENAS,
                    max_entries: MAX_ARENAS,
                })
            })?;
        let count = words.len().div_ceil(CHUNK_WORDS);
        let mut array = Array::<MapData, Chunk>::create(u32::try_from(count.max(1)).unwrap_or(u32::MAX), INNER_MAP)
            .map_err(failed)?;
        for (index, words) in (0..).zip(words.chunks(CHUNK_WORDS)) {
            let mut chunk = [0; CHUNK_WORDS];
            chunk[..words.len()].copy_from_slice(words);
            array.set(index, chunk, 0).map_err(failed)?;
        }
        self.arenas.set(free, &array, 0).map_err(failed)?;
        self.used[free as usize] = true;
        self.next = free + 1;
        Ok(Arena(free))
    }

    /// Gives back the memory of an array. No published space may name it.
    ///
    /// # Errors
    /// When the kernel does not let it go.
    pub fn unload(&mut self, arena: Arena) -> Result<(), ProbeError> {
        self.arenas
            .set(arena.0, &self.nothing, 0)
            .map_err(|source| ProbeError::map("give unwind tables back", source))?;
        self.used[arena.0 as usize] = false;
        Ok(())
    }

    /// Makes a space the one that a process's stacks are unwound by. `copy` is its number so far: each publication of a
    /// process has the next.
    ///
    /// # Errors
    /// When the kernel does not take it.
    pub fn publish(&mut self, slot: u32, copy: u32, space: &Space) -> Result<(), ProbeError> {
        let failed = |source| ProbeError::map("tell of mappings", source);
        let copy = copy % SPACE_COPIES;
        self.spaces.set(slot * SPACE_COPIES + copy, space, 0).map_err(failed)?;
        self.current.set(slot, u64::from(copy), 0).map_err(failed)
    }

    /// Empties the cache of rules, so that generations can be used again.
    ///
    /// # Errors
    /// When the kernel does not let it.
    pub fn forget_rules(&mut self) -> Result<(), ProbeError> {
        for slot in 0..CACHED_RULES {
            self.rules
                .set(slot, [0, 0], 0)
                .map_err(|source| ProbeError::map("empty the cache of rules", source))?;
        }
        Ok(())
    }
}
