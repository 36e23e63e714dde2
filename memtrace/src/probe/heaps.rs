//! Where interpreters have their heaps, as the BPF side knows it.

use aya::maps::{HashMap, MapData};
use memtrace_common::pymalloc::Heap;

use super::{ProbeError, Probes};

/// Tells of heaps.
pub struct Heaps(HashMap<MapData, u32, Heap>);

impl Probes {
    /// What tells of heaps; can be taken once.
    ///
    /// # Errors
    /// When it was taken before.
    pub fn heaps(&mut self) -> Result<Heaps, ProbeError> {
        let map = HashMap::try_from(self.map("HEAPS")?);
        let map = map.map_err(|source| ProbeError::map("open the map of heaps", source))?;
        Ok(Heaps(map))
    }
}

impl Heaps {
    /// From now on calls of pymalloc by code in line are followed in a program, named by the incarnation that it began with, and in all
    /// that are forked from it.
    ///
    /// # Errors
    /// When there are too many.
    pub fn publish(&mut self, program: u32, heap: &Heap) -> Result<(), ProbeError> {
        let inserted = self.0.insert(program, heap, 0);
        inserted.map_err(|source| ProbeError::map("tell of a heap", source))
    }
}
