//! Python in the targets: which programs have an interpreter, and what their Python frames are called.

mod codes;
mod interpreters;

use memtrace_common::python::{Layout, entry};
use rustc_hash::FxHashMap;

use self::codes::Codes;
pub(super) use self::interpreters::Interpreters;
use super::runtime::{Names, Notes, Place, Programs};
use crate::{
    decode::Python,
    probe::Pythons,
    process::{AddressSpace, Location, Modules},
    profile::FrameKind,
    python::{
        Judged, Version,
        lines::Form,
        merge::{Entry, Merged, Whole, merge},
    },
};

/// A program with an interpreter, and all processes that were forked from it.
struct Program {
    layout: Layout,
    form: Form,
}

/// See the module's description.
pub(super) struct PythonStacks {
    kernel: Pythons,
    interpreters: Interpreters,
    /// Programs of which something is missing that they may map later, and what it is.
    incomplete: FxHashMap<u32, String>,
    /// Those with an interpreter, by the incarnation that they began with.
    known: FxHashMap<u32, Program>,
    programs: Programs,
    codes: Codes,
    names: Names,
    /// Stacks in which native and Python frames could not be brought together.
    misfits: u64,
    notes: Notes,
}

impl PythonStacks {
    pub(super) fn new(kernel: Pythons) -> Self {
        Self {
            kernel,
            interpreters: Interpreters::default(),
            incomplete: FxHashMap::default(),
            known: FxHashMap::default(),
            programs: Programs::default(),
            codes: Codes::default(),
            names: Names::of(FrameKind::Python),
            misfits: 0,
            notes: Notes::default(),
        }
    }

    /// What Python frames are called.
    pub(super) const fn names(&self) -> &Names {
        &self.names
    }

    /// What the reader of a report must know.
    pub(super) fn notes(&self) -> Vec<String> {
        let mut notes = self.notes.all();
        let mut incomplete: Vec<_> = self.incomplete.values().cloned().collect();
        incomplete.sort_unstable();
        incomplete.dedup();
        notes.append(&mut incomplete);
        if self.misfits > 0 {
            notes.push(format!(
                "in {} distinct stacks calls of the Python evaluator and Python frames are not equally many: their Python frames are \
                 in one piece, at the innermost call",
                self.misfits
            ));
        }
        if self.codes.without_lines > 0 {
            notes.push(format!(
                "the line tables of {} Python functions could not be read (the process has ended, or has changed them): their frames \
                 have the line that the function begins at",
                self.codes.without_lines
            ));
        }
        notes
    }

    /// The mappings of a process were read.
    pub(super) fn laid_out(&mut self, space: &AddressSpace, incarnation: u32) {
        let program = self.programs.of(incarnation);
        let modules = space.modules();
        match self.interpreters.judge(space, &modules) {
            Judged::Nothing => {}
            Judged::Refused(why) => self.notes.add(why),
            Judged::Incomplete(why) => {
                self.incomplete.insert(program, why);
            }
            Judged::Readable {
                interpreter, layout, ..
            } => {
                let version = interpreter.version;
                self.incomplete.remove(&program);
                self.publish(program, version, *layout);
            }
        }
    }

    fn publish(&mut self, program: u32, version: Version, layout: Layout) {
        if self.known.get(&program).is_some_and(|known| known.layout == layout) {
            return;
        }
        match self.kernel.publish(program, &layout) {
            Ok(()) => {
                log::info!("Python {version}: stacks have Python frames");
                let form = Form::of(version.minor);
                self.known.insert(program, Program { layout, form });
                self.programs.begin(program);
            }
            Err(error) => self
                .notes
                .add(format!("a Python program has no Python frames in stacks: {error}")),
        }
    }

    /// A process was forked.
    pub(super) fn forked(&mut self, parent: u32, child: u32) {
        self.programs.fork(parent, child);
    }

    /// A program is gone.
    pub(super) fn ended(&mut self, incarnation: u32) {
        self.codes.forget(incarnation);
        if let Some(program) = self.programs.end(incarnation)
            && self.known.remove(&program).is_some()
        {
            self.kernel.forget(program);
        }
    }

    /// The BPF side has told of a function.
    pub(super) fn define(&mut self, code: &Python<'_>) {
        let incarnation = code.head.header.incarnation;
        let program = self.programs.of(incarnation);
        // Its records come after its publication, and before its end.
        if let Some(program) = self.known.get(&program) {
            self.codes.define(code, program.form);
        }
    }

    /// Brings native frames and Python frames together, leaf first.
    pub(super) fn merge(
        &mut self,
        incarnation: u32,
        native: &[Location],
        python: &[(u64, u64)],
        whole: Whole,
        modules: &Modules,
    ) -> Vec<Location> {
        let module = self.names.module_among(modules);
        let (codes, names) = (&self.codes, &self.names);
        let entries: Vec<Entry> = python
            .iter()
            .map(|&(id, what)| {
                if what & entry::SHIM != 0 {
                    return Entry::Mark;
                }
                let offset = u32::try_from(what & 0xffff_ffff).unwrap_or(0).cast_signed();
                let place = codes.place(incarnation, id, offset).unwrap_or_else(Place::unknown);
                let address = names.number(place).into();
                Entry::Frame {
                    at: Location { module, address },
                    outermost: what & entry::OUTERMOST != 0,
                }
            })
            .collect();
        let evaluates = |at| self.interpreters.evaluates(at);
        let Merged { frames, fits } = merge(native, &entries, whole, evaluates);
        self.misfits += u64::from(!fits);
        frames
    }
}
