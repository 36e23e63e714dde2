//! What is known of a frame at an address, and the rule that says so.

use gimli::{EndianSlice, LittleEndian, Register, UnwindSection, X86_64};
use memtrace_common::unwind::{Cfa, Rbp, Rule};

use super::expression::{self, Place};

/// The bytes of a section.
pub(super) type Bytes<'d> = EndianSlice<'d, LittleEndian>;

/// Where the return address is in every frame of a `call`: `CFA - 8`. The rules can say nothing else.
const RETURN_ADDRESS: i64 = -8;

/// The canonical frame address.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum CfaState {
    /// A register and an offset.
    Register(Register, i64),
    /// What an expression computes, where that can be said.
    Expression(Option<Place>),
}

/// Where the caller's `rbp` is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum RbpState {
    /// Still in the register, or lost: then no caller needs it.
    Same,
    /// In memory at `CFA + offset`.
    AtCfa(i64),
    /// In memory at `rbp + offset`.
    AtRbp(i64),
    /// Elsewhere.
    Elsewhere,
}

/// Where the return address is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum ReturnState {
    /// There is none: the outermost frame.
    Undefined,
    /// In memory at `CFA + offset`.
    AtCfa(i64),
    /// Elsewhere, or not said.
    Elsewhere,
}

/// The registers that matter of a row of call frame information.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct State {
    pub(super) cfa: CfaState,
    pub(super) rbp: RbpState,
    pub(super) return_address: ReturnState,
}

impl State {
    /// Before the first instruction, as gimli has it: a register that rules do not know.
    pub(super) const START: Self = Self {
        cfa: CfaState::Register(X86_64::RAX, 0),
        rbp: RbpState::Same,
        return_address: ReturnState::Elsewhere,
    };

    /// The rule that says the same, or [`Rule::UNSUPPORTED`].
    pub(super) fn rule(&self) -> Rule {
        match self.return_address {
            ReturnState::Undefined => Rule::END,
            ReturnState::AtCfa(RETURN_ADDRESS) => self.pack().unwrap_or(Rule::UNSUPPORTED),
            ReturnState::AtCfa(_) | ReturnState::Elsewhere => Rule::UNSUPPORTED,
        }
    }

    fn pack(&self) -> Option<Rule> {
        let (rbp, rbp_offset) = match self.rbp {
            RbpState::Same => (Rbp::Same, 0),
            RbpState::AtCfa(offset) => (Rbp::AtCfa, i16::try_from(offset).ok()?),
            RbpState::AtRbp(offset) => (Rbp::AtRbp, i16::try_from(offset).ok()?),
            RbpState::Elsewhere => return None,
        };
        let place = match self.cfa {
            CfaState::Register(register, offset) => Place::At { register, offset },
            CfaState::Expression(place) => place?,
        };
        Some(match place {
            Place::At { register, offset } => {
                let cfa = either(register, Cfa::Rsp, Cfa::Rbp)?;
                Rule::new(cfa, i32::try_from(offset).ok()?, rbp, rbp_offset)
            }
            Place::Deref { register, offset, add } => {
                let cfa = either(register, Cfa::DerefRsp, Cfa::DerefRbp)?;
                let (offset, add) = (i16::try_from(offset).ok()?, i16::try_from(add).ok()?);
                Rule::deref(cfa, offset, add, rbp, rbp_offset)
            }
            Place::Plt { threshold } => Rule::new(Cfa::Plt, threshold, rbp, rbp_offset),
        })
    }
}

/// One of two by register.
fn either(register: Register, rsp: Cfa, rbp: Cfa) -> Option<Cfa> {
    match register {
        X86_64::RSP => Some(rsp),
        X86_64::RBP => Some(rbp),
        _ => None,
    }
}

/// Where `rbp` is whose place an expression computes.
pub(super) fn rbp_at<'d, S: UnwindSection<Bytes<'d>>>(
    section: &S,
    expression: gimli::UnwindExpression<usize>,
) -> RbpState {
    match expression::place(section, expression) {
        Some(Place::At {
            register: X86_64::RBP,
            offset,
        }) => RbpState::AtRbp(offset),
        _ => RbpState::Elsewhere,
    }
}
