//! Why a file has no table.

use std::io;

/// Why no table could be made of a file.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// The file cannot be read, or has become shorter meanwhile.
    #[error("failed to read {what}: {source}")]
    Read {
        /// Which part of the file.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The file is no program that these tables can describe.
    #[error("not an x86-64 ELF file: {0}")]
    Foreign(&'static str),
    /// The file contradicts itself.
    #[error("damaged ELF file: {0}")]
    Damaged(&'static str),
    /// The file has more of something than is looked at.
    #[error("too large: {size} {what}, at most {limit} are read")]
    TooLarge {
        /// Of what.
        what: &'static str,
        /// How much there is.
        size: u64,
        /// How much is allowed.
        limit: u64,
    },
}

/// Whether there is no more of something than allowed.
pub(super) fn bounded(what: &'static str, size: u64, limit: u64) -> Result<(), TableError> {
    if size > limit {
        return Err(TableError::TooLarge { what, size, limit });
    }
    Ok(())
}
