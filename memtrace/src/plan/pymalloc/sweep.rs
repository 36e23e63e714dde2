//! All code of a file, once: comparisons with functions of the allocator, and where jumps lead to.

use iced_x86::{Decoder, DecoderOptions, Instruction, Mnemonic, OpKind, Register};
use object::{ReadRef, elf::PT_LOAD};
use rustc_hash::FxHashSet;

use super::super::{code::Code, elf::Elf};

/// Most bytes of code that are looked through: the largest interpreter has 4 MB.
const MOST: u64 = 64 << 20;

/// Most instructions from where the address of a function is loaded to where it is compared.
const NEAR: usize = 64;

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

/// What is found.
#[derive(Debug, Default)]
pub(super) struct Sweep {
    /// Comparisons with the function's address itself.
    pub(super) compares: Vec<Compare>,
    /// Comparisons with a register that was given the address before: where (svma), and with which function.
    pub(super) by_register: Vec<(u64, usize)>,
    /// Where the address of a function is taken (svma), and what becomes of it is not understood.
    pub(super) unexplained: Vec<(u64, usize)>,
    /// Where jumps by a distance lead to.
    pub(super) jumped_to: FxHashSet<u64>,
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
                sweep.function(range.unwrap_or_default(), begin, targets);
            }
        }
        Ok(sweep)
    }

    fn function(&mut self, bytes: &[u8], begin: u64, targets: [u64; 4]) {
        let target = |value: u64| targets.iter().position(|&target| target == value);
        // Where each register was loaded from.
        let mut loaded: Vec<(Register, u64)> = Vec::new();
        let mut given: Vec<Given> = Vec::new();
        for (index, instruction) in Decoder::with_ip(64, bytes, begin, DecoderOptions::NONE)
            .iter()
            .enumerate()
        {
            if instruction.is_invalid() {
                // Data between functions, or damage: what follows is not known to be code.
                break;
            }
            if let OpKind::NearBranch64 = instruction.op0_kind() {
                self.jumped_to.insert(instruction.near_branch_target());
            }
            self.use_of(&instruction, index, &mut given);
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
            let address = match instruction.mnemonic() {
                Mnemonic::Lea => absolute(&instruction),
                Mnemonic::Mov => constant(&instruction),
                _ => None,
            };
            if let Some(target) = address.and_then(target) {
                given.push(Given {
                    register,
                    target,
                    at: instruction.ip(),
                    index,
                    is_used: false,
                });
            }
        }
        self.unexplained.extend(
            given
                .iter()
                .filter(|given| !given.is_used)
                .map(|given| (given.at, given.target)),
        );
    }

    /// Notes what an instruction does with the addresses that registers were given: they may be stored, which is how rows are made, and
    /// they may be compared. One that is overwritten without that, or kept for long, is not understood.
    fn use_of(&mut self, instruction: &Instruction, index: usize, given: &mut Vec<Given>) {
        let overwritten = written(instruction);
        for known in given.iter_mut() {
            let reads = |operand: u32| {
                instruction.op_kind(operand) == OpKind::Register
                    && instruction.op_register(operand).full_register() == known.register
            };
            match instruction.mnemonic() {
                Mnemonic::Cmp if reads(0) || reads(1) => {
                    known.is_used = true;
                    self.by_register.push((instruction.ip(), known.target));
                }
                Mnemonic::Mov | Mnemonic::Movq | Mnemonic::Vmovq | Mnemonic::Pinsrq | Mnemonic::Vpinsrq
                    if instruction.op_count() > 1
                        && (1..instruction.op_count()).any(reads)
                        && !is_general(instruction) =>
                {
                    known.is_used = true;
                }
                _ => {}
            }
        }
        let unexplained = &mut self.unexplained;
        given.retain(|known| {
            let keep = overwritten != Some(known.register) && index - known.index <= NEAR;
            if !keep && !known.is_used {
                unexplained.push((known.at, known.target));
            }
            keep
        });
    }
}

/// A register that was given the address of a function.
struct Given {
    register: Register,
    target: usize,
    at: u64,
    index: usize,
    /// Whether something was done with it that is understood.
    is_used: bool,
}

/// The whole register that is an instruction's first operand, if it is written to.
fn written(instruction: &Instruction) -> Option<Register> {
    let only_reads = matches!(
        instruction.mnemonic(),
        Mnemonic::Cmp | Mnemonic::Test | Mnemonic::Push | Mnemonic::Call | Mnemonic::Jmp | Mnemonic::Bt
    );
    (instruction.op0_kind() == OpKind::Register && !only_reads).then(|| instruction.op0_register().full_register())
}

/// Whether it writes to a general register: a copy of an address, which is not followed.
fn is_general(instruction: &Instruction) -> bool {
    instruction.op0_kind() == OpKind::Register && instruction.op0_register().is_gpr()
}

/// The constant that is an instruction's second operand.
fn constant(instruction: &Instruction) -> Option<u64> {
    instruction.try_immediate(1).ok()
}

/// The address (svma) of a memory operand that is always the same.
fn absolute(instruction: &Instruction) -> Option<u64> {
    if instruction.is_ip_rel_memory_operand() {
        return Some(instruction.ip_rel_memory_address());
    }
    let is_memory = (0..instruction.op_count()).any(|operand| instruction.op_kind(operand) == OpKind::Memory);
    let plain =
        is_memory && instruction.memory_base() == Register::None && instruction.memory_index() == Register::None;
    (plain && instruction.segment_prefix() == Register::None).then(|| instruction.memory_displacement64())
}
