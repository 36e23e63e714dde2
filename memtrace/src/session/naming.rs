//! Names of addresses, which can take long: it is told how far that is.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use crate::{
    process::{Location, Module},
    progress::{self, Total},
    symbolize::Symbolizer,
};

/// Names all locations that have no names yet.
pub(super) fn resolve(
    symbolizer: &mut Symbolizer,
    modules: &[Arc<Module>],
    locations: impl IntoIterator<Item = Location>,
) {
    let locations: Vec<Location> = locations.into_iter().collect();
    let new = locations.iter().filter(|&&at| symbolizer.frames(at).is_none()).count();
    let done = Arc::new(AtomicU64::new(0));
    let total = Total::Of(new as u64, "addresses");
    let _stage = progress::stage_at("looking up symbols", total, Arc::clone(&done));
    symbolizer.resolve_telling(modules, locations, |at, _| done.store(at, Ordering::Relaxed));
}
