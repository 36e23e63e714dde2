//! The 64-bit identity of a call stack, and a second, independent value that exposes collisions.

use crate::mix::MIX;

/// Accumulates the frames of a stack, leaf first.
///
/// Each step multiplies by an odd constant and folds the high bits down; the constants are the golden
/// ratio (Fibonacci hashing, Knuth, TAOCP 3, 6.4) and the first multiplier of `MurmurHash3`'s 64-bit
/// finalizer. Two stacks of one identity are told apart by `check`, which mixes differently.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(C)]
pub struct Identity {
    /// The identity that events carry. Never zero once finished.
    pub id: u64,
    /// The independent second value.
    pub check: u64,
}

const CHECK_FACTOR: u64 = 0xff51_afd7_ed55_8ccd;

impl Identity {
    /// Starts a stack. The incarnation is mixed in: equal addresses in two programs are two stacks.
    pub const fn new(incarnation: u32) -> Self {
        Self {
            id: 0x6d65_6d74_7261_6365 ^ incarnation as u64,
            check: !(incarnation as u64),
        }
    }

    /// Adds one frame: an avma.
    #[inline(always)]
    pub const fn push(&mut self, address: u64) {
        self.id = (self.id ^ address).wrapping_mul(MIX);
        self.id ^= self.id >> 29;
        self.check = (self.check.rotate_left(23) ^ address).wrapping_mul(CHECK_FACTOR);
    }

    /// Ends the stack, with [`crate::event::StackEnd`] as its number and [`crate::event::StackHead::epoch`]: a whole stack is
    /// another than one that was cut behind the same frames, and equal addresses are another stack when other code is mapped
    /// there. Zero means "no stack" on the wire, so it is never an identity.
    #[must_use]
    #[inline(always)]
    pub const fn finish(mut self, end: u8, epoch: u64) -> Self {
        self.push(end as u64);
        self.push(epoch);
        if self.id == 0 {
            self.id = MIX;
        }
        self
    }

    /// The identity of a whole stack, leaf first.
    pub fn of(incarnation: u32, frames: &[u64], end: u8, epoch: u64) -> Self {
        let mut identity = Self::new(incarnation);
        for &frame in frames {
            identity.push(frame);
        }
        identity.finish(end, epoch)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn order_depth_and_process_matter() {
        let base = Identity::of(1, &[0x1000, 0x2000], 0, 0);
        assert_ne!(base, Identity::of(1, &[0x2000, 0x1000], 0, 0));
        assert_ne!(base, Identity::of(1, &[0x1000], 0, 0));
        assert_ne!(base, Identity::of(1, &[0x1000, 0x2000], 1, 0));
        assert_ne!(base, Identity::of(1, &[0x1000, 0x2000], 0, 1));
        assert_ne!(base.id, Identity::of(2, &[0x1000, 0x2000], 0, 0).id);
        assert_ne!(Identity::of(1, &[], 0, 0).id, 0);
    }

    #[test]
    fn a_million_similar_stacks_have_a_million_identities() {
        let mut ids = HashSet::new();
        let mut checks = HashSet::new();
        for a in 0..1000_u64 {
            for b in 0..1000_u64 {
                let identity = Identity::of(
                    1,
                    &[0x7f00_0000_1000 + 16 * a, 0x5555_0000_0000 + 4 * b, 0x5555_0000_0040],
                    0,
                    0,
                );
                ids.insert(identity.id);
                checks.insert(identity.check);
            }
        }
        assert_eq!((ids.len(), checks.len()), (1_000_000, 1_000_000));
    }
}
