//! Which programs have an interpreter, as the BPF side knows it.

use aya::maps::{Array, HashMap, Map, MapData};
use memtrace_common::python::Layout;

use super::{ProbeError, Probes};

/// Tells of interpreters.
pub struct Pythons {
    layouts: HashMap<MapData, u32, Layout>,
    count: Array<MapData, u32>,
    known: u32,
}

impl Probes {
    /// What tells of interpreters; can be taken once.
    ///
    /// # Errors
    /// When it was taken before.
    pub fn pythons(&mut self) -> Result<Pythons, ProbeError> {
        let [layouts, count] = [self.map("PYTHONS")?, self.map("PYTHON_COUNT")?];
        Pythons::new(layouts, count).map_err(|source| ProbeError::map("open the map of interpreters", source))
    }
}

impl Pythons {
    fn new(layouts: Map, count: Map) -> Result<Self, aya::maps::MapError> {
        Ok(Self {
            layouts: HashMap::try_from(layouts)?,
            count: Array::try_from(count)?,
            known: 0,
        })
    }

    /// From now on stacks of a program, named by the incarnation that it began with, have Python frames.
    ///
    /// # Errors
    /// When there are too many.
    pub fn publish(&mut self, program: u32, layout: &Layout) -> Result<(), ProbeError> {
        let failed = |source| ProbeError::map("tell of an interpreter", source);
        let is_new = self.layouts.get(&program, 0).is_err();
        self.layouts.insert(program, layout, 0).map_err(failed)?;
        if is_new {
            self.known += 1;
            self.count.set(0, self.known, 0).map_err(failed)?;
        }
        Ok(())
    }

    /// A program is gone, and all that were forked from it.
    pub fn forget(&mut self, program: u32) {
        if self.layouts.remove(&program).is_ok() {
            self.known = self.known.saturating_sub(1);
            // One more than there are costs a look that finds nothing.
            if let Err(error) = self.count.set(0, self.known, 0) {
                log::debug!("the number of interpreters stays as it was: {error}");
            }
        }
    }
}
