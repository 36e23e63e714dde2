//! Follows the flow of control through a function: where it returns, and whether it can without having called another hook.

use std::cell::Cell;

use memtrace_common::Op;
use object::ReadRef;
use rustc_hash::{FxHashMap, FxHashSet};

use super::{
    code::{Code, Flow, Place},
    families,
};

/// Most instructions of one function with what it jumps to.
const MAX_INSTRUCTIONS: usize = 4096;
/// Most return instructions of one function. Each is a probe.
const MAX_EXITS: usize = 32;
/// How deep calls are followed.
const MAX_DEPTH: u32 = 3;
/// Most instructions for the proof of one function, calls included.
const MAX_PROOF: usize = 4 * MAX_INSTRUCTIONS;

/// Functions that end without returning to their caller.
pub(super) const NEVER_RETURN: [&str; 14] = [
    "abort",
    "exit",
    "_exit",
    "__assert_fail",
    "__stack_chk_fail",
    "_Unwind_Resume",
    "_ZSt9terminatev",
    "_ZSt17__throw_bad_allocv",
    "_ZSt28__throw_bad_array_new_lengthv",
    "__cxa_throw",
    "__cxa_rethrow",
    "__cxa_bad_cast",
    "__cxa_throw_bad_array_new_length",
    "__cxa_call_unexpected",
];

/// Whether a function of this name ends without returning to its caller.
pub(super) fn never_returns(name: &[u8]) -> bool {
    NEVER_RETURN.iter().any(|known| known.as_bytes() == name)
}

/// What the functions of a file are, by address.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Known {
    /// A hook that allocates.
    Allocates,
    /// A hook that frees.
    Frees,
    /// It ends without returning.
    NeverReturns,
}

impl Known {
    /// What a hook of that operation is; a resize in place hands out no block.
    pub(super) fn of(op: Op) -> Option<Self> {
        match op {
            _ if op.is_resize() => None,
            _ if op.is_free() => Some(Self::Frees),
            _ => Some(Self::Allocates),
        }
    }
}

/// What is known about a file's functions.
pub(super) type Functions = FxHashMap<u64, Known>;

/// What is said of a jump to where cannot be told.
const ANYWHERE: &str = "it jumps to where cannot be told beforehand";

/// What to do after a step.
enum Then {
    GoOn,
    /// This way has ended.
    Enough,
    /// The whole walk has.
    Fail(&'static str),
}

/// What a walk comes across.
enum Seen<'data> {
    Call(Place<'data>),
    Jump(Place<'data>),
    /// A jump to where cannot be told, with the bytes on the stack above the return address.
    JumpAnywhere(Option<i64>),
    Return(u64),
}

/// Visits all that can be reached from `entry`.
fn walk<'data, R: ReadRef<'data>>(
    code: &Code<'_, 'data, R>,
    entry: u64,
    room: &Cell<usize>,
    mut see: impl FnMut(u64, Seen<'data>) -> Then,
) -> Result<(), &'static str> {
    let mut visited = FxHashSet::default();
    // With each address, whether a call comes just before it, and how many bytes are on the stack.
    let mut left = vec![(entry, false, Some(0_i64))];
    while let Some((at, after_call, depth)) = left.pop() {
        if !visited.insert(at) {
            continue;
        }
        // The compiler puts nothing after a call that does not return, so another function follows.
        if after_call && code.begins(at) {
            continue;
        }
        let less = room.get().checked_sub(1).filter(|_| visited.len() <= MAX_INSTRUCTIONS);
        room.set(less.ok_or("it is too long")?);
        let step = code.step(at).ok_or("its code cannot be read")?;
        let deep = depth.zip(step.deeper).and_then(|(depth, more)| depth.checked_add(more));
        let mut then = |seen| match see(at, seen) {
            Then::GoOn => Ok(true),
            Then::Enough => Ok(false),
            Then::Fail(why) => Err(why),
        };
        match step.flow {
            Flow::Next => left.push((step.next, false, deep)),
            Flow::Padding => left.push((step.next, after_call, deep)),
            Flow::Stop => {}
            Flow::Return => _ = then(Seen::Return(at))?,
            Flow::Call(place) => {
                if then(Seen::Call(place))? {
                    left.push((step.next, true, deep));
                }
            }
            Flow::Jump(Place::Unknown) => _ = then(Seen::JumpAnywhere(deep))?,
            Flow::Jump(place) => {
                if then(Seen::Jump(place))?
                    && let Place::Local(target) = place
                {
                    left.push((target, false, deep));
                }
            }
            Flow::Branch(target) => {
                left.push((step.next, false, deep));
                if then(Seen::Jump(Place::Local(target)))? {
                    left.push((target, false, deep));
                }
            }
        }
    }
    Ok(())
}

/// What a place is.
fn known(functions: &Functions, place: Place<'_>) -> Option<Known> {
    match place {
        Place::Local(svma) => functions.get(&svma).copied(),
        Place::Import(name) => {
            let name = std::str::from_utf8(name).ok()?;
            if NEVER_RETURN.contains(&name) {
                return Some(Known::NeverReturns);
            }
            families::hook(name).and_then(|hook| Known::of(hook.op))
        }
        Place::Unknown => None,
    }
}

/// The return instructions that can be reached from a function's entry.
///
/// # Errors
/// Why they cannot be found, as the end of a sentence.
pub(super) fn exits<'data, R: ReadRef<'data>>(
    code: &Code<'_, 'data, R>,
    entry: u64,
    return_probed: impl Fn(u64) -> bool,
    functions: &Functions,
) -> Result<Vec<u64>, &'static str> {
    let mut exits = Vec::new();
    walk(code, entry, &Cell::new(MAX_INSTRUCTIONS), |_, seen| match seen {
        Seen::Call(place) | Seen::Jump(place) if known(functions, place) == Some(Known::NeverReturns) => Then::Enough,
        Seen::Jump(Place::Local(target)) if target != entry && return_probed(target) => {
            Then::Fail("it ends in a jump to another hook")
        }
        Seen::Call(_) | Seen::Jump(Place::Local(_)) => Then::GoOn,
        Seen::Jump(Place::Import(_)) => Then::Fail("it ends in a jump to another file"),
        Seen::Jump(Place::Unknown) | Seen::JumpAnywhere(_) => Then::Fail(ANYWHERE),
        Seen::Return(_) if exits.len() == MAX_EXITS => Then::Fail("it returns at too many places"),
        Seen::Return(at) => {
            exits.push(at);
            Then::Enough
        }
    })?;
    exits.sort_unstable();
    if exits.is_empty() {
        return Err("it returns nowhere");
    }
    Ok(exits)
}

/// Adds from where to where the jumps of a function lead, with what it jumps to: at least where the stack is as at the entry.
///
/// # Errors
/// Why that cannot be told, as a sentence.
pub(super) fn jumps<'data, R: ReadRef<'data>>(
    code: &Code<'_, 'data, R>,
    entry: u64,
    jumps: &mut FxHashSet<(u64, u64)>,
) -> Result<(), &'static str> {
    walk(code, entry, &Cell::new(MAX_INSTRUCTIONS), |at, seen| match seen {
        Seen::Jump(Place::Local(target)) => {
            jumps.insert((at, target));
            Then::GoOn
        }
        // Code finds its stack as deep as it always is there, so that such a jump leads to no place of another depth.
        Seen::JumpAnywhere(Some(0) | None) | Seen::Jump(Place::Unknown) => Then::Fail(ANYWHERE),
        Seen::JumpAnywhere(_) | Seen::Call(_) | Seen::Jump(Place::Import(_)) | Seen::Return(_) => Then::GoOn,
    })
}

/// A proof that a function returns only after a call of another hook of the same kind.
#[derive(Debug, Default, Eq, PartialEq)]
pub(super) struct Proof {
    /// The hooks of this file that it builds on.
    pub(super) uses: Vec<u64>,
}

/// Proves that a function passes its request on, where it does. `functions` must not have the function itself.
pub(super) fn passes_on<'data, R: ReadRef<'data>>(
    code: &Code<'_, 'data, R>,
    entry: u64,
    kind: Known,
    functions: &Functions,
) -> Option<Proof> {
    let mut prover = Prover {
        code,
        kind,
        functions,
        room: &Cell::new(MAX_PROOF),
        proof: Proof::default(),
    };
    prover.proves(entry, MAX_DEPTH).then_some(prover.proof)
}

/// Proves that a function is nothing but a jump to another hook of the same kind.
pub(super) fn only_jumps<'data, R: ReadRef<'data>>(
    code: &Code<'_, 'data, R>,
    entry: u64,
    kind: Known,
    functions: &Functions,
) -> Option<Proof> {
    let mut at = entry;
    // `endbr64` and the like.
    for _ in 0..2 {
        let step = code.step(at)?;
        match step.flow {
            Flow::Jump(place) if known(functions, place) == Some(kind) => {
                let uses = if let Place::Local(target) = place {
                    vec![target]
                } else {
                    Vec::new()
                };
                return Some(Proof { uses });
            }
            Flow::Padding => at = step.next,
            _ => return None,
        }
    }
    None
}

struct Prover<'walk, 'elf, 'data, R> {
    code: &'walk Code<'elf, 'data, R>,
    kind: Known,
    functions: &'walk Functions,
    /// Instructions that may still be looked at, in all functions together.
    room: &'walk Cell<usize>,
    proof: Proof,
}

impl<'data, R: ReadRef<'data>> Prover<'_, '_, 'data, R> {
    fn proves(&mut self, entry: u64, depth: u32) -> bool {
        let mut passed = false;
        let (code, room) = (self.code, self.room);
        let mut nested = Vec::new();
        let result = walk(code, entry, room, |_, seen| {
            let place = match seen {
                Seen::Call(place) | Seen::Jump(place) => place,
                Seen::JumpAnywhere(_) => return Then::Fail(ANYWHERE),
                Seen::Return(_) => return Then::Fail("it can return without"),
            };
            let known = known(self.functions, place);
            if known == Some(Known::NeverReturns) {
                return Then::Enough;
            }
            if known == Some(self.kind) {
                passed = true;
                if let Place::Local(target) = place {
                    nested.push(target);
                }
                return Then::Enough;
            }
            match (seen, place) {
                (Seen::Call(_), Place::Local(target)) if depth > 0 && self.proves(target, depth - 1) => {
                    passed = true;
                    Then::Enough
                }
                (Seen::Jump(_), Place::Import(_) | Place::Unknown) => Then::Fail("it leaves the file"),
                _ => Then::GoOn,
            }
        });
        self.proof.uses.append(&mut nested);
        result.is_ok() && passed
    }
}
