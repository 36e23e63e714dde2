//! Distinct call stacks, each stored once, whichever processes it was seen in.

use std::hash::{Hash as _, Hasher as _};

use hashbrown::{HashTable, hash_table::Entry};
use rustc_hash::FxHasher;

use crate::process::Location;

/// A call stack.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct CallStack {
    /// Where its frames lie, leaf first.
    pub locations: Box<[Location]>,
    /// Whether it reaches the start of its thread and every frame lies in known code.
    pub whole: bool,
}

/// Stacks by number. Two whose frames lie at the same places are one: those of two processes, or of a library that was
/// loaded again at other addresses.
#[derive(Debug, Default)]
pub struct Stacks {
    index: HashTable<u32>,
    all: Vec<CallStack>,
    limit: usize,
    /// Frames that may still be kept.
    room: usize,
    /// Stacks, or identities of stacks, that were not kept because there were too many. One that is sent again is counted
    /// again.
    pub overflow: u64,
    /// Stacks that came under the identity of another of the same process.
    pub collisions: u64,
}

fn hash(stack: &CallStack) -> u64 {
    let mut hasher = FxHasher::default();
    stack.hash(&mut hasher);
    hasher.finish()
}

impl Stacks {
    pub(super) fn new(limit: usize, frames: usize) -> Self {
        Self {
            limit,
            room: frames,
            ..Self::default()
        }
    }

    /// The number of a stack, which is kept when it is new; `None` when there are too many.
    pub(super) fn number(&mut self, stack: CallStack) -> Option<u32> {
        let all = &mut self.all;
        let entry = self.index.entry(
            hash(&stack),
            |&other| all[other as usize] == stack,
            |&other| hash(&all[other as usize]),
        );
        let vacant = match entry {
            Entry::Occupied(entry) => return Some(*entry.get()),
            Entry::Vacant(vacant) => vacant,
        };
        let number = u32::try_from(all.len()).ok()?;
        if all.len() >= self.limit || self.room == 0 {
            self.overflow += 1;
            return None;
        }
        // The last one may be longer than what is left.
        self.room = self.room.saturating_sub(stack.locations.len());
        all.push(stack);
        vacant.insert(number);
        Some(number)
    }

    /// How many sites there can be: in most programs a stack has one operation.
    pub(super) const fn most_sites(&self) -> usize {
        self.limit.saturating_mul(2)
    }

    /// The stack of a number.
    pub fn get(&self, number: u32) -> Option<&CallStack> {
        self.all.get(number as usize)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }
}
