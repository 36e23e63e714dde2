//! Frees that found the ring full and wait in a map.

use aya::maps::{Array, HashMap, Map, MapData, MapError};
use memtrace_common::state::{LostFree, LostKey};

use super::ProbeError;

type LostMap = HashMap<MapData, LostKey, LostFree>;

/// Empties the two maps of lost frees in turn: while one is read, the BPF side writes to the other.
pub struct LostFrees {
    maps: [LostMap; 2],
    active: Array<MapData, u32>,
    /// Index of the map that is written to.
    current: u32,
}

impl LostFrees {
    pub(super) fn new(maps: [Map; 2], active: Map) -> Result<Self, ProbeError> {
        let failed = |source| ProbeError::map("open the maps of lost frees", source);
        let [first, second] = maps;
        Ok(Self {
            maps: [
                HashMap::try_from(first).map_err(failed)?,
                HashMap::try_from(second).map_err(failed)?,
            ],
            active: Array::try_from(active).map_err(failed)?,
            current: 0,
        })
    }

    /// Takes what was remembered before the last call, and turns the BPF side over to the map just emptied.
    ///
    /// Calls must lie further apart than a program can run (milliseconds), for a program that chose a map just before
    /// it was turned over finishes its write there. To take everything, stop listening and call twice.
    ///
    /// # Errors
    /// When the kernel does not let the maps be turned over.
    pub fn take(&mut self) -> Result<Vec<(LostKey, LostFree)>, ProbeError> {
        let idle = 1 - self.current;
        let map = &mut self.maps[idle as usize];
        let entries: Vec<_> = map.iter().filter_map(Result::ok).collect();
        for (key, _) in &entries {
            match map.remove(key) {
                // Gone: a failed `realloc` took it back meanwhile.
                Ok(()) | Err(MapError::KeyNotFound) => {}
                Err(source) => log::debug!("lost free of {:#x} stays in its map: {source}", key.address),
            }
        }
        self.active
            .set(0, idle, 0)
            .map_err(|source| ProbeError::map("turn the maps of lost frees over", source))?;
        self.current = idle;
        Ok(entries)
    }
}
