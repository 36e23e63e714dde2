//! Heaps of V8: snapshots from files, and what the inspector of a running program tells.

mod consent;
mod cost;
mod input;
mod live;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

pub use self::{
    consent::Consent,
    live::{Found, Live},
};

use self::input::open;
use crate::{
    heap_snapshot,
    profile::heap::{HeapComparison, HeapPath, HeapSummary},
};

/// What a file is called in messages.
fn called(file: &Path) -> String {
    if file.as_os_str() == "-" {
        "standard input".into()
    } else {
        file.display().to_string()
    }
}

/// What a snapshot holds, with at most `top` of its objects.
///
/// # Errors
/// When the file cannot be read or is no snapshot.
pub fn summary(file: &Path, top: usize) -> anyhow::Result<HeapSummary> {
    let input = open(file)?;
    heap_snapshot::summary(input, top).with_context(|| format!("failed to read a heap snapshot from {}", called(file)))
}

/// Why an object is there.
///
/// # Errors
/// When the file cannot be read or is no snapshot, or has no such object.
pub fn path(file: &Path, id: u32) -> anyhow::Result<HeapPath> {
    let input = open(file)?;
    let found = heap_snapshot::path(input, id)
        .with_context(|| format!("failed to read a heap snapshot from {}", called(file)))?;
    match found {
        Some(path) => Ok(path),
        None => bail!(
            "no object of {} has the id {id}: `memtrace heap show` lists ids, and Chrome shows them behind an @",
            called(file)
        ),
    }
}

/// What is different between two snapshots.
///
/// # Errors
/// When a file cannot be read or is no snapshot.
pub fn comparison(before: &PathBuf, after: &PathBuf) -> anyhow::Result<HeapComparison> {
    if before.as_os_str() == "-" && after.as_os_str() == "-" {
        bail!("only one of two snapshots can come from standard input");
    }
    let (first, second) = (open(before)?, open(after)?);
    heap_snapshot::comparison(first, second).map_err(|(error, is_second)| {
        let file = if is_second { after } else { before };
        anyhow::Error::new(error).context(format!("failed to read a heap snapshot from {}", called(file)))
    })
}
