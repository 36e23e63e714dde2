//! All code of a file, once: comparisons with functions of the allocator, and where jumps lead to.

use iced_x86::{Decoder, DecoderOptions, Instruction, Mnemonic, OpKind, Register};
use object::{ReadRef, elf::PT_LOAD};
use rustc_hash::{FxHashMap, FxHashSet};

use super::super::{code::Code, elf::Elf};

/// Most bytes of code that are looked through: the largest interpreter has 4 MB.
const MOST: u64 = 64 << 20;

/// A comparison of a pointer with a function.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Compare {
    /// Its address (svma).
    pub(super) at: u64,
    /// The instruction behind it.
    pub(super) next: u64,
    /// Which of the functions, by its place in their order.
    pub(super) target: usize,
    /// The register with the pointer; `None` where it is compared in memory.
    pub(super) register: Option<Register>,
    /// Where the pointer was loaded from, as far as that is seen (svma).
    pub(super) row: Option<u64>,
}

impl Compare {
    /// Of one operand with a function whose address the other one holds.
    pub(super) fn with(instruction: &Instruction, operand: u32, target: usize) -> Self {
        let register = (instruction.op_kind(operand) == OpKind::Register).then(|| instruction.op_register(operand));
        Self {
            at: instruction.ip(),
            next: instruction.next_ip(),
            target,
            register,
            row: if register.is_none() {
                absolute(instruction)
            } else {
                None
            },
        }
    }
}

/// What is found.
#[derive(Debug, Default)]
pub(super) struct Sweep {
    /// Comparisons with the function's address itself.
    pub(super) compares: Vec<Compare>,
    /// Instructions that put the address of a function into a register (svma), and which function.
    pub(super) given: FxHashMap<u64, usize>,
    /// Where jumps and calls by a distance lead to.
    pub(super) jumped_to: FxHashSet<u64>,
    /// Jumps out of a function or part of one: where that begins, and where they lead to.
    pub(super) out: Vec<(u64, u64)>,
    /// Where calls alone lead to, and code whose address is taken.
    pub(super) entered: FxHashSet<u64>,
}

impl Sweep {
    /// Goes through all functions that the file's table for unwinding names, each from its start.
    ///
    /// # Errors
    /// Why that cannot be done.
    pub(super) fn of<'data, R: ReadRef<'data>>(
        elf: &Elf<'data, R>,
        code: &Code<'_, 'data, R>,
        targets: [u64; 4],
    ) -> Result<Self, &'static str> {
        let starts = code.starts();
        if starts.is_empty() || !starts.is_sorted() {
            return Err(
                "it has no table for unwinding in the usual form, so where its instructions begin is not known",
            );
        }
        let mut sweep = Self::default();
        let segments = elf
            .segments
            .iter()
            .filter(|segment| segment.kind == PT_LOAD && segment.executable);
        for segment in segments {
            if segment.size > MOST {
                return Err("it has more code than an interpreter");
            }
            let bytes = elf
                .bytes(segment.offset, segment.size)
                .ok_or("its code cannot be read")?;
            let end = segment.svma.saturating_add(segment.size);
            let first = starts.partition_point(|&start| start < segment.svma);
            let last = starts.partition_point(|&start| start < end);
            for index in first..last {
                let begin = starts[index];
                let stop = starts.get(index + 1).copied().unwrap_or(end).min(end);
                let into = |svma: u64| usize::try_from(svma.checked_sub(segment.svma)?).ok();
                let range = into(begin)
                    .zip(into(stop))
                    .and_then(|(begin, stop)| bytes.get(begin..stop));
                sweep.function(code, range.unwrap_or_default(), begin, targets);
            }
        }
        Ok(sweep)
    }

    fn function<'data, R: ReadRef<'data>>(
        &mut self,
        code: &Code<'_, 'data, R>,
        bytes: &[u8],
        begin: u64,
        targets: [u64; 4],
    ) {
        let target = |value: u64| targets.iter().position(|&target| target == value);
        // Where each register was loaded from.
        let mut loaded: Vec<(Register, u64)> = Vec::new();
        for instruction in &mut Decoder::with_ip(64, bytes, begin, DecoderOptions::NONE) {
            if instruction.is_invalid() {
                // Data between functions, or damage: what follows is not known to be code.
                break;
            }
            if let OpKind::NearBranch64 = instruction.op0_kind() {
                let to = instruction.near_branch_target();
                self.jumped_to.insert(to);
                if instruction.mnemonic() == Mnemonic::Call {
                    self.entered.insert(to);
                } else if to < begin || to - begin >= bytes.len() as u64 {
                    self.out.push((begin, to));
                }
            }
            if instruction.mnemonic() == Mnemonic::Cmp {
                if let Some(target) = constant(&instruction).and_then(target) {
                    let register = (instruction.op0_kind() == OpKind::Register).then(|| instruction.op0_register());
                    let row = match register {
                        Some(register) => loaded.iter().find(|(known, _)| *known == register).map(|(_, row)| *row),
                        None => absolute(&instruction),
                    };
                    self.compares.push(Compare {
                        at: instruction.ip(),
                        next: instruction.next_ip(),
                        target,
                        register,
                        row,
                    });
                }
                continue;
            }
            let Some(register) = written(&instruction) else {
                continue;
            };
            loaded.retain(|(known, _)| *known != register);
            if instruction.mnemonic() == Mnemonic::Mov
                && let Some(row) = absolute(&instruction)
            {
                loaded.push((register, row));
            }
            let address = address(code, &instruction);
            if instruction.mnemonic() == Mnemonic::Lea {
                self.entered.extend(address);
            }
            if let Some(target) = address.and_then(target) {
                self.given.insert(instruction.ip(), target);
            }
        }
    }
}

/// The address that an instruction puts into a register, if it is always the same one.
pub(super) fn address<'data, R: ReadRef<'data>>(code: &Code<'_, 'data, R>, instruction: &Instruction) -> Option<u64> {
    match instruction.mnemonic() {
        Mnemonic::Lea => absolute(instruction),
        Mnemonic::Mov => constant(instruction).or_else(|| code.linked(absolute(instruction)?)),
        _ => None,
    }
}

/// The whole register that is an instruction's first operand, if it is written to.
fn written(instruction: &Instruction) -> Option<Register> {
    let only_reads = matches!(
        instruction.mnemonic(),
        Mnemonic::Cmp | Mnemonic::Test | Mnemonic::Push | Mnemonic::Call | Mnemonic::Jmp | Mnemonic::Bt
    );
    (instruction.op0_kind() == OpKind::Register && !only_reads).then(|| instruction.op0_register().full_register())
}

/// The constant that is an instruction's second operand.
fn constant(instruction: &Instruction) -> Option<u64> {
    instruction.try_immediate(1).ok()
}

/// The address (svma) of a memory operand that is always the same.
pub(super) fn absolute(instruction: &Instruction) -> Option<u64> {
    if instruction.is_ip_rel_memory_operand() {
        return Some(instruction.ip_rel_memory_address());
    }
    let is_memory = (0..instruction.op_count()).any(|operand| instruction.op_kind(operand) == OpKind::Memory);
    let plain =
        is_memory && instruction.memory_base() == Register::None && instruction.memory_index() == Register::None;
    (plain && instruction.segment_prefix() == Register::None).then(|| instruction.memory_displacement64())
}
