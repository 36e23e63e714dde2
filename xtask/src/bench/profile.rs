//! What the benchmarks read of memtrace's profile.json.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};
use serde::Deserialize;

/// A profile.
#[derive(Debug, Deserialize)]
pub(super) struct Profile {
    /// Sums over all sites.
    pub(super) totals: Totals,
    /// Whether they can be believed.
    pub(super) health: Health,
}

/// Sums over all sites.
#[derive(Debug, Deserialize)]
pub(super) struct Totals {
    /// Not yet freed.
    pub(super) live: Amount,
    /// Ever allocated.
    pub(super) allocated: Amount,
}

/// Blocks.
#[derive(Debug, Deserialize)]
pub(super) struct Amount {
    /// How many.
    pub(super) count: u64,
}

/// The part on the run itself.
#[derive(Debug, Deserialize)]
pub(super) struct Health {
    /// Whether nothing was lost.
    pub(super) exact: bool,
    /// One line on that.
    pub(super) summary: String,
    /// Records taken from the ring.
    pub(super) events: u64,
    /// What observing cost.
    pub(super) cost: Cost,
}

/// What observing cost, as memtrace saw it.
#[derive(Debug, Deserialize)]
pub(super) struct Cost {
    /// Run time of its BPF programs, without the traps; estimated.
    pub(super) bpf_seconds: f64,
    /// Probe hits.
    pub(super) hits: u64,
}

impl Profile {
    /// Reads the one that memtrace wrote into a folder (`-o`).
    pub(super) fn read(folder: &Path) -> Result<Self> {
        let path = folder.join("profile.json");
        let text =
            fs::read_to_string(&path).with_context(|| format!("failed to read memtrace's {}", path.display()))?;
        serde_json::from_str(&text).with_context(|| format!("failed to understand {}", path.display()))
    }
}
