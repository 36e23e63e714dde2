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

/// The engine of a process.
#[derive(Default)]
pub(in crate::session) struct OfProcess {
    /// Which it is, or why it is not understood; `None` where no file with one is mapped.
    pub(in crate::session) version: Option<Result<Version, String>>,
    /// How it lies, and how its compiled code is read, where frames of it can be read.
    pub(in crate::session) readable: Option<(EngineLayout, Grammar)>,
}

impl EngineFiles {
    /// The engine of a process. What there is to say of one whose frames cannot be read goes to `note`.
    pub(in crate::session) fn of(&mut self, space: &AddressSpace, mut note: impl FnMut(String)) -> OfProcess {
        let modules = space.modules();
        let mut process = OfProcess::default();
        for index in space.mapped() {
            let Some(module) = modules.get(index as usize) else {
                continue;
            };
            let layout = match self.look(index, module) {
                Found::Nothing => continue,
                Found::Refused(why) => {
                    process.version.get_or_insert_with(|| Err(why.clone()));
                    Err(why.clone())
                }
                Found::Engine(engine) => {
                    if !matches!(process.version, Some(Ok(_))) {
                        process.version = Some(Ok(engine.version));
                    }
                    v8::layout(engine).map(|layout| (placed(layout, engine, space, index), Grammar::of(engine)))
                }
            };
            match layout {
                Ok(readable) => {
                    process.readable = Some(readable);
                    break;
                }
                Err(why) => note(format!("{} has no frames of JavaScript in stacks: {why}", module.name)),
            }
        }
        process
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
