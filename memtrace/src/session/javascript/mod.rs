//! JavaScript in the targets: which programs have an engine, and what their frames of JavaScript are called.

mod codes;
mod engine_files;
mod functions;
mod sources;
mod told;
mod watching;

use memtrace_common::javascript::EngineLayout;
use rustc_hash::FxHashMap;

pub(super) use self::{engine_files::EngineFiles, told::Told, watching::Watching};

use super::runtime::{Names, Notes, Programs};
use crate::{
    decode::{JavaScript, Piece},
    probe::Engines,
    process::{AddressSpace, Location, Modules},
    profile::FrameKind,
    v8::{Grammar, engine::Version},
};

/// See the module's description.
pub(super) struct JavaScriptStacks {
    kernel: Engines,
    files: EngineFiles,
    /// Programs with an engine, by the incarnation that they began with, and how their compiled code is read.
    known: FxHashMap<u32, Grammar>,
    /// Which engine programs have, by the same; or why it is not understood.
    engines: FxHashMap<u32, Result<Version, String>>,
    programs: Programs,
    told: Told,
    names: Names,
    notes: Notes,
}

impl JavaScriptStacks {
    pub(super) fn new(kernel: Engines) -> Self {
        Self {
            kernel,
            files: EngineFiles::default(),
            known: FxHashMap::default(),
            engines: FxHashMap::default(),
            programs: Programs::default(),
            told: Told::default(),
            names: Names::of(FrameKind::JavaScript),
            notes: Notes::default(),
        }
    }

    /// What frames of JavaScript are called.
    pub(super) const fn names(&self) -> &Names {
        &self.names
    }

    /// What the reader of a report must know.
    pub(super) fn notes(&self) -> Vec<String> {
        let mut notes = self.notes.all();
        notes.extend(self.told.notes());
        notes
    }

    /// The mappings of a process were read.
    pub(super) fn laid_out(&mut self, space: &AddressSpace, incarnation: u32) {
        let program = self.programs.of(incarnation);
        if self.known.contains_key(&program) {
            return;
        }
        let engine = self.files.of(space, |note| self.notes.add(note));
        if let Some(version) = engine.version {
            self.engines.insert(program, version);
            self.programs.begin(program);
        }
        if let Some((layout, grammar)) = engine.readable {
            self.publish(program, layout, grammar);
        }
    }

    fn publish(&mut self, program: u32, layout: EngineLayout, grammar: Grammar) {
        match self.kernel.publish(program, &layout) {
            Ok(()) => {
                log::info!("V8: stacks have frames of JavaScript");
                self.known.insert(program, grammar);
            }
            Err(error) => self.notes.add(format!(
                "a program with V8 has no frames of JavaScript in stacks: {error}"
            )),
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
        self.told.forget(incarnation);
        if let Some(program) = self.programs.end(incarnation) {
            self.engines.remove(&program);
            if self.known.remove(&program).is_some() {
                self.kernel.forget(program);
            }
        }
    }

    /// The BPF side has told of a function.
    pub(super) fn define(&mut self, function: &JavaScript<'_>) {
        self.told.define(function);
    }

    /// The BPF side has told of compiled code.
    pub(super) fn compiled(&mut self, piece: &Piece<'_>) {
        self.told.piece(piece);
    }

    /// Adds what stands for a frame in stacks, innermost first; `false` where the native frame says more. See [`Told::places`].
    pub(super) fn locate(
        &mut self,
        incarnation: u32,
        function: (u64, u64),
        in_file: bool,
        modules: &Modules,
        locations: &mut Vec<Location>,
    ) -> bool {
        let grammar = self.known.get(&self.programs.of(incarnation));
        let Some(places) = self.told.places(incarnation, function, in_file, grammar) else {
            return false;
        };
        let module = self.names.module_among(modules);
        locations.extend(places.into_iter().map(|place| Location {
            module,
            address: self.names.number(place).into(),
        }));
        true
    }
}
