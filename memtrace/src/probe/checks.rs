//! What came of the checks of hooks, as the BPF side counts it.

use aya::maps::{HashMap, Map, MapData};
use memtrace_common::check::Checked;

use super::ProbeError;

/// Tells how often hooks were checked.
pub struct Checks(HashMap<MapData, u32, Checked>);

impl Checks {
    pub(super) fn new(map: Map) -> Result<Self, ProbeError> {
        let map = HashMap::try_from(map).map_err(|source| ProbeError::map("open the map of checks", source))?;
        Ok(Self(map))
    }

    /// From now on calls of this hook are counted, by its key; what was counted before stays.
    ///
    /// # Errors
    /// When the kernel does not take one more.
    pub fn begin(&mut self, hook: u32) -> Result<(), ProbeError> {
        if self.0.get(&hook, 0).is_ok() {
            return Ok(());
        }
        self.0
            .insert(hook, Checked::default(), 0)
            .map_err(|source| ProbeError::map("add a hook to those checked", source))
    }

    /// What was counted of a hook.
    pub fn of(&self, hook: u32) -> Checked {
        self.0.get(&hook, 0).unwrap_or_default()
    }
}
