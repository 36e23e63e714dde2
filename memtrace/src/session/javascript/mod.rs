//! JavaScript in the targets: which programs have an engine, and what their frames of JavaScript are called.

mod functions;
mod sources;
mod watching;

use memtrace_common::javascript::EngineLayout;
use rustc_hash::FxHashMap;

pub(super) use self::watching::Watching;

use self::functions::Functions;
use super::python::{Names, Place, Programs};
use crate::{
    decode::JavaScript,
    probe::Engines,
    process::{AddressSpace, Location, Modules},
    profile::FrameKind,
    v8::{
        self,
        engine::{Found, find},
    },
};

/// See the module's description.
pub(super) struct JavaScriptStacks {
    kernel: Engines,
    /// What modules have to do with V8, each looked into once.
    found: FxHashMap<u32, Found>,
    /// Programs with an engine, by the incarnation that they began with.
    known: FxHashMap<u32, EngineLayout>,
    programs: Programs,
    functions: Functions,
    names: Names,
    notes: Vec<String>,
}

impl JavaScriptStacks {
    pub(super) fn new(kernel: Engines) -> Self {
        Self {
            kernel,
            found: FxHashMap::default(),
            known: FxHashMap::default(),
            programs: Programs::default(),
            functions: Functions::default(),
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
                Found::Refused(why) => Err(why.clone()),
                Found::Engine(engine) => v8::layout(engine),
            };
            match layout {
                Ok(layout) => return self.publish(program, layout),
                Err(why) => self.note(format!("{} has no frames of JavaScript in stacks: {why}", module.name)),
            }
        }
    }

    fn publish(&mut self, program: u32, layout: EngineLayout) {
        match self.kernel.publish(program, &layout) {
            Ok(()) => {
                log::info!("V8: stacks have frames of JavaScript");
                self.known.insert(program, layout);
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

    /// A process was forked.
    pub(super) fn forked(&mut self, parent: u32, child: u32) {
        self.programs.fork(parent, child);
    }

    /// A program is gone.
    pub(super) fn ended(&mut self, incarnation: u32) {
        self.functions.forget(incarnation);
        if let Some(program) = self.programs.end(incarnation)
            && self.known.remove(&program).is_some()
        {
            self.kernel.forget(program);
        }
    }

    /// The BPF side has told of a function.
    pub(super) fn define(&mut self, function: &JavaScript<'_>) {
        self.functions.define(function);
    }

    /// What stands for a frame in stacks; `None` where the native frame says more, because the function is built in and has no name.
    pub(super) fn location(&self, incarnation: u32, (id, position): (u64, u64), modules: &Modules) -> Option<Location> {
        if self.functions.is_nameless(incarnation, id) {
            return None;
        }
        let module = self.names.module_among(modules);
        let place = self
            .functions
            .place(incarnation, id, position)
            .unwrap_or_else(Place::unknown);
        Some(Location {
            module,
            address: self.names.number(place).into(),
        })
    }
}
