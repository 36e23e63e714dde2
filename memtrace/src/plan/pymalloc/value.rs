//! What registers and the stack hold on the way from a site to a call, in terms of what they held at the site.

use std::fmt;

use iced_x86::{Code as Opcode, Instruction, InstructionInfoFactory, MemorySize, Mnemonic, OpAccess, OpKind, Register};
use rustc_hash::FxHashMap;

/// Where a number is when a probe at a site is hit.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Where {
    /// It is this, always.
    Constant(u64),
    /// In a register, plus a constant; or in its lower half alone.
    Register {
        /// Which: a 64-bit one.
        register: Register,
        /// What is added.
        plus: i32,
        /// Whether only the lower 32 bits count.
        low: bool,
    },
    /// On the stack: that many bytes above the stack pointer.
    Stack(i32),
}

impl Where {
    /// What a register holds.
    pub(super) const fn register(register: Register) -> Self {
        Self::Register {
            register,
            plus: 0,
            low: false,
        }
    }

    fn plus(self, more: i32) -> Option<Self> {
        match self {
            Self::Constant(value) => Some(Self::Constant(value.wrapping_add_signed(i64::from(more)))),
            Self::Register {
                register,
                plus,
                low: false,
            } => Some(Self::Register {
                register,
                plus: plus.checked_add(more)?,
                low: false,
            }),
            Self::Register { .. } | Self::Stack(_) => None,
        }
    }

    fn low(self) -> Option<Self> {
        match self {
            Self::Constant(value) => Some(Self::Constant(value & 0xffff_ffff)),
            Self::Register { register, plus: 0, .. } => Some(Self::Register {
                register,
                plus: 0,
                low: true,
            }),
            Self::Register { .. } | Self::Stack(_) => None,
        }
    }
}

impl fmt::Display for Where {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |register: Register| format!("{register:?}").to_lowercase();
        match *self {
            Self::Constant(value) => write!(out, "{value}"),
            Self::Register {
                register, low: true, ..
            } => write!(out, "{} (32 bits)", name(register)),
            Self::Register { register, plus: 0, .. } => write!(out, "{}", name(register)),
            Self::Register { register, plus, .. } => write!(out, "{}{plus:+}", name(register)),
            Self::Stack(at) => write!(out, "rsp{at:+} in memory"),
        }
    }
}

/// The state on the way.
pub(super) struct State {
    registers: FxHashMap<Register, Option<Where>>,
    /// What was stored on the stack on the way, by its distance from the stack pointer of the site.
    stored: FxHashMap<i32, Option<Where>>,
    /// Where the stack pointer is now, in bytes from where it was; `None` when that is not known.
    stack: Option<i32>,
    /// Whether something was stored to where it is not known: what lay on the stack may be something else.
    stack_is_changed: bool,
    factory: InstructionInfoFactory,
}

impl State {
    /// At the site.
    pub(super) fn new() -> Self {
        Self {
            registers: FxHashMap::default(),
            stored: FxHashMap::default(),
            stack: Some(0),
            stack_is_changed: false,
            factory: InstructionInfoFactory::new(),
        }
    }

    /// What a register holds; `None` when it is not known.
    pub(super) fn get(&self, register: Register) -> Option<Where> {
        let full = register.full_register();
        self.registers
            .get(&full)
            .copied()
            .unwrap_or(Some(Where::register(full)))
    }

    /// Does what an instruction does that leads to the next one.
    pub(super) fn pass(&mut self, instruction: &Instruction) {
        let kind = |operand: u32| instruction.op_kind(operand);
        let result = match instruction.code() {
            Opcode::Mov_r64_rm64 | Opcode::Mov_rm64_r64 if kind(1) == OpKind::Register => {
                self.get(instruction.op1_register())
            }
            Opcode::Mov_r32_rm32 | Opcode::Mov_rm32_r32 if kind(1) == OpKind::Register => {
                self.get(instruction.op1_register()).and_then(Where::low)
            }
            Opcode::Mov_r64_rm64 if kind(1) == OpKind::Memory => self.slot(instruction).and_then(|at| self.load(at)),
            Opcode::Mov_r32_imm32 | Opcode::Mov_rm32_imm32 | Opcode::Mov_r64_imm64 | Opcode::Mov_rm64_imm32 => {
                instruction.try_immediate(1).ok().map(Where::Constant)
            }
            Opcode::Xor_r32_rm32 | Opcode::Xor_rm32_r32 | Opcode::Xor_r64_rm64 | Opcode::Xor_rm64_r64
                if kind(1) == OpKind::Register && instruction.op0_register() == instruction.op1_register() =>
            {
                Some(Where::Constant(0))
            }
            Opcode::Lea_r64_m if instruction.memory_index() == Register::None => self.address(instruction),
            Opcode::Add_rm64_imm8 | Opcode::Add_rm64_imm32 | Opcode::Sub_rm64_imm8 | Opcode::Sub_rm64_imm32 => {
                self.added(instruction)
            }
            _ => None,
        };
        let before = self.stack;
        self.take(instruction, result);
        match instruction.mnemonic() {
            Mnemonic::Push | Mnemonic::Pop => {
                self.stack = before.and_then(|at| at.checked_add(instruction.stack_pointer_increment()));
                if let (Mnemonic::Push, Some(at)) = (instruction.mnemonic(), self.stack) {
                    let value = (kind(0) == OpKind::Register)
                        .then(|| self.get(instruction.op0_register()))
                        .flatten();
                    self.stored.insert(at, value);
                }
            }
            Mnemonic::Add | Mnemonic::Sub if is_stack_pointer(instruction) => {
                let by = instruction
                    .try_immediate(1)
                    .ok()
                    .and_then(|by| i32::try_from(by.cast_signed()).ok());
                let by = by.and_then(|by| {
                    if instruction.mnemonic() == Mnemonic::Sub {
                        by.checked_neg()
                    } else {
                        Some(by)
                    }
                });
                self.stack = before.zip(by).and_then(|(at, by)| at.checked_add(by));
            }
            _ => {}
        }
    }

    /// Notes what an instruction writes: `result` where it writes to its first operand, and something unknown wherever else.
    fn take(&mut self, instruction: &Instruction, result: Option<Where>) {
        let is_write = |access: OpAccess| {
            matches!(
                access,
                OpAccess::Write | OpAccess::CondWrite | OpAccess::ReadWrite | OpAccess::ReadCondWrite
            )
        };
        let info = self.factory.info(instruction);
        let written: Vec<Register> = info
            .used_registers()
            .iter()
            .filter(|used| is_write(used.access()))
            .map(|used| used.register().full_register())
            .collect();
        let stores = info.used_memory().iter().any(|used| is_write(used.access()));
        let first = (instruction.op0_kind() == OpKind::Register).then(|| instruction.op0_register().full_register());
        for register in written {
            if register == Register::RSP {
                self.stack = None;
            } else {
                self.registers
                    .insert(register, result.filter(|_| first == Some(register)));
            }
        }
        if stores && instruction.mnemonic() != Mnemonic::Push {
            self.store(instruction);
        }
    }

    fn store(&mut self, instruction: &Instruction) {
        let whole = instruction.memory_size() == MemorySize::UInt64 || instruction.memory_size() == MemorySize::Int64;
        match self.slot(instruction) {
            Some(at) if whole && instruction.mnemonic() == Mnemonic::Mov => {
                let value = match instruction.op1_kind() {
                    OpKind::Register => self.get(instruction.op1_register()),
                    _ => instruction.try_immediate(1).ok().map(Where::Constant),
                };
                // What overlaps it is something else now.
                self.stored.retain(|known, _| known.abs_diff(at) >= 8);
                self.stored.insert(at, value);
            }
            // A part of a word: what is read around it is not known.
            Some(at) if instruction.mnemonic() == Mnemonic::Mov && instruction.memory_size().size() < 8 => {
                self.stored.retain(|known, _| known.abs_diff(at) >= 8);
                self.stored.insert(at, None);
            }
            _ => {
                self.stack_is_changed = true;
                self.stored.clear();
            }
        }
    }

    fn load(&self, at: i32) -> Option<Where> {
        if let Some(value) = self.stored.get(&at) {
            return *value;
        }
        let overlaps = self.stored.keys().any(|known| known.abs_diff(at) < 8);
        // Below the stack pointer of the site nothing is kept.
        (!overlaps && !self.stack_is_changed && at >= 0).then_some(Where::Stack(at))
    }

    /// Which slot of the stack a memory operand is, from the stack pointer of the site.
    fn slot(&self, instruction: &Instruction) -> Option<i32> {
        let plain = instruction.memory_base() == Register::RSP
            && instruction.memory_index() == Register::None
            && instruction.segment_prefix() == Register::None;
        plain.then_some(())?;
        let distance = i32::try_from(instruction.memory_displacement64().cast_signed()).ok()?;
        self.stack?.checked_add(distance)
    }

    fn address(&self, instruction: &Instruction) -> Option<Where> {
        if instruction.is_ip_rel_memory_operand() || instruction.memory_base() == Register::RSP {
            return None;
        }
        let distance = i32::try_from(instruction.memory_displacement64().cast_signed()).ok()?;
        self.get(instruction.memory_base())?.plus(distance)
    }

    fn added(&self, instruction: &Instruction) -> Option<Where> {
        (instruction.op0_kind() == OpKind::Register && !is_stack_pointer(instruction)).then_some(())?;
        let by = i32::try_from(instruction.try_immediate(1).ok()?.cast_signed()).ok()?;
        let by = if matches!(instruction.mnemonic(), Mnemonic::Sub) {
            by.checked_neg()?
        } else {
            by
        };
        self.get(instruction.op0_register())?.plus(by)
    }
}

fn is_stack_pointer(instruction: &Instruction) -> bool {
    instruction.op0_kind() == OpKind::Register && instruction.op0_register() == Register::RSP
}
