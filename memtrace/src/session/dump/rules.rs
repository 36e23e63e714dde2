//! The rules of the code of a process: from a table of each file, made when the first stack goes through it.

use std::collections::BTreeSet;

use rustc_hash::FxHashMap;

use super::placed::at;
use crate::{
    process::{AddressSpace, Code, Modules},
    progress::{self, Total},
    unwind::{Pruning, Segment, Table, walk::Found},
};
use memtrace_common::unwind::Rule;

/// The page that probed functions return to, as the kernel calls it (`xol_add_vma`, kernel/events/uprobes.c).
const TRAMPOLINE: &str = "[uprobes]";

/// What is known of a module.
enum Known {
    /// Its table.
    Table(Box<Table>),
    /// Code without a table.
    Nothing,
    /// See [`TRAMPOLINE`].
    Trampoline,
}

/// Tables by module, for all processes.
pub(super) struct Rules {
    modules: Modules,
    /// With what should be known of it besides.
    known: FxHashMap<u32, (Known, Option<String>)>,
    /// Modules that were asked for.
    used: BTreeSet<u32>,
}

impl Rules {
    pub(super) fn new(modules: &Modules) -> Self {
        Self {
            modules: modules.clone(),
            known: FxHashMap::default(),
            used: BTreeSet::new(),
        }
    }

    /// What is at an address (avma) of a process.
    pub(super) fn found(&mut self, space: &AddressSpace, pc: u64) -> Found {
        if let Some(code) = at(space.code(), pc) {
            let Self { modules, known, used } = self;
            used.insert(code.module);
            known.entry(code.module).or_insert_with(|| make(modules, code.module));
        }
        self.ready(space, pc)
    }

    /// The same where nothing is to be made for it: what was not asked for before is no code.
    pub(super) fn ready(&self, space: &AddressSpace, pc: u64) -> Found {
        let Some(code) = at(space.code(), pc) else {
            return Found::Nothing;
        };
        let Some((known, _)) = self.known.get(&code.module) else {
            return Found::Nothing;
        };
        match known {
            Known::Table(table) => Found::Code(rule(table, code, pc)),
            Known::Nothing => Found::Code(Rule::NONE),
            Known::Trampoline => Found::Trampoline,
        }
    }

    /// What should be known of the files that stacks went through since this was asked last: those of one process.
    pub(super) fn notes(&mut self) -> Vec<String> {
        let used = std::mem::take(&mut self.used);
        let notes = used.iter().filter_map(|module| self.known.get(module)?.1.clone());
        notes.collect()
    }
}

/// The rule of an address. Its segment tells where the linker put what is at this offset of the file.
fn rule(table: &Table, code: &Code, pc: u64) -> Rule {
    let Some(segment) = Segment::mapped_from(table.segments(), code.offset) else {
        return Rule::NONE;
    };
    let svma = segment
        .svma
        .start
        .wrapping_add(code.offset)
        .wrapping_sub(segment.offset.start);
    table.lookup(svma.wrapping_add(pc - code.start))
}

fn make(modules: &Modules, index: u32) -> (Known, Option<String>) {
    let Some(module) = modules.get(index) else {
        return (Known::Nothing, None);
    };
    if module.name == TRAMPOLINE {
        return (Known::Trampoline, None);
    }
    let Some(file) = module.file() else {
        // Memory without a file has none to be missed.
        let note = || {
            format!(
                "{}: the file cannot be opened; frames there have no names and are found by frame pointer",
                module.name
            )
        };
        return (Known::Nothing, module.name.starts_with('/').then(note));
    };
    let _stage = progress::stage(format!("reading unwind information of {}", module.name), Total::Unknown);
    // A thread that is stopped may be at any instruction.
    match Table::build_with(file, Pruning::None, &[]) {
        Ok(table) if table.is_empty() => (Known::Nothing, None),
        Ok(table) => (Known::Table(Box::new(table)), None),
        Err(error) => {
            let note = format!(
                "{}: its unwind information cannot be used ({error}); frames there are found by frame pointer",
                module.name
            );
            (Known::Nothing, Some(note))
        }
    }
}
