//! A place where a compiler has made `if (f == pymalloc's) pymalloc; else f();` of a call by pointer, with pymalloc's code in line.
//!
//! The jump after the comparison is such a place's probe: the kernel emulates it, all registers are as at the call, and the zero flag
//! says whether it is pymalloc that is called. Where the size is, the other way tells: there the arguments of the call are put
//! where the calling convention wants them.

use iced_x86::{
    Code as Opcode, ConditionCode, Instruction, InstructionInfoFactory, OpAccess, OpKind, Register, RflagsBits,
};
use object::ReadRef;
use rustc_hash::FxHashSet;

use super::{
    super::{
        code::{Code, Flow, Place},
        flow::never_returns,
        placement::is_emulated,
    },
    Role,
    sweep::{Compare, Sweep},
    value::{State, Where},
};

/// Most instructions between a comparison and its jump: the compiler may move a few there.
const MOST_BETWEEN: usize = 8;

/// Most instructions from the jump to the call.
const MOST: usize = 64;

/// Most instructions that may follow a comparison which is none of a call: whole rows are compared one after the other.
const MOST_OF_QUESTION: usize = 1024;

/// What is said of a comparison that is none of a call.
pub(super) const QUESTION: &str = "it only asks whether pymalloc is in use";

/// A site that was proven.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Site {
    /// The jump (svma).
    pub(super) at: u64,
    /// Where the block is that is given (`realloc`, `free`).
    pub(super) old: Option<Where>,
    /// Where the count is (`calloc`).
    pub(super) count: Option<Where>,
    /// Where the size is.
    pub(super) size: Option<Where>,
}

/// Proves that a probe at the jump behind a comparison sees a call of a function that does this.
///
/// # Errors
/// Why that is not so, or cannot be told.
pub(super) fn prove<'data, R: ReadRef<'data>>(
    code: &Code<'_, 'data, R>,
    sweep: &Sweep,
    compare: &Compare,
    role: Role,
) -> Result<Site, &'static str> {
    let jump = jump(code, sweep, compare)?;
    // The way on which the pointer is another one.
    let other = match jump.condition_code() {
        ConditionCode::ne => jump.near_branch_target(),
        ConditionCode::e => jump.next_ip(),
        _ => return Err("the jump behind the comparison is about something else than equality"),
    };
    let state =
        call(code, other, compare).map_err(|why| if is_question(code, other, false) { QUESTION } else { why })?;
    let argument = |register| state.get(register).ok_or("where an argument is cannot be told");
    let (first, second) = (argument(Register::RSI), argument(Register::RDX));
    let at = jump.ip();
    Ok(match role {
        Role::Malloc => Site {
            at,
            old: None,
            count: None,
            size: Some(first?),
        },
        Role::Calloc => Site {
            at,
            old: None,
            count: Some(first?),
            size: Some(second?),
        },
        Role::Realloc => Site {
            at,
            old: Some(first?),
            count: None,
            size: Some(second?),
        },
        Role::Free => Site {
            at,
            old: Some(first?),
            count: None,
            size: None,
        },
    })
}

/// The conditional jump behind a comparison. Nothing between them changes flags, the pointer or memory, and nobody jumps there.
fn jump<'data, R: ReadRef<'data>>(
    code: &Code<'_, 'data, R>,
    sweep: &Sweep,
    compare: &Compare,
) -> Result<Instruction, &'static str> {
    let mut factory = InstructionInfoFactory::new();
    let mut at = compare.next;
    for _ in 0..MOST_BETWEEN {
        if sweep.jumped_to.contains(&at) || code.begins(at) {
            return Err("code jumps to between the comparison and its jump");
        }
        let instruction = code.instruction(at).ok_or("its code cannot be read")?;
        if instruction.is_jcc_short_or_near() {
            return if is_emulated(&instruction) {
                Ok(instruction)
            } else {
                Err("the jump behind the comparison is not emulated")
            };
        }
        if !matches!(code.flow(&instruction), Flow::Next | Flow::Padding)
            || instruction.rflags_modified() & RflagsBits::ZF != 0
        {
            return Err("no jump is behind the comparison: it is none of a call");
        }
        let info = factory.info(&instruction);
        let writes = |access: OpAccess| {
            !matches!(
                access,
                OpAccess::Read | OpAccess::CondRead | OpAccess::NoMemAccess | OpAccess::None
            )
        };
        let changes_pointer = info
            .used_registers()
            .iter()
            .any(|used| writes(used.access()) && Some(used.register().full_register()) == compare.register);
        if changes_pointer || info.used_memory().iter().any(|used| writes(used.access())) {
            return Err("between the comparison and its jump something else is done");
        }
        at = instruction.next_ip();
    }
    Err("no jump is near the comparison")
}

/// Follows the way to the call by the pointer that was compared; what is where then.
fn call<'data, R: ReadRef<'data>>(
    code: &Code<'_, 'data, R>,
    from: u64,
    compare: &Compare,
) -> Result<State, &'static str> {
    let mut state = State::new();
    let mut at = from;
    for _ in 0..MOST {
        let instruction = code.instruction(at).ok_or("its code cannot be read")?;
        match code.flow(&instruction) {
            Flow::Next | Flow::Padding => {
                state.pass(&instruction);
                at = instruction.next_ip();
            }
            Flow::Jump(Place::Local(target)) => at = target,
            Flow::Call(_) | Flow::Jump(_) if is_by(&instruction, &state, compare) => return Ok(state),
            Flow::Call(_) => return Err("another function is called before that of the pointer"),
            // Of a check of the stack before it returns (`-fstack-protector`) the other way ends.
            Flow::Branch(target) if ends(code, target) => at = instruction.next_ip(),
            Flow::Branch(target) if ends(code, instruction.next_ip()) => at = target,
            Flow::Branch(_) => return Err("there are several ways to the call by the pointer"),
            Flow::Jump(_) | Flow::Return | Flow::Stop => return Err("the way does not lead to a call by the pointer"),
        }
    }
    Err("no call by the pointer is near")
}

/// Whether what is at an address is a call that does not return.
fn ends<'data, R: ReadRef<'data>>(code: &Code<'_, 'data, R>, at: u64) -> bool {
    code.step(at)
        .is_some_and(|step| matches!(step.flow, Flow::Call(Place::Import(name)) if never_returns(name)))
}

/// Whether a way, on which the pointer is not pymalloc's function, leads to the end of its function without a call: then the comparison
/// does not decide how to call the pointer, as there is none. `beside`: calls of other functions by their names are none of a pointer.
fn is_question<'data, R: ReadRef<'data>>(code: &Code<'_, 'data, R>, from: u64, beside: bool) -> bool {
    let mut left = vec![from];
    let mut seen = FxHashSet::default();
    while let Some(at) = left.pop() {
        if !seen.insert(at) {
            continue;
        }
        let Some(step) = code.step(at).filter(|_| seen.len() <= MOST_OF_QUESTION) else {
            return false;
        };
        match step.flow {
            Flow::Next | Flow::Padding => left.push(step.next),
            Flow::Branch(target) => left.extend([target, step.next]),
            Flow::Jump(Place::Local(target)) => left.push(target),
            // What checks the stack before it returns ends there.
            Flow::Call(Place::Import(name)) if never_returns(name) => {}
            Flow::Call(Place::Import(_) | Place::Local(_)) if beside => left.push(step.next),
            Flow::Return => {}
            Flow::Call(_) | Flow::Jump(_) | Flow::Stop => return false,
        }
    }
    true
}

/// Whether the comparison at an address with a register is followed by a jump to where something is called.
///
/// # Errors
/// That it is none of a call.
pub(super) fn is_call<'data, R: ReadRef<'data>>(code: &Code<'_, 'data, R>, at: u64) -> Result<(), &'static str> {
    let jump = code
        .instruction(at)
        .and_then(|compare| code.instruction(compare.next_ip()));
    let other = jump.and_then(|jump| match (jump.is_jcc_short_or_near(), jump.condition_code()) {
        (true, ConditionCode::ne) => Some(jump.near_branch_target()),
        (true, ConditionCode::e) => Some(jump.next_ip()),
        _ => None,
    });
    match other {
        Some(other) if is_question(code, other, true) => Err(QUESTION),
        Some(_) | None => Ok(()),
    }
}

/// Whether a call or jump goes by the pointer that was compared.
fn is_by(instruction: &Instruction, state: &State, compare: &Compare) -> bool {
    match instruction.op0_kind() {
        OpKind::Register => {
            let pointer = compare.register.map(Where::register);
            pointer.is_some() && state.get(instruction.op0_register()) == pointer
        }
        // From the same row: nothing was called in between that could have changed it.
        OpKind::Memory => {
            matches!(instruction.code(), Opcode::Call_rm64 | Opcode::Jmp_rm64)
                && compare.row.is_some()
                && instruction.is_ip_rel_memory_operand()
                && Some(instruction.ip_rel_memory_address()) == compare.row
        }
        _ => false,
    }
}
