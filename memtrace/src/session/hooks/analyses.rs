//! What is in each file: found out once, however many processes have it mapped.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::{
    plan::{self, Analysis, AttachPoint},
    process::{FileBytes, FileIdentity, Module},
    symbolize,
};

/// A file that was looked into.
pub(super) struct Analysed {
    /// Which file it is.
    pub(super) identity: FileIdentity,
    /// What was found.
    pub(super) analysis: Analysis,
    /// All points of it, with the number of the hook that each belongs to.
    pub(super) points: Vec<(AttachPoint, u16)>,
}

/// Files by module, and by identity: several modules may be one file.
pub(super) struct Analyses {
    by_module: FxHashMap<u32, Result<Arc<Analysed>, String>>,
    by_identity: FxHashMap<FileIdentity, Arc<Analysed>>,
    /// The number that the next hook gets. They wrap: hooks of equal number and operation must not call each other.
    next: u16,
    request: plan::Request,
}

impl Analyses {
    pub(super) fn new(request: plan::Request) -> Self {
        Self {
            by_module: FxHashMap::default(),
            by_identity: FxHashMap::default(),
            next: 0,
            request,
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
        let analysis = plan::analyse(&module.name, &FileBytes::new(file), debug.as_ref(), &self.request)?;
        let mut hooks: FxHashMap<&str, u16> = FxHashMap::default();
        let points = analysis.points().map(|point| {
            let number = *hooks.entry(&point.symbol).or_insert_with(|| {
                self.next = self.next.wrapping_add(1);
                self.next
            });
            (point.clone(), number)
        });
        let points = points.collect();
        let analysed = Arc::new(Analysed {
            identity,
            analysis,
            points,
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
