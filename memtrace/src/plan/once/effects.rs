//! What an instruction does to the general registers.

use iced_x86::{Code as Opcode, Instruction, InstructionInfoFactory, Mnemonic, OpAccess, OpKind, Register};

/// A set of general registers.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Set(u16);

impl Set {
    /// Every register: what is known of an instruction that nothing leads to, or from.
    pub(super) const ALL: Self = Self(u16::MAX);

    /// Of one register, or of the one that it is a part of. Empty for others than general ones.
    pub(super) fn of(register: Register) -> Self {
        let full = register.full_register();
        Self(if full.is_gpr64() { 1 << full.number() } else { 0 })
    }

    pub(super) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(super) fn has(self, register: Register) -> bool {
        let one = Self::of(register);
        !one.is_empty() && self.and(one) == one
    }

    pub(super) const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(super) const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The one with the lowest number.
    pub(super) fn first(self) -> Option<Register> {
        (!self.is_empty()).then(|| Register::RAX + self.0.trailing_zeros())
    }
}

/// What an instruction does.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Effects {
    /// Registers that it may change, whole or in part.
    pub(super) changes: Set,
    /// From which whole register to which other it copies, and does nothing else.
    pub(super) copies: Option<(Register, Register)>,
    /// Registers that it may store.
    pub(super) stores: Set,
    /// A register that gets an address that the code has in itself.
    pub(super) addresses: Set,
    /// Whether it stores such an address.
    pub(super) stores_address: bool,
}

impl Effects {
    /// What an instruction does that is no jump and no return.
    ///
    /// # Errors
    /// Why nothing can be proven of a function that has it there.
    pub(super) fn of(
        instruction: &Instruction,
        factory: &mut InstructionInfoFactory,
        is_address: impl Fn(u64) -> bool,
    ) -> Result<Self, &'static str> {
        let mut effects = Self::default();
        let info = factory.info(instruction);
        for used in info.used_registers() {
            let set = Set::of(used.register());
            if set.has(Register::RSP) {
                return Err("its fast path uses the stack");
            }
            if writes(used.access()) {
                if set.has(Register::RBP) {
                    return Err("its fast path changes the frame pointer");
                }
                effects.changes = effects.changes.or(set);
            }
        }
        let stores = info.used_memory().iter().any(|used| writes(used.access()));
        for operand in 0..instruction.op_count() {
            match instruction.op_kind(operand) {
                OpKind::Register if stores => {
                    effects.stores = effects.stores.or(Set::of(instruction.op_register(operand)));
                }
                kind if stores && is_immediate(kind) => {
                    effects.stores_address |= is_address(instruction.immediate(operand));
                }
                _ => {}
            }
        }
        if is_copy(instruction) {
            effects.copies = Some((instruction.op1_register(), instruction.op0_register()));
        }
        effects.addresses = match instruction.mnemonic() {
            Mnemonic::Lea if instruction.is_ip_rel_memory_operand() => effects.changes,
            Mnemonic::Mov if is_immediate(instruction.op1_kind()) && is_address(instruction.immediate(1)) => {
                effects.changes
            }
            _ => Set::default(),
        };
        Ok(effects)
    }
}

const fn writes(access: OpAccess) -> bool {
    !matches!(
        access,
        OpAccess::None | OpAccess::Read | OpAccess::CondRead | OpAccess::NoMemAccess
    )
}

const fn is_immediate(kind: OpKind) -> bool {
    matches!(
        kind,
        OpKind::Immediate32 | OpKind::Immediate64 | OpKind::Immediate32to64
    )
}

/// Whether it copies a whole register.
fn is_copy(instruction: &Instruction) -> bool {
    (instruction.code() == Opcode::Mov_r64_rm64 || instruction.code() == Opcode::Mov_rm64_r64)
        && instruction.op0_kind() == OpKind::Register
        && instruction.op1_kind() == OpKind::Register
}
