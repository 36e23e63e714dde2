//! Opens recordings that are files.

use std::{
    fs::File,
    io::BufReader,
    path::Path,
    sync::{Arc, atomic::AtomicU64},
};

use anyhow::{Context as _, bail};

use super::{Reading, failed};
use crate::progress::{self, Total, Watched};

/// What is said while it takes long.
pub(super) fn reading(path: &Path) -> String {
    format!("reading {}", path.display())
}

impl Reading {
    /// Opens a recording.
    ///
    /// # Errors
    /// A file that cannot be read, or is no recording.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let file = File::open(path).with_context(|| failed(path))?;
        let metadata = file.metadata().with_context(|| failed(path))?;
        if metadata.is_dir() {
            bail!("{} is a directory: name the recording itself", path.display());
        }
        let at = Arc::new(AtomicU64::new(0));
        let bytes = metadata.len();
        let _stage = progress::stage_at(reading(path), Total::Bytes(bytes), Arc::clone(&at));
        let file = BufReader::with_capacity(1 << 16, Watched::new(file, Arc::clone(&at)));
        Ok(Self {
            at,
            bytes,
            ..Self::new(file, path)?
        })
    }
}
