//! The instructions of a function's fast path, and where each leads to.

use std::collections::BTreeMap;

use iced_x86::{FlowControl, Instruction, InstructionInfoFactory};
use object::ReadRef;

use super::effects::Effects;
use crate::plan::code::{Code, Flow, Place};

/// Most instructions of a fast path. jemalloc's has 40, with all that is stepped over.
const MOST: usize = 256;

/// How a way through the function ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum End {
    /// It goes on.
    GoesOn,
    /// It returns to the caller.
    Returns,
    /// Nothing follows.
    Stops,
    /// It jumps to the slow part: to this address, or to another file.
    Leaves(Option<u64>),
}

/// An instruction with what comes of it.
#[derive(Clone, Debug)]
pub(super) struct Step {
    /// Its address (svma).
    pub(super) at: u64,
    pub(super) instruction: Instruction,
    pub(super) effects: Effects,
    /// Where it leads to; of a branch first what is beside it, then what it jumps to.
    pub(super) next: Vec<u64>,
    pub(super) end: End,
}

/// All instructions that can be reached from the entry without a jump to the slow part.
#[derive(Debug)]
pub(super) struct Body {
    pub(super) entry: u64,
    steps: BTreeMap<u64, Step>,
}

impl Body {
    /// Reads the function at `entry`.
    ///
    /// # Errors
    /// Why it has no fast path that can be followed.
    pub(super) fn read<'data, R: ReadRef<'data>>(
        code: &Code<'_, 'data, R>,
        entry: u64,
        is_hook: impl Fn(u64) -> bool,
    ) -> Result<Self, &'static str> {
        // Back to its own entry it stays in itself.
        let begins = |svma: u64| svma != entry && (code.begins(svma) || is_hook(svma));
        let mut factory = InstructionInfoFactory::new();
        let mut steps = BTreeMap::new();
        let mut left = vec![entry];
        while let Some(at) = left.pop() {
            if steps.contains_key(&at) {
                continue;
            }
            if steps.len() == MOST {
                return Err("its fast path is too long");
            }
            if begins(at) {
                return Err("its fast path runs or branches into another function");
            }
            let instruction = code.instruction(at).ok_or("its code cannot be read")?;
            let (next, end) = leads(code, &instruction, begins)?;
            let effects = if end == End::Returns {
                Effects::default()
            } else {
                Effects::of(&instruction, &mut factory, |value| code.is_address(value))?
            };
            left.extend(&next);
            steps.insert(
                at,
                Step {
                    at,
                    instruction,
                    effects,
                    next,
                    end,
                },
            );
        }
        Ok(Self { entry, steps })
    }

    pub(super) fn step(&self, at: u64) -> Option<&Step> {
        self.steps.get(&at)
    }

    /// All of them, by address.
    pub(super) fn steps(&self) -> impl DoubleEndedIterator<Item = &Step> {
        self.steps.values()
    }

    pub(super) fn addresses(&self) -> impl Iterator<Item = u64> {
        self.steps.keys().copied()
    }
}

/// Where an instruction leads to.
fn leads<'data, R: ReadRef<'data>>(
    code: &Code<'_, 'data, R>,
    instruction: &Instruction,
    begins: impl Fn(u64) -> bool,
) -> Result<(Vec<u64>, End), &'static str> {
    const ANYWHERE: &str = "its fast path jumps to where cannot be told beforehand";
    let next = instruction.next_ip();
    if matches!(
        instruction.flow_control(),
        FlowControl::Interrupt | FlowControl::XbeginXabortXend
    ) && code.flow(instruction) != Flow::Stop
    {
        return Err("its fast path has an instruction that enters the kernel or a transaction");
    }
    Ok(match code.flow(instruction) {
        Flow::Next | Flow::Padding if instruction.flow_control() == FlowControl::Next => (vec![next], End::GoesOn),
        Flow::Next | Flow::Padding => return Err("its fast path enters the kernel"),
        Flow::Branch(target) => (vec![next, target], End::GoesOn),
        Flow::Jump(Place::Local(target)) if target == instruction.ip() => return Err("its fast path does not end"),
        Flow::Jump(Place::Local(target)) if begins(target) => (Vec::new(), End::Leaves(Some(target))),
        Flow::Jump(Place::Local(target)) => (vec![target], End::GoesOn),
        Flow::Jump(Place::Import(_)) => (Vec::new(), End::Leaves(None)),
        Flow::Jump(Place::Unknown) => return Err(ANYWHERE),
        Flow::Call(_) => return Err("its fast path makes calls"),
        Flow::Return if instruction.op_count() == 0 => (Vec::new(), End::Returns),
        Flow::Return => return Err("it takes more than its return address off the stack"),
        Flow::Stop => (Vec::new(), End::Stops),
    })
}
