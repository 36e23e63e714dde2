//! How processes come and go.

use std::collections::BTreeMap;

use memtrace_common::{
    Op,
    event::{Fork, Header},
};

use super::{PROCESSES, Place, Program, Sent, Step, World, runs};
use crate::{
    decode::Event,
    ledger::{Ledger, ProcessFacts, tests::program},
    profile::Amount,
};

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Life {
    Alive,
    /// Ended, and no other was alive then or since.
    Last,
    Over,
}

impl Program {
    pub(super) const fn new(pid: u32, life: Life) -> Self {
        Self {
            pid,
            incarnation: 0,
            life,
            group: 0,
            parent: None,
            started_ns: 0,
            ended_ns: None,
            allocated: Amount { bytes: 0, count: 0 },
            peak: 0,
            blocks: BTreeMap::new(),
            cells: BTreeMap::new(),
            last_break: None,
            flights: BTreeMap::new(),
        }
    }

    /// Blocks and pieces of mappings, the inherited ones or the others.
    fn things(&self, inherited: bool) -> impl Iterator<Item = (Place, Amount, u64)> {
        let blocks = self.blocks.values().filter(move |block| block.inherited == inherited);
        let blocks = blocks.map(|block| (block.place, block.size, true, block.time_ns));
        let cells = runs(&self.cells).filter(move |(cell, _)| cell.inherited == inherited);
        let cells = cells.map(|(cell, first)| (cell.place, cell.bytes, first, cell.time_ns));
        blocks.chain(cells).map(|(place, bytes, first, time_ns)| {
            let count = u64::from(first);
            (place, Amount { bytes, count }, time_ns)
        })
    }

    pub(super) fn owned(&self) -> impl Iterator<Item = (Place, Amount, u64)> {
        self.things(false)
    }

    fn memory(&self, inherited: bool) -> Amount {
        let mut sum = Amount::default();
        for (place, amount, _) in self.things(inherited) {
            if place.0.class().is_memory() {
                sum.add(amount);
            }
        }
        sum
    }

    fn facts(&self) -> ProcessFacts {
        ProcessFacts {
            pid: self.pid,
            incarnation: self.incarnation,
            group: self.group,
            parent: self.parent,
            live: self.memory(false),
            allocated: self.allocated,
            peak_live_bytes: self.peak,
            at_exit: Amount::default(),
            inherited: self.memory(true),
            inherited_unknown: false,
            started_ns: self.started_ns,
            ended_ns: self.ended_ns,
            not_kept: 0,
        }
    }
}

impl World {
    pub(super) fn alive(&self) -> usize {
        let programs = self.programs.iter();
        programs.filter(|program| program.life == Life::Alive).count()
    }

    /// What is to be known of each program of each process.
    pub(in crate::ledger::tests) fn processes(&self) -> Vec<ProcessFacts> {
        let there = self.programs.iter().filter(|program| program.life != Life::Over);
        let mut all: Vec<ProcessFacts> = there.map(Program::facts).chain(self.over.clone()).collect();
        all.sort_unstable_by_key(|facts| (facts.started_ns, facts.incarnation));
        all
    }

    pub(super) fn note_peaks(&mut self) {
        for program in &mut self.programs {
            program.peak = program.peak.max(program.memory(false).bytes);
        }
    }

    /// What a process left is no longer live, because another is.
    fn leave(&mut self, index: usize) {
        let pid = self.programs[index].pid;
        let mut program = std::mem::replace(&mut self.programs[index], Program::new(pid, Life::Over));
        let at_exit = program.memory(false);
        self.left.extend(program.owned());
        program.blocks.clear();
        program.cells.clear();
        self.over.push(ProcessFacts {
            at_exit,
            ..program.facts()
        });
    }

    /// A process begins.
    fn begin(&mut self, index: usize) {
        self.incarnations += 1;
        for other in 0..PROCESSES {
            if self.programs[other].life == Life::Last {
                self.leave(other);
            }
        }
        let program = &mut self.programs[index];
        program.incarnation = self.incarnations;
        program.life = Life::Alive;
        program.started_ns = self.now_ns;
    }

    fn send_stacks(&mut self, ledger: &mut Ledger, index: usize) {
        let program = &self.programs[index];
        let stacks = Sent::Stacks(program.pid, program.incarnation);
        self.tell(ledger, stacks);
    }

    pub(super) fn join(&mut self, ledger: &mut Ledger, step: Step) {
        if !step.pick.is_multiple_of(8) {
            return;
        }
        self.begin(step.program);
        let event = Event::Join(program(self.header(step, Op::Malloc, 0)));
        self.send(ledger, event);
        self.send_stacks(ledger, step.program);
    }

    pub(super) fn fork(&mut self, ledger: &mut Ledger, step: Step) {
        let vacant = self.programs.iter().position(|program| program.life == Life::Over);
        let Some(child) = vacant else { return };
        self.begin(child);
        let parent = &self.programs[step.program];
        let (incarnation, group, last_break) = (parent.incarnation, parent.group, parent.last_break);
        let (mut blocks, mut cells) = (parent.blocks.clone(), parent.cells.clone());
        for block in blocks.values_mut() {
            block.inherited = true;
        }
        for cell in cells.values_mut() {
            cell.inherited = true;
        }
        let program = &mut self.programs[child];
        (program.parent, program.group, program.last_break) = (Some(incarnation), group, last_break);
        (program.blocks, program.cells) = (blocks, cells);
        let fork = Fork {
            child: program.pid,
            child_incarnation: program.incarnation,
            header: self.header(step, Op::Malloc, 0),
        };
        self.send(ledger, Event::Fork(fork));
        self.send_stacks(ledger, child);
    }

    pub(super) fn exit(&mut self, ledger: &mut Ledger, step: Step) {
        let header: Header = self.header(step, Op::Malloc, 0);
        let program = &mut self.programs[step.program];
        program.life = Life::Last;
        program.ended_ns = Some(self.now_ns);
        program.flights.clear();
        if self.alive() > 0 {
            self.leave(step.program);
        }
        self.send(ledger, Event::Exit(header));
    }

    pub(super) fn set_group(&mut self, ledger: &mut Ledger, step: Step) {
        let program = &mut self.programs[step.program];
        program.group = u32::from(step.amount % 3);
        let group = Sent::Group(program.incarnation, program.group);
        self.tell(ledger, group);
    }

    pub(super) fn exec(&mut self, ledger: &mut Ledger, step: Step) {
        let pid = self.programs[step.program].pid;
        let mut old = std::mem::replace(&mut self.programs[step.program], Program::new(pid, Life::Alive));
        self.gone.add(old.memory(false));
        old.blocks.clear();
        old.cells.clear();
        self.over.push(ProcessFacts {
            ended_ns: Some(self.now_ns),
            ..old.facts()
        });
        let new = &mut self.programs[step.program];
        (new.group, new.parent) = (old.group, old.parent);
        self.begin(step.program);
        let event = Event::Exec(program(self.header(step, Op::Malloc, 0)));
        self.send(ledger, event);
        self.send_stacks(ledger, step.program);
    }
}
