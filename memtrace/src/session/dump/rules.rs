//! The rules of the code of a process: from a table of each file, made when the first stack goes through it.

use rustc_hash::FxHashMap;

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
    known: FxHashMap<u32, Known>,
    notes: Vec<String>,
}

impl Rules {
    pub(super) fn new(modules: &Modules) -> Self {
        Self {
            modules: modules.clone(),
            known: FxHashMap::default(),
            notes: Vec::new(),
        }
    }

    /// What is at an address (avma) of a process.
    pub(super) fn found(&mut self, space: &AddressSpace, pc: u64) -> Found {
        let code = space.code();
        let after = code.partition_point(|code| code.start <= pc);
        let Some(code) = after
            .checked_sub(1)
            .and_then(|at| code.get(at))
            .filter(|code| pc < code.end)
        else {
            return Found::Nothing;
        };
        let Self { modules, known, notes } = self;
        let known = known
            .entry(code.module)
            .or_insert_with(|| make(modules, code.module, notes));
        match known {
            Known::Table(table) => Found::Code(rule(table, code, pc)),
            Known::Nothing => Found::Code(Rule::NONE),
            Known::Trampoline => Found::Trampoline,
        }
    }

    /// What the reader of a dump should know of the files, once.
    pub(super) fn notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
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

fn make(modules: &Modules, index: u32, notes: &mut Vec<String>) -> Known {
    let Some(module) = modules.get(index) else {
        return Known::Nothing;
    };
    if module.name == TRAMPOLINE {
        return Known::Trampoline;
    }
    let Some(file) = module.file() else {
        return Known::Nothing;
    };
    let _stage = progress::stage(format!("reading unwind information of {}", module.name), Total::Unknown);
    // A thread that is stopped may be at any instruction.
    match Table::build_with(file, Pruning::None, &[]) {
        Ok(table) if table.is_empty() => Known::Nothing,
        Ok(table) => Known::Table(Box::new(table)),
        Err(error) => {
            notes.push(format!(
                "{}: its unwind information cannot be used ({error}); frames there are found by frame pointer",
                module.name
            ));
            Known::Nothing
        }
    }
}
