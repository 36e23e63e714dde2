//! What the BPF side unwinds by: tables, the mappings they belong to, and its word that mappings have changed.

use std::{thread, time::Duration};

use aya::{
    maps::{Array, ArrayOfMaps, HashMap, Map, MapData, MapError},
    sys::SyscallError,
};
use memtrace_common::{
    limits::{CACHED_RULES, MAX_ARENAS},
    space::{Changes, FileKey, FileTable, Recent, Space},
    unwind::CHUNK_WORDS,
};

use rustix::io::Errno;

use super::ProbeError;

/// `BPF_F_INNER_MAP` (include/uapi/linux/bpf.h, Linux 5.10): arrays of different lengths may lie in one array of maps.
const INNER_MAP: u32 = 1 << 12;

/// How often the kernel is asked again for memory that it has not at hand at once, and how long it is given to get some.
const MEMORY_TRIES: u32 = 20;
const MEMORY_PAUSE: Duration = Duration::from_millis(1);

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
    spaces: HashMap<MapData, u32, Space>,
    changes: HashMap<MapData, u32, Changes>,
    recents: HashMap<MapData, u32, Recent>,
    files: HashMap<MapData, FileKey, FileTable>,
    rules: Array<MapData, [u64; 2]>,
    /// What takes the place of an array that is given back: an array of maps has no other way to let go of one.
    nothing: Array<MapData, Chunk>,
    /// By index; whether an arena is there.
    used: Vec<bool>,
    /// Where to look for a free index first: one that was given back is used again as late as possible, for a walk that
    /// began before may still name it.
    next: u32,
}

impl Tables {
    pub(super) fn new([tables, spaces, changes, recents, files, rules]: [Map; 6]) -> Result<Self, ProbeError> {
        let failed = |source| ProbeError::map("open the maps of unwind tables", source);
        Ok(Self {
            arenas: ArrayOfMaps::try_from(tables).map_err(failed)?,
            spaces: HashMap::try_from(spaces).map_err(failed)?,
            changes: HashMap::try_from(changes).map_err(failed)?,
            recents: HashMap::try_from(recents).map_err(failed)?,
            files: HashMap::try_from(files).map_err(failed)?,
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

    /// Makes a space the one that the stacks of its process are unwound by; `false` when there are too many.
    ///
    /// # Errors
    /// When the kernel does not take it.
    pub fn publish(&mut self, space: &Space) -> Result<bool, ProbeError> {
        let mut tries = 0;
        loop {
            match self.spaces.insert(space.incarnation, space, 0) {
                Ok(()) => return Ok(true),
                Err(MapError::SyscallError(error)) if is(&error, Errno::TOOBIG) => return Ok(false),
                // The kernel keeps little memory of this size at hand, and gets more in the background.
                Err(MapError::SyscallError(error)) if is(&error, Errno::NOMEM) && tries < MEMORY_TRIES => {
                    tries += 1;
                    thread::sleep(MEMORY_PAUSE);
                }
                Err(source) => return Err(ProbeError::map("tell of mappings", source)),
            }
        }
    }

    /// Forgets a space, and what became newer than it: no living process has it.
    pub fn forget(&mut self, incarnation: u32) {
        // Any of them may not be there.
        let _none = self.spaces.remove(&incarnation);
        let _none = self.changes.remove(&incarnation);
        let _none = self.recents.remove(&incarnation);
    }

    /// Tells where the table of a file is, for processes that map it from now on. Of more files than there is room for it is not
    /// told: their code is early for a while.
    pub fn tell_file(&mut self, key: FileKey, table: &FileTable) {
        if let Err(error) = self.files.insert(key, table, 0) {
            log::debug!("code of one more file will be early: {error}");
        }
    }

    /// Takes that back: the table is about to go.
    pub fn forget_file(&mut self, key: FileKey) {
        let _none = self.files.remove(&key);
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

fn is(error: &SyscallError, errno: Errno) -> bool {
    error.io_error.raw_os_error() == Some(errno.raw_os_error())
}
