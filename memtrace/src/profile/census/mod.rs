//! What the heap of a Python interpreter is made of at a moment: blocks of its own allocator, by type and by size.

mod diff;

use serde::{Deserialize, Serialize};

pub use self::diff::{Change, Comparison};

/// Version of the file that a census is kept in. Readers refuse others.
pub const FORMAT_VERSION: u32 = 1;

/// A census. The parts sum to the whole: every block in use is of a type, unowned, unknown or unread.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Census {
    /// [`FORMAT_VERSION`].
    pub census_version: u32,
    /// The process.
    pub pid: u32,
    /// The name of its main thread.
    pub command: String,
    /// The version of the interpreter.
    pub python: String,
    /// The file that the interpreter is in.
    pub file: String,
    /// How long it took, in seconds: the program ran meanwhile.
    pub seconds: f64,
    /// Interpreters with a heap of their own: more than one where there are isolated subinterpreters.
    pub interpreters: u64,
    /// Whether the debug hooks are on, which make every block larger (`PYTHONMALLOC=debug`).
    pub debug_hooks: bool,
    /// Memory that the allocator has from the kernel.
    pub arenas: Amount,
    /// Pieces of them for blocks of one size.
    pub pools: Pools,
    /// Blocks in use, of all kinds.
    pub blocks: Amount,
    /// Blocks of pools in use that are free.
    pub free: Amount,
    /// Objects by type, largest first.
    pub types: Vec<Type>,
    /// Blocks with a type where that of an object would be, but no plausible reference count.
    pub unowned: Amount,
    /// Blocks in which no type was found.
    pub unknown: Amount,
    /// Blocks that the counts of their pools tell of, and that could not be looked at.
    pub unread: Amount,
    /// The same blocks by size.
    pub sizes: Vec<Size>,
    /// How far it can be trusted.
    pub health: Health,
}

/// A program's census at the beginning of an observation, and at its end.
#[derive(Clone, Debug)]
pub struct Growth {
    /// At the beginning.
    pub before: Census,
    /// At the end.
    pub after: Census,
}

/// Blocks, or arenas.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Amount {
    /// How many.
    pub count: u64,
    /// What they take, in bytes: of a block its usable size, which is the requested one rounded up to a multiple of 16.
    pub bytes: u64,
}

impl Amount {
    /// Both together.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            count: self.count.saturating_add(other.count),
            bytes: self.bytes.saturating_add(other.bytes),
        }
    }
}

/// Pools of all arenas.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Pools {
    /// Bytes of one.
    pub bytes_each: u64,
    /// With at least one block in use.
    pub used: u64,
    /// Used before, now without any.
    pub free: u64,
}

/// The objects of a type: of all types with that name.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Type {
    /// The type's name (`tp_name`), with its module unless it is the interpreter's own, or the module is not told.
    pub name: String,
    /// How many types have that name.
    pub types: u64,
    /// Their objects.
    pub objects: Amount,
}

/// Blocks of one size.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Size {
    /// Bytes of a block.
    pub block: u64,
    /// Pools with blocks in use.
    pub pools: u64,
    /// Blocks in use.
    pub used: u64,
    /// Free blocks of these pools.
    pub free: u64,
}

/// What went wrong, or may have.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Health {
    /// Pools that changed whenever they were read: their blocks are unread.
    pub torn_pools: u64,
    /// Pools whose headers could not be understood: their blocks are missing.
    pub unreadable_pools: u64,
    /// Arenas that were gone when they were to be read: their blocks are missing.
    pub gone_arenas: u64,
    /// Arenas that were new at the end: their blocks are missing.
    pub new_arenas: u64,
    /// Whether there were too many things that could have been types: some objects may be among the unknown blocks.
    pub types_limited: bool,
}

impl Health {
    /// Whether nothing went wrong.
    pub fn is_good(&self) -> bool {
        *self == Self::default()
    }
}

impl Census {
    /// Objects of all types.
    pub fn objects(&self) -> Amount {
        self.types
            .iter()
            .fold(Amount::default(), |sum, row| sum.plus(row.objects))
    }

    /// Reads one from the file that it was written to.
    ///
    /// # Errors
    /// Why it is none.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        let census: Self =
            serde_json::from_slice(text).map_err(|error| format!("it is no census of memtrace: {error}"))?;
        match census.census_version {
            FORMAT_VERSION => Ok(census),
            other => Err(format!(
                "it is a census of format {other}, and this memtrace reads format {FORMAT_VERSION}: use the memtrace that wrote it"
            )),
        }
    }
}
