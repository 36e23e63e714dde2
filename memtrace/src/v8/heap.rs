//! What tells of the heap of JavaScript's objects in a file that has V8.

use std::fs::File;

use super::engine::{self, Engine, Found};
use crate::{
    plan::{self, Analysis, V8Heap},
    process::FileBytes,
};

/// Adds what tells of V8's heap to what is known of a file, if it has V8; or why nothing does.
pub fn complete(file: &File, name: &str, analysis: &mut Analysis) {
    if !analysis.has_v8() {
        return;
    }
    match heap(file) {
        Ok(heap) => {
            let untold = heap.untold.iter().map(|why| format!("of {name}, {why}"));
            analysis.unhooked.extend(untold);
            analysis.counts(heap);
        }
        Err(why) => analysis
            .unhooked
            .push(format!("what JavaScript allocates is not counted in {name}: {why}")),
    }
}

fn heap(file: &File) -> Result<V8Heap, String> {
    match engine::find(file) {
        Found::Engine(engine) => {
            let Engine { version, .. } = *engine;
            plan::v8_heap(
                &FileBytes::new(file),
                (version.major, version.minor),
                version.to_string(),
            )
        }
        Found::Refused(why) => Err(why),
        Found::Nothing => Err("its V8 was not recognised".to_owned()),
    }
}
