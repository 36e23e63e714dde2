//! Which programs have an interpreter or an engine, as the BPF side knows it.

use aya::{
    Pod,
    maps::{Array, HashMap, Map, MapData, MapError},
};
use memtrace_common::{javascript, python};

use super::{ProbeError, Probes};

/// Tells of interpreters, whose layouts are of a type.
pub struct Layouts<L> {
    by_program: HashMap<MapData, u32, L>,
    count: Array<MapData, u32>,
    known: u32,
}

/// Tells of interpreters of Python.
pub type Pythons = Layouts<python::Layout>;

/// Tells of engines of JavaScript.
pub type Engines = Layouts<javascript::EngineLayout>;

impl Probes {
    /// What tells of interpreters; can be taken once.
    ///
    /// # Errors
    /// When it was taken before.
    pub fn pythons(&mut self) -> Result<Pythons, ProbeError> {
        let [layouts, count] = [self.map("PYTHONS")?, self.map("PYTHON_COUNT")?];
        Layouts::new(layouts, count).map_err(|source| ProbeError::map("open the map of interpreters", source))
    }

    /// What tells of engines; can be taken once.
    ///
    /// # Errors
    /// When it was taken before.
    pub fn engines(&mut self) -> Result<Engines, ProbeError> {
        let [layouts, count] = [self.map("ENGINES")?, self.map("ENGINE_COUNT")?];
        Layouts::new(layouts, count).map_err(|source| ProbeError::map("open the map of engines", source))
    }
}

impl<L: Pod> Layouts<L> {
    fn new(layouts: Map, count: Map) -> Result<Self, MapError> {
        Ok(Self {
            by_program: HashMap::try_from(layouts)?,
            count: Array::try_from(count)?,
            known: 0,
        })
    }

    /// From now on stacks of a program, named by the incarnation that it began with, have Python frames.
    ///
    /// # Errors
    /// When there are too many.
    pub fn publish(&mut self, program: u32, layout: &L) -> Result<(), ProbeError> {
        let failed = |source| ProbeError::map("tell of an interpreter", source);
        let is_new = self.by_program.get(&program, 0).is_err();
        self.by_program.insert(program, layout, 0).map_err(failed)?;
        if is_new {
            self.known += 1;
            self.count.set(0, self.known, 0).map_err(failed)?;
        }
        Ok(())
    }

    /// A program is gone, and all that were forked from it.
    pub fn forget(&mut self, program: u32) {
        if self.by_program.remove(&program).is_ok() {
            self.known = self.known.saturating_sub(1);
            // One more than there are costs a look that finds nothing.
            if let Err(error) = self.count.set(0, self.known, 0) {
                log::debug!("the number of interpreters stays as it was: {error}");
            }
        }
    }
}
