//! Where the addresses of the allocator's functions get to from the instructions that give them: on every way through the functions where
//! that is, to every comparison with one.
//!
//! Builds that are position-independent compare the pointer of a call with a register, which may have been given its address long before: in
//! front of a loop, or at the begin of the function. A comparison is one with a function when the register holds its address on every way
//! that leads there. Ways are followed until nothing is new; a table of jumps leads to each of its entries.

use std::collections::BTreeMap;

use iced_x86::{Instruction, InstructionInfoFactory, Mnemonic};
use object::{Endianness, ReadRef, elf, read::elf::Sym as _};
use rustc_hash::{FxHashMap, FxHashSet};

use super::{
    body::{Body, Indirect},
    held::{Held, State},
    sweep::{Compare, Sweep},
};
use crate::plan::{
    code::{Code, Flow, Place},
    elf::Elf,
    flow::never_returns,
};

/// Most states that are looked at: an interpreter has some 100,000 instructions in such functions.
const MOST: usize = 1 << 21;

/// How many calls deep it is looked whether a function returns, and how many of its instructions.
const DEEPEST: u32 = 4;
const MOST_OF_ONE: usize = 4096;

/// What is found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Comparisons with a function's address, by their own.
    pub(super) compares: Vec<Compare>,
    /// Comparisons (svma) with what may be the address of one, and may be something else.
    pub(super) uncertain: Vec<(u64, usize)>,
    /// Instructions (svma) that give an address of which it is not known what becomes.
    pub(super) unexplained: Vec<(u64, usize)>,
}

/// The ways through functions.
struct Spread<'all, 'elf, 'data, R> {
    elf: &'all Elf<'data, R>,
    code: &'all Code<'elf, 'data, R>,
    sweep: &'all Sweep,
    /// What the linker stores in the file's data, by where.
    pointers: FxHashMap<u64, u64>,
    /// Jumps from other functions and parts, by where that which they lead to begins: where theirs begins, and where they lead to.
    into: FxHashMap<u64, Vec<(u64, u64)>>,
    /// Functions that are entered by other ways than jumps; `None` when any may be.
    entered: Option<FxHashSet<u64>>,
    bodies: BTreeMap<u64, Body>,
    states: FxHashMap<u64, State>,
    left: Vec<u64>,
    waits: FxHashSet<u64>,
    /// What was given and came to where it is not known what happens.
    lost: FxHashSet<u64>,
    returns: FxHashMap<u64, bool>,
}

/// Follows all addresses of functions that are given somewhere.
///
/// # Errors
/// When that is too much.
pub(super) fn found<'data, R: ReadRef<'data>>(
    elf: &Elf<'data, R>,
    code: &Code<'_, 'data, R>,
    sweep: &Sweep,
) -> Result<Found, &'static str> {
    let pointers = pointers(elf);
    let mut spread = Spread {
        elf,
        code,
        sweep,
        entered: entered(elf, sweep, &pointers),
        pointers,
        into: FxHashMap::default(),
        bodies: BTreeMap::new(),
        states: FxHashMap::default(),
        left: Vec::new(),
        waits: FxHashSet::default(),
        lost: FxHashSet::default(),
        returns: FxHashMap::default(),
    };
    for &(from, to) in &sweep.out {
        if let Some((begin, _)) = spread.range(to) {
            spread.into.entry(begin).or_default().push((from, to));
        }
    }
    for &given in sweep.given.keys() {
        spread.body(given);
    }
    spread.go()?;
    Ok(spread.judged())
}

impl<'data, R: ReadRef<'data>> Spread<'_, '_, 'data, R> {
    /// Follows the ways until nothing is new.
    fn go(&mut self) -> Result<(), &'static str> {
        let mut factory = InstructionInfoFactory::new();
        for _ in 0..MOST {
            let Some(at) = self.left.pop() else { return Ok(()) };
            self.waits.remove(&at);
            let Some((body, instruction)) = self
                .body(at)
                .and_then(|body| Some((body, *self.bodies.get(&body)?.at(at)?)))
            else {
                continue;
            };
            let Some(mut state) = self.states.get(&at).cloned() else {
                continue;
            };
            state.pass(&instruction, self.sweep.given.contains_key(&at), &mut factory);
            self.leave(body, &instruction, state);
        }
        Err("its functions have too many ways")
    }

    /// Goes on behind an instruction of a body.
    fn leave(&mut self, body: u64, instruction: &Instruction, mut state: State) {
        let next = instruction.next_ip();
        match self.code.flow(instruction) {
            Flow::Next | Flow::Padding => self.go_on(next, &state),
            Flow::Branch(target) => {
                self.jump(target, &state);
                self.go_on(next, &state);
            }
            Flow::Jump(Place::Local(target)) => self.jump(target, &state),
            Flow::Jump(Place::Unknown) => self.by_table(body, instruction, &state),
            Flow::Call(place) => {
                let ends = match place {
                    Place::Local(target) => !self.returns(target, DEEPEST),
                    Place::Import(name) => never_returns(name),
                    Place::Unknown => false,
                };
                if !ends && !self.code.begins(next) {
                    state.called();
                    self.reach(next, &state);
                }
            }
            Flow::Jump(Place::Import(_)) | Flow::Return | Flow::Stop => {}
        }
    }

    /// To the next instruction: behind a call that does not return there may be another function.
    fn go_on(&mut self, next: u64, state: &State) {
        if !self.code.begins(next) {
            self.reach(next, state);
        }
    }

    /// To where a jump leads. At another function's begin that is a call of it, unless it has still to give back what it keeps.
    fn jump(&mut self, target: u64, state: &State) {
        let is_call = self.code.begins(target) && self.is_entered(target) && !state.keeps();
        if !is_call {
            self.reach(target, state);
        }
    }

    fn by_table(&mut self, body: u64, instruction: &Instruction, state: &State) {
        let Some(of) = self.bodies.get(&body) else { return };
        let labels = of.labels.clone();
        match of.indirect(instruction) {
            Some(Indirect::Function) => {}
            // The tables of a part may lead to any other one of its function.
            Some(Indirect::Table) if !labels.is_empty() && self.is_entered(body) => {
                for label in labels {
                    self.reach(label, state);
                }
            }
            _ => self.lose(state),
        }
    }

    fn lose(&mut self, state: &State) {
        let given = state.in_registers().flat_map(|held| held.given.iter().copied());
        self.lost.extend(given);
    }

    /// Takes a way to an instruction into account.
    fn reach(&mut self, at: u64, state: &State) {
        let Some(begin) = self.body(at) else {
            self.lose(state);
            return;
        };
        if self.bodies.get(&begin).is_some_and(|body| body.at(at).is_some()) {
            self.merge(at, state);
        } else {
            self.lose(state);
        }
    }

    fn merge(&mut self, at: u64, state: &State) {
        let changed = if let Some(known) = self.states.get_mut(&at) {
            known.join(state)
        } else {
            self.states.insert(at, state.clone());
            true
        };
        if changed && self.waits.insert(at) {
            self.left.push(at);
        }
    }

    /// Where the function or part around an address begins. Whatever leads into one that was not looked at before is looked at too.
    fn body(&mut self, at: u64) -> Option<u64> {
        let wanted = self.range(at)?.0;
        let mut left = vec![wanted];
        while let Some(begin) = left.pop() {
            if self.bodies.contains_key(&begin) {
                continue;
            }
            let range = self.range(begin)?;
            let is_part = |svma: u64| {
                let inside = (range.0..range.1).contains(&svma);
                inside || self.range(svma).is_some_and(|(begin, _)| !self.is_entered(begin))
            };
            let body = Body::new(self.elf, range, &self.pointers, is_part);
            self.bodies.insert(begin, body);
            let is_entered = self.is_entered(begin);
            if is_entered {
                self.merge(begin, &State::at_entry());
            }
            let jumps = self.into.get(&begin).map(Vec::as_slice).unwrap_or_default();
            // Jumps to the begin of another function are calls of it.
            let inside = jumps.iter().filter(|(_, to)| !is_entered || *to != begin);
            left.extend(inside.map(|(from, _)| *from));
        }
        Some(wanted)
    }

    /// From where to where the function or part around an address is, as the table for unwinding says.
    fn range(&self, at: u64) -> Option<(u64, u64)> {
        let starts = self.code.starts();
        let next = starts.partition_point(|&start| start <= at);
        let begin = *starts.get(next.checked_sub(1)?)?;
        let segment = self.elf.mapped(begin).filter(|segment| segment.executable)?;
        let end = segment.svma.saturating_add(segment.size);
        let end = starts.get(next).copied().unwrap_or(end).min(end);
        (at < end).then_some((begin, end))
    }

    fn is_entered(&self, begin: u64) -> bool {
        self.entered.as_ref().is_none_or(|entered| entered.contains(&begin))
    }

    /// Whether a function may return to who calls it.
    fn returns(&mut self, function: u64, depth: u32) -> bool {
        if let Some(&known) = self.returns.get(&function) {
            return known;
        }
        let returns = self.may_return(function, depth);
        // What was given up may be known from elsewhere.
        if !returns || depth == DEEPEST {
            self.returns.insert(function, returns);
        }
        returns
    }

    fn may_return(&mut self, function: u64, depth: u32) -> bool {
        let Some(deeper) = depth.checked_sub(1) else {
            return true;
        };
        let mut left = vec![function];
        let mut seen = FxHashSet::default();
        while let Some(at) = left.pop() {
            if !seen.insert(at) {
                continue;
            }
            let Some(step) = self.code.step(at).filter(|_| seen.len() <= MOST_OF_ONE) else {
                return true;
            };
            match step.flow {
                Flow::Call(Place::Import(name)) if never_returns(name) => {}
                Flow::Call(Place::Local(target)) if target != function && !self.returns(target, deeper) => {}
                Flow::Next | Flow::Padding | Flow::Call(_) => left.push(step.next),
                Flow::Branch(target) => left.extend([target, step.next]),
                Flow::Jump(Place::Local(target)) => left.push(target),
                Flow::Jump(Place::Import(name)) if never_returns(name) => {}
                Flow::Jump(_) | Flow::Return => return true,
                Flow::Stop => {}
            }
        }
        false
    }

    /// What the states say of comparisons.
    fn judged(self) -> Found {
        let mut found = Found::default();
        let mut used = FxHashSet::default();
        let function = |held: &Held| {
            held.given
                .first()
                .and_then(|given| self.sweep.given.get(given))
                .copied()
        };
        let mut states: Vec<_> = self.states.iter().collect();
        states.sort_unstable_by_key(|(at, _)| **at);
        for (&at, state) in states {
            let Some(instruction) = self.range(at).and_then(|(begin, _)| self.bodies.get(&begin)?.at(at)) else {
                continue;
            };
            if instruction.mnemonic() != Mnemonic::Cmp {
                used.extend(state.stored(instruction).into_iter().flat_map(|held| held.given));
                continue;
            }
            let (first, second) = (state.operand(instruction, 0), state.operand(instruction, 1));
            for given in [&first, &second].into_iter().flatten().flat_map(|held| &held.given) {
                used.insert(*given);
            }
            // With a constant it decides no call of a function.
            if instruction.try_immediate(1).is_ok() {
                continue;
            }
            let (held, other) = match (first, second) {
                (None, None) => continue,
                (Some(held), None) => (held, 1),
                (None, Some(held)) => (held, 0),
                (Some(one), Some(other)) => (one.or(&other).perhaps(), 0),
            };
            let Some(target) = function(&held) else { continue };
            let is_one = held
                .given
                .iter()
                .all(|given| self.sweep.given.get(given) == Some(&target));
            if held.always && is_one {
                found.compares.push(Compare::with(instruction, other, target));
            } else {
                found.uncertain.push((at, target));
            }
        }
        for (&given, &target) in &self.sweep.given {
            if !used.contains(&given) || self.lost.contains(&given) {
                found.unexplained.push((given, target));
            }
        }
        found.unexplained.sort_unstable();
        found
    }
}

/// What the linker stores in the data of a file that can be anywhere, by where (both svma).
fn pointers<'data, R: ReadRef<'data>>(elf: &Elf<'data, R>) -> FxHashMap<u64, u64> {
    let endian = elf.endian();
    let sections = elf.sections.iter().filter(|section| section.kind == elf::SHT_RELA);
    let relocations = sections.flat_map(|section| elf.entries::<elf::Rela64<Endianness>>(*section).unwrap_or_default());
    relocations
        .filter(|relocation| relocation.r_type(endian, false) == elf::R_X86_64_RELATIVE)
        .filter_map(|relocation| {
            let pointer = u64::try_from(relocation.r_addend.get(endian)).ok()?;
            Some((relocation.r_offset.get(endian), pointer))
        })
        .collect()
}

/// Where functions are entered but by jumps: what is called, exported, or has its address taken. Other parts that the table for unwinding
/// names are what the compiler has put apart of functions. `None` when not all addresses are known that are taken.
fn entered<'data, R: ReadRef<'data>>(
    elf: &Elf<'data, R>,
    sweep: &Sweep,
    pointers: &FxHashMap<u64, u64>,
) -> Option<FxHashSet<u64>> {
    let packed = elf.sections.iter().any(|section| section.kind == elf::SHT_RELR);
    if packed || pointers.is_empty() {
        return None;
    }
    let mut entered = sweep.entered.clone();
    entered.extend(pointers.values());
    let (symbols, _) = elf.symbols(elf::SHT_DYNSYM).ok()?;
    entered.extend(symbols.iter().map(|symbol| symbol.st_value(elf.endian())));
    Some(entered)
}
