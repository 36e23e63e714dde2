//! Distinct call stacks, each stored once.

use rustc_hash::FxHashMap;

use crate::process::Location;

/// A call stack.
#[derive(Clone, Debug, Default)]
pub struct CallStack {
    /// Where its frames lie, leaf first.
    pub locations: Box<[Location]>,
    /// Whether it reaches the start of its thread and every frame lies in known code.
    pub whole: bool,
}

/// A stack as it is kept.
#[derive(Debug)]
struct Kept {
    check: u64,
    stack: CallStack,
}

/// Stacks by their 64-bit identity.
///
/// Events name a stack by its identity alone, so two stacks that share one cannot be told apart later; that they exist
/// shows in the second, independent value that comes with each, and is counted.
#[derive(Debug, Default)]
pub struct Stacks {
    by_id: FxHashMap<u64, Kept>,
    limit: usize,
    /// Frames that may still be kept.
    room: usize,
    /// Stacks that were not kept because there were too many. One that is sent again is counted again.
    pub overflow: u64,
    /// Stacks that came under the identity of another.
    pub collisions: u64,
}

impl Stacks {
    pub(super) fn new(limit: usize, frames: usize) -> Self {
        Self {
            limit,
            room: frames,
            ..Self::default()
        }
    }

    /// Keeps a stack. A stack that comes again is the same, or a collision, which the second value shows.
    pub(super) fn insert(&mut self, id: u64, check: u64, stack: CallStack) {
        if let Some(kept) = self.by_id.get(&id) {
            self.collisions += u64::from(kept.check != check);
            return;
        }
        if self.is_full() {
            self.overflow += 1;
            return;
        }
        // The last one may be longer than what is left.
        self.room = self.room.saturating_sub(stack.locations.len());
        self.by_id.insert(id, Kept { check, stack });
    }

    /// Whether no further stack will be kept.
    pub(super) fn is_full(&self) -> bool {
        self.by_id.len() >= self.limit || self.room == 0
    }

    /// How many sites with these stacks there can be, and those with stacks that are not known yet may be.
    pub(super) const fn most_sites(&self) -> usize {
        self.limit.saturating_mul(2)
    }

    /// The stack of an identity.
    pub fn get(&self, id: u64) -> Option<&CallStack> {
        self.by_id.get(&id).map(|kept| &kept.stack)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }
}
