//! What is in each file: found out once, however many processes have it mapped.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::{
    plan::{self, Analysis, AttachPoint},
    process::{FileBytes, FileIdentity, Module},
    symbolize, v8,
};

use super::mutant::Told;

/// A file that was looked into.
pub(super) struct Analysed {
    /// Which file it is.
    pub(super) identity: FileIdentity,
    /// What was found.
    pub(super) analysis: Analysis,
    /// All points of it but those below, with the number of the hook that each belongs to.
    pub(super) points: Vec<(AttachPoint, u16)>,
    /// Those of functions of which one probe sees whole allocations.
    pub(super) one_trap: Vec<(AttachPoint, u16)>,
    /// What checks those.
    pub(super) checks: Vec<(AttachPoint, u16)>,
    /// What can take their place: two probes for an allocation.
    pub(super) pairs: Vec<(AttachPoint, u16)>,
}

impl Analysed {
    /// Whether there is anything to attach to.
    pub(super) fn has_points(&self) -> bool {
        !self.points.is_empty() || !self.one_trap.is_empty()
    }
}

/// Files by module, and by identity: several modules may be one file.
pub(super) struct Analyses {
    by_module: FxHashMap<u32, Result<Arc<Analysed>, String>>,
    by_identity: FxHashMap<FileIdentity, Arc<Analysed>>,
    /// The number that the next hook gets. They wrap: hooks of equal number and operation must not call each other.
    next: u16,
    request: plan::Request,
    told: Told,
}

impl Analyses {
    pub(super) fn new(request: plan::Request, told: Told) -> Self {
        Self {
            by_module: FxHashMap::default(),
            by_identity: FxHashMap::default(),
            next: 0,
            request,
            told,
        }
    }

    /// Looks into a module, unless that was done.
    pub(super) fn make(&mut self, index: u32, module: &Module) {
        if !self.by_module.contains_key(&index) {
            let result = self.look_into(module);
            self.by_module.insert(index, result);
        }
    }

    fn look_into(&mut self, module: &Module) -> Result<Arc<Analysed>, String> {
        let file = module.file().ok_or("it could not be opened")?;
        let identity = module.identity().map_err(|error| error.to_string())?;
        if let Some(known) = self.by_identity.get(&identity) {
            return Ok(Arc::clone(known));
        }
        let debug = symbolize::debug_file(module);
        let debug = debug.as_ref().map(FileBytes::new);
        let mut analysis = plan::analyse(&module.name, &FileBytes::new(file), debug.as_ref(), &self.request)?;
        v8::heap::complete(file, &module.name, &mut analysis);
        let mut hooks: FxHashMap<String, u16> = FxHashMap::default();
        let mut numbered = |point: &AttachPoint| {
            let number = *hooks.entry(point.symbol.clone()).or_insert_with(|| {
                self.next = self.next.wrapping_add(1);
                self.next
            });
            (point.clone(), number)
        };
        let (one_trap, points) = analysis
            .points()
            .map(&mut numbered)
            .partition(|(point, _)| point.of_one_trap);
        let beside = || analysis.allocators.iter().flat_map(|found| &found.one_trap);
        let checks = beside().flat_map(|beside| &beside.checks).map(&mut numbered).collect();
        let pairs = beside().flat_map(|beside| &beside.pair).map(&mut numbered).collect();
        let analysed = Arc::new(Analysed {
            identity,
            points,
            one_trap: self.told.places(one_trap),
            checks,
            pairs,
            analysis,
        });
        self.by_identity.insert(identity, Arc::clone(&analysed));
        Ok(analysed)
    }

    /// A file that could be read.
    pub(super) fn get(&self, index: u32) -> Option<Arc<Analysed>> {
        self.by_module.get(&index)?.as_ref().ok().cloned()
    }

    /// What came of a file.
    pub(super) fn result(&self, index: u32) -> Option<Result<&Analysed, &str>> {
        let result = self.by_module.get(&index)?;
        Some(result.as_ref().map(Arc::as_ref).map_err(String::as_str))
    }
}
