//! What can be wrong with a snapshot file.

use std::{collections::TryReserveError, io};

/// Why a snapshot could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read, or its compression is damaged.
    #[error("failed to read it: {0}")]
    Io(#[from] io::Error),
    /// It ends in the middle.
    #[error("it ends after {offset} bytes, in the middle of {place}: it was cut off; take it again")]
    Truncated {
        /// Uncompressed bytes that it has.
        offset: u64,
        /// What was being read.
        place: &'static str,
    },
    /// It is no JSON, or not what V8 writes.
    #[error("it is no heap snapshot of V8: at byte {offset}, in {place}, {found}")]
    Malformed {
        /// Uncompressed bytes before it.
        offset: u64,
        /// What was being read.
        place: &'static str,
        /// What is wrong there.
        found: String,
    },
    /// What its parts say does not fit together.
    #[error("its parts contradict each other: {0}")]
    Contradicts(String),
    /// More of something than there are numbers for.
    #[error("it has more {what} than memtrace can number ({most})")]
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// How many there can be.
        most: u64,
    },
    /// There is no memory for what it says that it has.
    #[error("there is not enough memory for {count} {what}: {error}")]
    Memory {
        /// What memory is needed for.
        what: &'static str,
        /// How many there are.
        count: u64,
        /// What the allocator says.
        error: TryReserveError,
    },
}

/// A vector with room for exactly so many entries. Pages that are never written cost nothing, so a count that is a lie does not either.
pub(super) fn room<T>(what: &'static str, count: usize) -> Result<Vec<T>, Error> {
    let mut entries = Vec::new();
    entries.try_reserve_exact(count).map_err(|error| Error::Memory {
        what,
        count: count as u64,
        error,
    })?;
    Ok(entries)
}
