//! What a rule and a row of gimli's say of a frame, as numbers: the rule as the BPF side follows it, the row as DWARF
//! defines it, expressions evaluated by gimli.

use gimli::{
    CfaRule, Encoding, EvaluationResult, Expression, Format, Location, Register, RegisterRule, UnwindExpression,
    UnwindSection, UnwindTableRow, Value, X86_64,
};
use memtrace_common::unwind::{Cfa, Rbp, Rule};

use super::super::state::Bytes;

/// A frame's registers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Registers {
    pub(super) rip: u64,
    pub(super) rsp: u64,
    pub(super) rbp: u64,
}

/// What is said of its caller.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Said {
    /// There is none.
    End,
    /// Its CFA and `rbp`; the return address is at `CFA - 8`.
    Caller { cfa: u64, rbp: u64 },
    /// Something that rules need not be able to say.
    Other,
}

/// Memory: a different word at each address.
fn memory(address: u64) -> u64 {
    address.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29) ^ 0x5555
}

/// Follows a rule.
pub(super) fn of_rule(rule: Rule, at: Registers) -> Said {
    let add = |base: u64, offset: i64| base.wrapping_add_signed(offset);
    let cfa = match Cfa::from_u8(rule.cfa()).unwrap() {
        Cfa::End => return Said::End,
        Cfa::None | Cfa::Signal | Cfa::Unsupported => return Said::Other,
        Cfa::Rsp => add(at.rsp, rule.cfa_offset().into()),
        Cfa::Rbp => add(at.rbp, rule.cfa_offset().into()),
        Cfa::Plt => {
            at.rsp
                + 8
                + if at.rip & 15 >= u64::try_from(rule.cfa_offset()).unwrap() {
                    8
                } else {
                    0
                }
        }
        Cfa::DerefRsp => add(memory(add(at.rsp, rule.deref_offset().into())), rule.deref_add().into()),
        Cfa::DerefRbp => add(memory(add(at.rbp, rule.deref_offset().into())), rule.deref_add().into()),
    };
    let rbp = match rule.rbp() {
        rbp if rbp == Rbp::Same as u8 => at.rbp,
        rbp if rbp == Rbp::AtCfa as u8 => memory(add(cfa, rule.rbp_offset().into())),
        rbp if rbp == Rbp::AtRbp as u8 => memory(add(at.rbp, rule.rbp_offset().into())),
        other => panic!("no kind of rbp: {other}"),
    };
    Said::Caller { cfa, rbp }
}

/// Follows a row. `simple` tells whether a rule must be able to say it.
pub(super) fn of_row<'d, S: UnwindSection<Bytes<'d>>>(
    section: &S,
    row: &UnwindTableRow<usize>,
    at: Registers,
) -> (Said, bool) {
    match row.register(X86_64::RA) {
        Some(RegisterRule::Undefined) => return (Said::End, true),
        Some(RegisterRule::Offset(-8)) => {}
        _ => return (Said::Other, false),
    }
    let (cfa, simple_cfa) = match *row.cfa() {
        CfaRule::RegisterAndOffset { register, offset } => {
            let Some(base) = register_of(register, at) else {
                return (Said::Other, false);
            };
            let simple = register != X86_64::RA && i32::try_from(offset).is_ok();
            (base.wrapping_add_signed(offset), simple)
        }
        CfaRule::Expression(expression) => match evaluate(section, expression, None, at) {
            Some(cfa) => (cfa, false),
            None => return (Said::Other, false),
        },
    };
    let (rbp, simple_rbp) = match row.register(X86_64::RBP) {
        None | Some(RegisterRule::Undefined | RegisterRule::SameValue) => (at.rbp, true),
        Some(RegisterRule::Offset(offset)) => (memory(cfa.wrapping_add_signed(offset)), i16::try_from(offset).is_ok()),
        Some(RegisterRule::Expression(expression)) => match evaluate(section, expression, Some(cfa), at) {
            Some(address) => (memory(address), false),
            None => return (Said::Other, false),
        },
        Some(_) => return (Said::Other, false),
    };
    (Said::Caller { cfa, rbp }, simple_cfa && simple_rbp)
}

fn register_of(register: Register, at: Registers) -> Option<u64> {
    match register {
        X86_64::RA => Some(at.rip),
        X86_64::RSP => Some(at.rsp),
        X86_64::RBP => Some(at.rbp),
        _ => None,
    }
}

/// What an expression computes, if it asks for known registers only.
fn evaluate<'d, S: UnwindSection<Bytes<'d>>>(
    section: &S,
    expression: UnwindExpression<usize>,
    initial: Option<u64>,
    at: Registers,
) -> Option<u64> {
    let encoding = Encoding {
        address_size: 8,
        format: Format::Dwarf32,
        version: 4,
    };
    let Expression(bytes) = expression.get(section).ok()?;
    let mut evaluation = Expression(bytes).evaluation(encoding);
    if let Some(initial) = initial {
        evaluation.set_initial_value(initial);
    }
    evaluation.set_max_iterations(100);
    let mut result = evaluation.evaluate().ok()?;
    loop {
        result = match result {
            EvaluationResult::Complete => break,
            EvaluationResult::RequiresRegister { register, .. } => {
                evaluation.resume_with_register(Value::Generic(register_of(register, at)?))
            }
            EvaluationResult::RequiresMemory {
                address,
                size: 8,
                space: None,
                ..
            } => evaluation.resume_with_memory(Value::Generic(memory(address))),
            _ => return None,
        }
        .ok()?;
    }
    match evaluation.result().first()?.location {
        Location::Address { address } => Some(address),
        _ => None,
    }
}
