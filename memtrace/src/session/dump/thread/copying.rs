//! What is read of a thread that does not run meanwhile, and of its process.

use super::{
    super::{
        javascript::{JavaScript, JavaScriptStack, Seen},
        pieces::{Pieces, Writable},
        placed::{Moment, Placed},
        python::{Known, Python},
        rules::Rules,
    },
    Process,
};
use crate::{
    process::{Memory, maps},
    target::hold,
    unwind::walk::{Registers, walk},
};

impl Process {
    /// Whether what there is of JavaScript in a walk was read with its stack.
    pub(super) fn has_seen(&self, placed: &Placed, moment: &Moment) -> bool {
        self.javascript.is_none() || moment.javascript.has_all(&placed.walk)
    }

    /// What is known of the frames of JavaScript in a walk.
    pub(super) fn javascript_of(&mut self, placed: &Placed, seen: Seen) -> Option<JavaScriptStack> {
        let modules = self.space.modules();
        let in_file = |number: usize| {
            let place = placed.places.get(number).copied().flatten();
            let module = place.and_then(|at| modules.get(at.module as usize));
            module.is_some_and(|module| module.name.starts_with('/'))
        };
        Some(self.javascript.as_mut()?.stack(placed, in_file, seen))
    }

    /// Copies the stack of a thread that is held.
    pub(super) fn copy_held(&self, tid: u32, registers: &hold::Registers, pieces: &Pieces, rules: &Rules) -> Moment {
        self.copy(tid, held(registers), pieces, rules, |python| {
            Known::Stack(python.stack(&self.memory, registers.thread))
        })
    }

    /// Copies a stack, and with it the mappings, what is `known` of its Python stack, and whose its frames of JavaScript are: its thread is not to
    /// run meanwhile.
    pub(super) fn copy(
        &self,
        tid: u32,
        from: Registers,
        pieces: &Pieces,
        rules: &Rules,
        known: impl FnOnce(&Python) -> Known,
    ) -> Moment {
        let Ok(maps) = maps::read(self.pid) else {
            return Moment::default();
        };
        let stack = self.memory.copy(&pieces.ranges(from.sp, &self.writable));
        let python = self.python.as_ref().map_or(Known::Stack(None), known);
        let look = |engine: &JavaScript| {
            let walk = walk(from, |pc| rules.ready(&self.space, pc), |address| stack.word(address));
            engine.look(&self.memory, &stack, &walk, tid)
        };
        let javascript = self.javascript.as_ref().map(look).unwrap_or_default();
        Moment {
            stack,
            maps,
            python,
            javascript,
        }
    }

    /// Reads anew what there is, when nothing could be copied: a stack may have been mapped since, and a process that has become another
    /// program has other memory.
    pub(super) fn renew(&mut self) {
        if let Ok(memory) = Memory::open(self.pid) {
            self.memory = memory;
        }
        self.read_mappings();
    }

    pub(super) fn read_mappings(&mut self) {
        // Of a process that has ended, those that it had.
        if let Ok(text) = maps::read(self.pid) {
            self.writable = Writable::parse(&text);
        }
    }
}

/// The registers of a thread that is held, as a walk needs them.
pub(super) const fn held(registers: &hold::Registers) -> Registers {
    Registers {
        ip: registers.ip,
        sp: registers.sp,
        bp: Some(registers.bp),
    }
}
