//! Running call frame instructions, for three registers instead of all: half the time of whole rows.

use gimli::{CallFrameInstruction as Instruction, CallFrameInstructionIter, Register, UnwindSection, X86_64};

use super::{
    expression, limits,
    state::{Bytes, CfaState, RbpState, ReturnState, State, rbp_at},
};

/// An instruction that makes no sense where it is.
pub(super) struct Senseless;

/// The state of a program between two instructions.
pub(super) struct Machine<'a, S> {
    section: &'a S,
    /// Bytes that one unit of data offsets stands for.
    data_alignment: i64,
    state: State,
    /// The state after the initial instructions, which `restore` goes back to; none while those run.
    initial: Option<State>,
    remembered: [State; limits::MAX_REMEMBERED],
    depth: usize,
}

impl<'d: 'a, 'a, S: UnwindSection<Bytes<'d>>> Machine<'a, S> {
    /// A program that starts from `initial`, or the initial one.
    pub(super) fn new(section: &'a S, data_alignment: i64, initial: Option<State>) -> Self {
        Self {
            section,
            data_alignment,
            state: initial.unwrap_or(State::START),
            initial,
            remembered: [State::START; limits::MAX_REMEMBERED],
            depth: 0,
        }
    }

    pub(super) const fn state(&self) -> &State {
        &self.state
    }

    /// Runs all instructions as those of a common part, which have no addresses; the state they lead to.
    pub(super) fn run_initial(mut self, mut instructions: CallFrameInstructionIter<'_, Bytes<'d>>) -> Option<State> {
        while let Some(instruction) = instructions.next().ok()? {
            self.apply(&instruction).ok()?;
        }
        Some(self.state)
    }

    /// Applies an instruction that stays at its address.
    pub(super) fn apply(&mut self, instruction: &Instruction<usize>) -> Result<(), Senseless> {
        match *instruction {
            Instruction::DefCfa { register, offset } => {
                self.state.cfa = CfaState::Register(register, offset.cast_signed());
            }
            Instruction::DefCfaSf {
                register,
                factored_offset,
            } => self.state.cfa = CfaState::Register(register, self.factored(factored_offset)),
            Instruction::DefCfaRegister { register } => self.cfa(|was, _| *was = register)?,
            Instruction::DefCfaOffset { offset } => self.cfa(|_, was| *was = offset.cast_signed())?,
            Instruction::DefCfaOffsetSf { factored_offset } => {
                let offset = self.factored(factored_offset);
                self.cfa(|_, was| *was = offset)?;
            }
            Instruction::DefCfaExpression { expression } => {
                self.state.cfa = CfaState::Expression(expression::place(self.section, expression));
            }
            Instruction::Undefined { register } => self.set(register, RbpState::Same, ReturnState::Undefined),
            Instruction::SameValue { register } => self.set(register, RbpState::Same, ReturnState::Elsewhere),
            Instruction::Offset {
                register,
                factored_offset,
            } => self.at_cfa(register, factored_offset.cast_signed()),
            Instruction::OffsetExtendedSf {
                register,
                factored_offset,
            } => self.at_cfa(register, factored_offset),
            Instruction::Expression { register, expression } => {
                if register == X86_64::RBP {
                    self.state.rbp = rbp_at(self.section, expression);
                } else {
                    self.elsewhere(register);
                }
            }
            Instruction::ValOffset { register, .. }
            | Instruction::ValOffsetSf { register, .. }
            | Instruction::ValExpression { register, .. }
            | Instruction::Register {
                dest_register: register,
                ..
            } => self.elsewhere(register),
            Instruction::Restore { register } => {
                let initial = self.initial.ok_or(Senseless)?;
                self.set(register, initial.rbp, initial.return_address);
            }
            Instruction::RememberState => {
                *self.remembered.get_mut(self.depth).ok_or(Senseless)? = self.state;
                self.depth += 1;
            }
            Instruction::RestoreState => {
                self.depth = self.depth.checked_sub(1).ok_or(Senseless)?;
                self.state = *self.remembered.get(self.depth).ok_or(Senseless)?;
            }
            // Those that advance are the caller's; the others say nothing of these registers.
            _ => {}
        }
        Ok(())
    }

    /// Wraps: the bytes are anyone's.
    const fn factored(&self, offset: i64) -> i64 {
        offset.wrapping_mul(self.data_alignment)
    }

    /// Changes a part of a CFA of register and offset.
    fn cfa(&mut self, change: impl FnOnce(&mut Register, &mut i64)) -> Result<(), Senseless> {
        match &mut self.state.cfa {
            CfaState::Register(register, offset) => {
                change(register, offset);
                Ok(())
            }
            CfaState::Expression(_) => Err(Senseless),
        }
    }

    const fn at_cfa(&mut self, register: Register, factored: i64) {
        let offset = self.factored(factored);
        self.set(register, RbpState::AtCfa(offset), ReturnState::AtCfa(offset));
    }

    const fn elsewhere(&mut self, register: Register) {
        self.set(register, RbpState::Elsewhere, ReturnState::Elsewhere);
    }

    /// Sets what is known of a register, if it is one of the two.
    const fn set(&mut self, register: Register, rbp: RbpState, return_address: ReturnState) {
        match register {
            X86_64::RBP => self.state.rbp = rbp,
            X86_64::RA => self.state.return_address = return_address,
            _ => {}
        }
    }
}
