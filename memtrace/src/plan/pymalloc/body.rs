//! A function, or a part of one that the compiler has put elsewhere: its instructions, and where its jumps by a table lead to.

use iced_x86::{Decoder, DecoderOptions, Instruction, Mnemonic, OpKind, Register};
use object::ReadRef;
use rustc_hash::{FxHashMap, FxHashSet};

use super::sweep::absolute;
use crate::plan::elf::Elf;

/// Instructions before a jump among which it is looked for what its address is made of.
const NEAR: usize = 16;

/// Most entries of a table of jumps.
const MOST_ENTRIES: u64 = 4096;

/// What a jump whose target is not in the instruction is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Indirect {
    /// To a function, by a pointer.
    Function,
    /// To a place in its own function, by a table.
    Table,
}

/// One.
#[derive(Debug)]
pub(super) struct Body {
    /// Its instructions, in their order.
    pub(super) instructions: Vec<Instruction>,
    /// Their places in that order, by address (svma).
    index: FxHashMap<u64, usize>,
    /// Where its tables of jumps may lead to.
    pub(super) labels: Vec<u64>,
}

impl Body {
    /// The part between two addresses; `pointers` are what the linker stores in the file's data, by where, and `is_part` says whether an
    /// address may be of the same function.
    pub(super) fn new<'data, R: ReadRef<'data>>(
        elf: &Elf<'data, R>,
        (begin, end): (u64, u64),
        pointers: &FxHashMap<u64, u64>,
        is_part: impl Fn(u64) -> bool,
    ) -> Self {
        let bytes = elf
            .file_offset(begin)
            .and_then(|offset| elf.bytes(offset, end.checked_sub(begin)?));
        let decoder = Decoder::with_ip(64, bytes.unwrap_or_default(), begin, DecoderOptions::NONE);
        let instructions: Vec<Instruction> = decoder
            .into_iter()
            .take_while(|instruction| !instruction.is_invalid())
            .collect();
        let index = instructions
            .iter()
            .enumerate()
            .map(|(index, instruction)| (instruction.ip(), index));
        let mut body = Self {
            index: index.collect(),
            instructions: Vec::new(),
            labels: Vec::new(),
        };
        let mut labels = FxHashSet::default();
        for instruction in &instructions {
            let in_data = |svma: &u64| elf.mapped(*svma).is_some_and(|segment| !segment.executable);
            if instruction.mnemonic() == Mnemonic::Lea
                && let Some(table) = absolute(instruction)
            {
                labels.extend(linked(pointers, table).take_while(|&label| is_part(label)));
                if in_data(&table) {
                    labels.extend(distances(elf, table).take_while(|&label| is_part(label)));
                }
            }
            if let Some(table) = indexed(instruction).filter(in_data) {
                labels.extend(addresses(elf, table).take_while(|&label| is_part(label)));
            }
        }
        body.labels = labels.into_iter().collect();
        body.labels.sort_unstable();
        body.instructions = instructions;
        body
    }

    /// The instruction at an address.
    pub(super) fn at(&self, svma: u64) -> Option<&Instruction> {
        self.instructions.get(*self.index.get(&svma)?)
    }

    /// What a jump is; `None` when that is not known.
    pub(super) fn indirect(&self, jump: &Instruction) -> Option<Indirect> {
        if jump.op0_kind() == OpKind::Memory {
            return Some(of_memory(jump));
        }
        let register = jump.op0_register();
        let index = *self.index.get(&jump.ip())?;
        let before = self.instructions.get(index.saturating_sub(NEAR)..index)?;
        for instruction in before.iter().rev() {
            let first = instruction.op_count() > 0
                && instruction.op0_kind() == OpKind::Register
                && instruction.op0_register().full_register() == register;
            match instruction.mnemonic() {
                Mnemonic::Add if first => return Some(Indirect::Table),
                Mnemonic::Mov if first && instruction.op1_kind() == OpKind::Memory => {
                    return Some(of_memory(instruction));
                }
                Mnemonic::Cmp | Mnemonic::Test => {}
                _ if first => return None,
                _ => {}
            }
        }
        None
    }
}

/// What leads to an address that is read from memory: tables have an index.
fn of_memory(instruction: &Instruction) -> Indirect {
    if instruction.memory_index() == Register::None {
        Indirect::Function
    } else {
        Indirect::Table
    }
}

/// The address (svma) of a table that an instruction reads a word of.
fn indexed(instruction: &Instruction) -> Option<u64> {
    let is_table = (0..instruction.op_count()).any(|operand| instruction.op_kind(operand) == OpKind::Memory)
        && instruction.memory_base() == Register::None
        && instruction.memory_index() != Register::None
        && instruction.memory_index_scale() == 8;
    is_table.then(|| instruction.memory_displacement64())
}

/// What a table of addresses leads to that the linker makes.
fn linked(pointers: &FxHashMap<u64, u64>, table: u64) -> impl Iterator<Item = u64> {
    (0..MOST_ENTRIES).map_while(move |index| pointers.get(&table.checked_add(index * 8)?).copied())
}

/// What a table of addresses leads to, of a file that is bound to its own, as far as one could be there.
fn addresses<'data, R: ReadRef<'data>>(elf: &Elf<'data, R>, table: u64) -> impl Iterator<Item = u64> {
    (0..MOST_ENTRIES).map_while(move |index| {
        let offset = elf.file_offset(table.checked_add(index * 8)?)?;
        elf.bytes(offset, 8)?
            .first_chunk()
            .map(|bytes| u64::from_le_bytes(*bytes))
    })
}

/// What a table of distances from its own begin leads to, as far as one could be there.
fn distances<'data, R: ReadRef<'data>>(elf: &Elf<'data, R>, table: u64) -> impl Iterator<Item = u64> {
    (0..MOST_ENTRIES).map_while(move |index| {
        let offset = elf.file_offset(table.checked_add(index * 4)?)?;
        let entry = elf
            .bytes(offset, 4)?
            .first_chunk()
            .map(|bytes| i32::from_le_bytes(*bytes))?;
        Some(table.wrapping_add_signed(i64::from(entry)))
    })
}
