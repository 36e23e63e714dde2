//! Whether one probe can see a whole allocation.
//!
//! Allocators have a fast path, on which nothing is called, and a slow part that it jumps to. Where it is proven that every way through
//! the fast path comes by one jump, once, at which the requested size and the result are both in registers, a probe there takes
//! the place of the pair. The pair goes to the jumps to the slow part, where the stack and the arguments are as at the entry.
//!
//! Proven means: all instructions are followed ([`body`]), with the registers that hold the size (forwards, [`size`]) and those that hold
//! what will be returned (backwards, [`result`]); and the instructions are divided in those before and those behind a place, so that
//! nothing leads back ([`colour`]). What is not understood is refused, with the reason.

mod body;
mod colour;
mod effects;
mod result;
mod size;

use iced_x86::Register;
use memtrace_common::{Once, Shape, When};
use object::ReadRef;
use rustc_hash::FxHashSet;

use self::{
    body::{Body, End},
    effects::Set,
};
use super::{
    code::Code,
    placement::{HOLDERS, Jumps, is_emulated},
};

/// Farthest from the entry that a probe may lie, in bytes: its cookie says how far it is.
const FARTHEST: u64 = 4095;
/// Most places of one function. Compilers make one to three.
const MOST_PLACES: usize = 8;

/// Where the allocations of a function are seen.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Seen {
    /// The places for one probe, by address (svma).
    pub(super) places: Vec<(u64, Once)>,
    /// The jumps to the slow part, for a pair.
    pub(super) slow: Vec<Slow>,
    /// The instructions by which it returns (svma).
    pub(super) returns: Vec<u64>,
}

/// A jump to the slow part.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Slow {
    /// Its address (svma).
    pub(super) at: u64,
    /// Where it leads to, when that is in the file.
    pub(super) target: Option<u64>,
    /// Where the size is there.
    pub(super) shape: Shape,
}

/// Whether a shape has nothing but a size, and the result is what is returned.
pub(super) const fn is_size_only(shape: Shape) -> bool {
    shape.size.is_some() && shape.count.is_none() && shape.old.is_none() && shape.out.is_none()
}

/// Finds the places for the function at `entry`, whose size is where `shape` says. `is_hook` tells the entries of hooks, `jumps` are
/// those of all hooks of the file.
///
/// # Errors
/// Why an allocation keeps its two traps, as a sentence.
pub(super) fn find<'data, R: ReadRef<'data>>(
    code: &Code<'_, 'data, R>,
    entry: u64,
    shape: Shape,
    is_hook: impl Fn(u64) -> bool,
    jumps: &Jumps,
) -> Result<Seen, &'static str> {
    let argument = shape.size.and_then(|index| HOLDERS.get(usize::from(index)));
    let argument = *argument.ok_or("its size is not in a register")?;
    if code.has_restartable_sequences() {
        return Err("the file has restartable sequences, which the kernel may leave at any instruction");
    }
    let body = Body::read(code, entry, is_hook)?;
    let inside: FxHashSet<u64> = body.addresses().collect();
    jumps.stay_out_of(entry, &inside)?;
    let states = size::follow(&body, argument)?;
    let results = result::follow(&body);
    let held = |at: u64| states.get(&at).copied().unwrap_or_default().held;
    // What the caller left in a register is no result of this function, whatever it seems to return.
    let returned = |from: u64, to: u64| {
        let own = states.get(&from).copied().unwrap_or_default().own;
        results.get(&to).copied().unwrap_or_default().and(own)
    };
    let may_be = |from: u64, to: u64| {
        body.step(from)
            .is_some_and(|step| is_emulated(&step.instruction) && step.decides(to).is_some())
            && !held(from).is_empty()
            && !returned(from, to).is_empty()
    };
    let edges = colour::places(&body, may_be)?;
    let mut seen = Seen::default();
    for &(from, to) in &edges {
        let when = body.step(from).and_then(|step| step.decides(to));
        let (Some(when), Some(size), Some(result)) = (when, held(from).first(), returned(from, to).first()) else {
            return Err("a place is none");
        };
        seen.places.push((
            from,
            Once {
                size: dwarf(size),
                result: dwarf(result),
                when,
            },
        ));
    }
    seen.places.sort_unstable_by_key(|&(at, _)| at);
    let twice = seen.places.windows(2).any(|pair| pair[0].0 == pair[1].0);
    if seen.places.is_empty() || seen.places.len() > MOST_PLACES || twice {
        return Err("its places are not some few jumps");
    }
    for step in body.steps() {
        match step.end {
            End::Leaves(target) => seen.slow.push(slow(step, target, shape, held(step.at))?),
            End::Returns => seen.returns.push(step.at),
            End::GoesOn | End::Stops => {}
        }
    }
    let all = seen
        .places
        .iter()
        .map(|(at, _)| *at)
        .chain(seen.slow.iter().map(|slow| slow.at));
    if all
        .into_iter()
        .any(|at| at.checked_sub(entry).is_none_or(|far| far > FARTHEST))
    {
        return Err("a place is too far from its entry");
    }
    Ok(seen)
}

/// The jump to the slow part as an entry.
fn slow(step: &body::Step, target: Option<u64>, shape: Shape, held: Set) -> Result<Slow, &'static str> {
    if !is_emulated(&step.instruction) {
        return Err("the jump to its slow part is one that the kernel steps through");
    }
    let holder = HOLDERS.iter().position(|&register| held.has(register));
    let size = holder.and_then(|index| u8::try_from(index).ok());
    Ok(Slow {
        at: step.at,
        target,
        shape: Shape {
            size: Some(size.ok_or("the size is gone at the jump to its slow part")?),
            ..shape
        },
    })
}

/// The number of a register in the DWARF mapping (System V AMD64 ABI, figure 3.36).
pub(super) fn dwarf(register: Register) -> u8 {
    const ORDER: [Register; 8] = [
        Register::RAX,
        Register::RDX,
        Register::RCX,
        Register::RBX,
        Register::RSI,
        Register::RDI,
        Register::RBP,
        Register::RSP,
    ];
    let first = ORDER.iter().position(|&known| known == register);
    // From r8 on they have their own numbers.
    let number = first.unwrap_or_else(|| register.number());
    number.try_into().unwrap_or(u8::MAX)
}

impl body::Step {
    /// When this step goes to an address: always, or by a condition. `None` where both sides lead there, or it does not.
    fn decides(&self, to: u64) -> Option<When> {
        match *self.next.as_slice() {
            [only] => (only == to).then_some(When::Always),
            [beside, taken] if beside != taken => {
                let condition = condition(&self.instruction)?;
                match to {
                    _ if to == taken => Some(When::Holds(condition)),
                    _ if to == beside => Some(When::not(condition)),
                    _ => None,
                }
            }
            _ => None,
        }
    }
}

/// The number of a jump's condition in its opcode; `None` for one that depends on more than flags.
fn condition(instruction: &iced_x86::Instruction) -> Option<u8> {
    if !instruction.is_jcc_short_or_near() {
        return None;
    }
    // The decoder counts them from 1, in the order of the opcodes.
    (instruction.condition_code() as u8).checked_sub(1)
}
