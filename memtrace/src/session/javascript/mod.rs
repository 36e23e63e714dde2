//! JavaScript in the targets: which programs have an engine, and what their frames of JavaScript are called.

mod codes;
mod functions;
mod sources;
mod watching;

use memtrace_common::javascript::{EngineLayout, NO_POSITION, code};
use rustc_hash::FxHashMap;

pub(super) use self::watching::Watching;

use self::{codes::Codes, functions::Functions};
use super::python::{Names, Place, Programs};
use crate::{
    decode::{JavaScript, Piece},
    probe::Engines,
    process::{AddressSpace, Location, Modules},
    profile::FrameKind,
    v8::{
        self, Grammar,
        engine::{Engine, Found, Version, find},
    },
};

/// See the module's description.
pub(super) struct JavaScriptStacks {
    kernel: Engines,
    /// What modules have to do with V8, each looked into once.
    found: FxHashMap<u32, Found>,
    /// Programs with an engine, by the incarnation that they began with, and how their compiled code is read.
    known: FxHashMap<u32, Grammar>,
    /// Which engine programs have, by the same; or why it is not understood.
    engines: FxHashMap<u32, Result<Version, String>>,
    programs: Programs,
    functions: Functions,
    codes: Codes,
    names: Names,
    notes: Vec<String>,
}

impl JavaScriptStacks {
    pub(super) fn new(kernel: Engines) -> Self {
        Self {
            kernel,
            found: FxHashMap::default(),
            known: FxHashMap::default(),
            engines: FxHashMap::default(),
            programs: Programs::default(),
            functions: Functions::default(),
            codes: Codes::default(),
            names: Names::of(FrameKind::JavaScript),
            notes: Vec::new(),
        }
    }

    /// What frames of JavaScript are called.
    pub(super) const fn names(&self) -> &Names {
        &self.names
    }

    /// What the reader of a report must know.
    pub(super) fn notes(&self) -> Vec<String> {
        let mut notes = self.notes.clone();
        if self.functions.without_lines > 0 {
            notes.push(format!(
                "the sources of {} scripts of JavaScript could not be read (they were moved or freed meanwhile): frames in them have no line",
                self.functions.without_lines
            ));
        }
        if self.codes.left_out > 0 {
            notes.push(
                "more compiled code of JavaScript was told of than is kept: frames in the rest of it have no line, and not the functions that \
                 were compiled into theirs"
                    .to_owned(),
            );
        }
        notes
    }

    /// The mappings of a process were read.
    pub(super) fn laid_out(&mut self, space: &AddressSpace, incarnation: u32) {
        let program = self.programs.of(incarnation);
        if self.known.contains_key(&program) {
            return;
        }
        let modules = space.modules();
        for index in space.mapped() {
            let Some(module) = modules.get(index as usize) else {
                continue;
            };
            let found = self
                .found
                .entry(index)
                .or_insert_with(|| module.file().map_or(Found::Nothing, find));
            let layout = match found {
                Found::Nothing => continue,
                Found::Refused(why) => {
                    self.engines.entry(program).or_insert_with(|| Err(why.clone()));
                    Err(why.clone())
                }
                Found::Engine(engine) => {
                    self.engines.insert(program, Ok(engine.version));
                    v8::layout(engine).map(|layout| (placed(layout, engine, space, index), Grammar::of(engine)))
                }
            };
            match layout {
                Ok((layout, grammar)) => return self.publish(program, layout, grammar),
                Err(why) => self.note(format!("{} has no frames of JavaScript in stacks: {why}", module.name)),
            }
        }
    }

    fn publish(&mut self, program: u32, layout: EngineLayout, grammar: Grammar) {
        match self.kernel.publish(program, &layout) {
            Ok(()) => {
                log::info!("V8: stacks have frames of JavaScript");
                self.known.insert(program, grammar);
                self.programs.begin(program);
            }
            Err(error) => self.note(format!(
                "a program with V8 has no frames of JavaScript in stacks: {error}"
            )),
        }
    }

    fn note(&mut self, note: String) {
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// Which engine a process has, or why it is not understood; `None` where it has none that is known.
    pub(super) fn engine(&self, incarnation: u32) -> Option<Result<Version, &str>> {
        let engine = self.engines.get(&self.programs.of(incarnation))?;
        Some(engine.as_ref().map(|version| *version).map_err(String::as_str))
    }

    /// A process was forked.
    pub(super) fn forked(&mut self, parent: u32, child: u32) {
        self.programs.fork(parent, child);
    }

    /// A program is gone.
    pub(super) fn ended(&mut self, incarnation: u32) {
        self.functions.forget(incarnation);
        self.codes.forget(incarnation);
        if let Some(program) = self.programs.end(incarnation) {
            self.engines.remove(&program);
            if self.known.remove(&program).is_some() {
                self.kernel.forget(program);
            }
        }
    }

    /// The BPF side has told of a function.
    pub(super) fn define(&mut self, function: &JavaScript<'_>) {
        self.functions.define(function);
    }

    /// The BPF side has told of compiled code.
    pub(super) fn compiled(&mut self, piece: &Piece<'_>) {
        self.codes.add(piece);
    }

    /// Adds what stands for a frame in stacks, innermost first: functions that were compiled into another one have a frame of their own. `false`
    /// where the native frame says more, because the function is built in and has no name.
    ///
    /// The interpreter is code of the engine's file. A frame elsewhere is not its own, even where what it has noted of its place is there: code that a
    /// loop was compiled into while it ran takes the interpreter's frame over, with that.
    pub(super) fn locate(
        &mut self,
        incarnation: u32,
        (id, position): (u64, u64),
        in_file: bool,
        modules: &Modules,
        locations: &mut Vec<Location>,
    ) -> bool {
        if self.functions.is_nameless(incarnation, id) {
            return false;
        }
        let levels = code::place(position).and_then(|place| {
            let grammar = self.known.get(&self.programs.of(incarnation))?;
            self.codes.levels(incarnation, id, place, grammar)
        });
        let module = self.names.module_among(modules);
        let mut add = |id, position, inlined| {
            let place = self.functions.place(incarnation, id, position);
            let place = place.unwrap_or_else(Place::unknown);
            let number = self.names.number(Place { inlined, ..place });
            locations.push(Location {
                module,
                address: number.into(),
            });
        };
        let Some(levels) = levels else {
            let is_interpreted = in_file && code::place(position).is_none();
            let position = if is_interpreted { position } else { NO_POSITION };
            add(id, position, false);
            return true;
        };
        for (depth, level) in levels.iter().enumerate() {
            let function = level.function.unwrap_or(id);
            if !self.functions.is_nameless(incarnation, function) {
                let position = level.offset.map_or(NO_POSITION, |offset| u64::from(offset) + 1);
                add(function, position, depth + 1 < levels.len());
            }
        }
        true
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
