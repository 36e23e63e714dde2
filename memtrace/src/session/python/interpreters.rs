//! Which files have an interpreter, and whether a process has one that can be read.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::{
    process::{AddressSpace, Location, Module},
    python::{self, Found, Judged, Mapped},
};

/// What modules have to do with Python, each looked into once.
#[derive(Default)]
pub(in crate::session) struct Interpreters(FxHashMap<u32, Found>);

impl Interpreters {
    /// Judges what a process has mapped; `modules` are those of its space.
    pub(in crate::session) fn judge<'a>(&'a mut self, space: &AddressSpace, modules: &'a [Arc<Module>]) -> Judged<'a> {
        for index in space.mapped() {
            if let Some(module) = modules.get(index as usize) {
                let find = || module.file().map_or(Found::Nothing, python::find);
                self.0.entry(index).or_insert_with(find);
            }
        }
        let found = &self.0;
        let mapped = space.code().iter().filter_map(|code| {
            Some(Mapped {
                start: code.start,
                offset: code.offset,
                name: &modules.get(code.module as usize)?.name,
                found: found.get(&code.module)?,
            })
        });
        python::judge(mapped)
    }

    /// Whether a process has mapped an interpreter, also one that cannot be read.
    pub(in crate::session) fn is_there(&mut self, space: &AddressSpace) -> bool {
        !matches!(self.judge(space, &space.modules()), Judged::Nothing)
    }

    /// Whether a place is in the function that executes Python code.
    pub(in crate::session) fn evaluates(&self, at: Location) -> bool {
        matches!(self.0.get(&at.module), Some(Found::Interpreter(interpreter)) if interpreter.evaluates(at.address))
    }
}
