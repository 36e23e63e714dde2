//! Which files have an engine, and how that of a process lies.

use memtrace_common::javascript::EngineLayout;
use rustc_hash::FxHashMap;

use crate::{
    process::{AddressSpace, Module},
    v8::{
        self, Grammar,
        engine::{Engine, Found, Version, find},
    },
};

/// What modules have to do with V8, each looked into once.
#[derive(Default)]
pub(in crate::session) struct EngineFiles(FxHashMap<u32, Found>);

impl EngineFiles {
    /// The engine of a process: how it lies, and how its compiled code is read. What there is to say of one that cannot be used goes to `note`.
    pub(in crate::session) fn of(
        &mut self,
        space: &AddressSpace,
        mut note: impl FnMut(String),
    ) -> Option<(EngineLayout, Grammar)> {
        let modules = space.modules();
        for index in space.mapped() {
            let Some(module) = modules.get(index as usize) else {
                continue;
            };
            let layout = match self.look(index, module) {
                Found::Nothing => continue,
                Found::Refused(why) => Err(why.clone()),
                Found::Engine(engine) => {
                    v8::layout(engine).map(|layout| (placed(layout, engine, space, index), Grammar::of(engine)))
                }
            };
            match layout {
                Ok(engine) => return Some(engine),
                Err(why) => note(format!("{} has no frames of JavaScript in stacks: {why}", module.name)),
            }
        }
        None
    }

    /// Which engine a process has; or why it is not understood.
    pub(in crate::session) fn engine(&mut self, space: &AddressSpace) -> Option<Result<Version, String>> {
        let modules = space.modules();
        let mut refused = None;
        for index in space.mapped() {
            let module = modules.get(index as usize);
            match module.map_or(&Found::Nothing, |module| self.look(index, module)) {
                Found::Nothing => {}
                Found::Engine(engine) => return Some(Ok(engine.version)),
                Found::Refused(why) => {
                    refused.get_or_insert_with(|| Err(why.clone()));
                }
            }
        }
        refused
    }

    fn look(&mut self, index: u32, module: &Module) -> &Found {
        self.0
            .entry(index)
            .or_insert_with(|| module.file().map_or(Found::Nothing, find))
    }
}

/// The layout for a process in which a file with an engine is mapped.
fn placed(mut layout: EngineLayout, engine: &Engine, space: &AddressSpace, module: u32) -> EngineLayout {
    if layout.code.group != 0 {
        let code = space.code().iter().find(|code| code.module == module);
        match code.and_then(|code| engine.bias(code.start, code.offset)) {
            Some(bias) => layout.code.group = layout.code.group.wrapping_add(bias),
            None => layout.code.told = 0,
        }
    }
    layout
}
