//! Blocks that die young: the BPF side pairs them with their frees itself and sends only sums.
//!
//! Both tables are arrays of slots that are found by a hash and belong to nobody for long. A slot's first word is its state:
//! what is in it ([`EMPTY`], [`BUSY`], [`FULL`]) in the lowest two bits, and a version above them that every change makes new.
//! Whoever wants to change a slot swaps the very state that it has read for a busy one; when that fails, another was faster,
//! and the record goes by the ring as if there were no table. So nobody ever waits.
//!
//! What leaves a slot for the ring has its place in the ring before the slot is taken. Whoever finds the block gone from its slot
//! sends its free by the ring, and that lies behind.

use crate::{
    limits::{COUNTED_SLOTS, YOUNG_SLOTS},
    mix::MIX,
};

/// What a slot holds: nothing.
pub const EMPTY: u64 = 0;
/// Somebody is at it.
pub const BUSY: u64 = 1;
/// Something.
pub const FULL: u64 = 2;

/// The bits that say so.
const TAG: u64 = 3;

/// What a state says that the slot holds.
#[inline(always)]
pub const fn tag(state: u64) -> u64 {
    state & TAG
}

/// The state after another, saying `tag`.
#[inline(always)]
pub const fn next(state: u64, tag: u64) -> u64 {
    (state & !TAG).wrapping_add(TAG + 1) | tag
}

/// A block and its birth.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct Block {
    /// Address (avma).
    pub address: u64,
    /// Requested size in bytes.
    pub size: u64,
    /// Identity of the call stack, 0 for none.
    pub stack: u64,
    /// Kernel monotonic time in nanoseconds at which it was allocated.
    pub time_ns: u64,
    /// The process incarnation.
    pub incarnation: u32,
    /// Process id.
    pub pid: u32,
    /// Thread id.
    pub tid: u32,
    /// [`crate::Op`] as its number.
    pub op: u8,
    /// Keeps the layout free of implicit padding.
    pub reserved: [u8; 5],
    /// Bits of [`crate::event::flag`].
    pub flags: u16,
    /// For how many blocks of its size it stands.
    pub weight: u32,
}

impl Block {
    /// None: all zero, where [`Default`] cannot be asked.
    pub const NONE: Self = Self {
        address: 0,
        size: 0,
        stack: 0,
        time_ns: 0,
        incarnation: 0,
        pid: 0,
        tid: 0,
        op: 0,
        reserved: [0; 5],
        flags: 0,
        weight: 0,
    };
}

/// A slot for a block.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Young {
    /// See the module's description.
    pub state: u64,
    /// What it holds.
    pub block: Block,
}

/// Slots that are one value of the map: a walk over all is called back for each value.
pub const ROW: usize = 16;

/// Values of the map of blocks.
pub const YOUNG_ROWS: u32 = YOUNG_SLOTS / ROW as u32;

/// Values of the map of sums, for each processor.
pub const COUNTED_ROWS: u32 = COUNTED_SLOTS / ROW as u32;

/// [`ROW`] slots for blocks.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct YoungRow {
    /// The slots.
    pub slots: [Young; ROW],
}

/// What pairs are added up by.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct Key {
    /// Identity of the call stack of the allocation, 0 for none.
    pub stack: u64,
    /// The process incarnation.
    pub incarnation: u32,
    /// Process id.
    pub pid: u32,
    /// [`crate::Op`] of the allocation as its number.
    pub op: u32,
    /// [`size_class`]
    pub class: u32,
}

/// A slot for a sum.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Counted {
    /// See the module's description.
    pub state: u64,
    /// Of what.
    pub key: Key,
    /// Blocks.
    pub count: u64,
    /// Their bytes.
    pub bytes: u64,
    /// How many of them lived how long: [`lifetime_class`].
    pub lifetimes: [u32; LIFETIMES],
    /// Fills the cache lines.
    pub reserved: [u64; 2],
}

/// [`ROW`] slots for sums.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct CountedRow {
    /// The slots.
    pub slots: [Counted; ROW],
}

/// Where a block's slot is, among [`crate::limits::YOUNG_SLOTS`].
#[inline(always)]
pub const fn young_slot(address: u64, incarnation: u32) -> u32 {
    // Twice: the multiples of some sizes lie close together after one multiplication.
    let once = (address ^ (incarnation as u64) << 48).wrapping_mul(MIX);
    let mixed = (once ^ once >> 32).wrapping_mul(MIX);
    (mixed >> (u64::BITS - YOUNG_SLOTS.ilog2())) as u32
}

/// Where a sum's slot is, among [`crate::limits::COUNTED_SLOTS`] of a processor.
#[inline(always)]
pub const fn counted_slot(key: &Key) -> u32 {
    let small = (key.incarnation as u64) << 32 | (key.op as u64) << 8 | key.class as u64;
    let mixed = (key.stack ^ small.wrapping_mul(MIX)).wrapping_mul(MIX);
    (mixed >> (u64::BITS - COUNTED_SLOTS.ilog2())) as u32
}

/// How many classes of size there are.
pub const SIZES: usize = 252;

/// The class of a size: four to each power of two, and each size below eight is a class of its own.
#[inline(always)]
pub const fn size_class(size: u64) -> u8 {
    if size < 4 {
        return size as u8;
    }
    let power = size.ilog2();
    ((power - 1) * 4 + (size >> (power - 2) & 3) as u32) as u8
}

/// The least size of a class, in bytes; of one that is none, that of the last.
pub const fn least_size(class: u8) -> u64 {
    if class < 4 {
        return class as u64;
    }
    let class = if class as usize >= SIZES {
        SIZES - 1
    } else {
        class as usize
    };
    ((class & 3) as u64 | 4) << (class / 4 - 1)
}

/// How many classes of lifetime there are.
pub const LIFETIMES: usize = 16;

/// The class of a lifetime: one to each power of four. The first holds all below a microsecond (1024 ns), the last all from 275
/// seconds on.
#[inline(always)]
pub const fn lifetime_class(nanoseconds: u64) -> u8 {
    let power = (nanoseconds | 1).ilog2() / 2;
    let class = power.saturating_sub(4);
    if class >= LIFETIMES as u32 {
        LIFETIMES as u8 - 1
    } else {
        class as u8
    }
}

/// The least lifetime of a class, in nanoseconds.
pub const fn least_lifetime(class: u8) -> u64 {
    if class == 0 || class as usize >= LIFETIMES {
        0
    } else {
        1 << (2 * (class as u32 + 4))
    }
}

const _: () = {
    assert!(size_of::<Block>() == 56);
    assert!(size_of::<Young>() == 64);
    assert!(size_of::<Counted>() == 128);
    assert!(size_of::<Key>() == 24);
    assert!(ROW.is_power_of_two());
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_of_size_follow_each_other_without_a_gap() {
        for class in 0..SIZES as u8 {
            assert_eq!(size_class(least_size(class)), class);
            if class > 0 {
                assert_eq!(size_class(least_size(class) - 1), class - 1);
            }
        }
        assert_eq!(size_class(u64::MAX), SIZES as u8 - 1);
        assert_eq!(least_size(255), least_size(251));
        assert_eq!(
            [0, 7, 8, 9, 10, 64, 79, 80].map(size_class),
            [0, 7, 8, 8, 9, 20, 20, 21]
        );
    }

    #[test]
    fn classes_of_lifetime_follow_each_other_without_a_gap() {
        for class in 0..LIFETIMES as u8 {
            assert_eq!(lifetime_class(least_lifetime(class)), class);
            if class > 0 {
                assert_eq!(lifetime_class(least_lifetime(class) - 1), class - 1);
            }
        }
        assert_eq!(lifetime_class(1023), 0);
        assert_eq!(lifetime_class(1024), 1);
        assert_eq!(lifetime_class(u64::MAX), LIFETIMES as u8 - 1);
    }

    #[test]
    fn neighbours_of_any_size_have_slots_of_their_own() {
        for size in (16..512).step_by(16).chain([1 << 12, 1 << 16, 1 << 20]) {
            let mut taken = [false; YOUNG_SLOTS as usize];
            let mut met = 0;
            for block in 0..u64::from(YOUNG_SLOTS) / 4 {
                let slot = &mut taken[young_slot(0x5555_0000_0000 + size * block, 1) as usize];
                met += u32::from(*slot);
                *slot = true;
            }
            // By chance one in eight.
            assert!(met < YOUNG_SLOTS / 4 / 6, "{met} of size {size}");
        }
    }

    #[test]
    fn states_never_come_again_and_slots_are_inside() {
        let mut random = 1_u64;
        for _ in 0..10_000 {
            random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            for tag in [EMPTY, BUSY, FULL] {
                let after = next(random, tag);
                assert_eq!(super::tag(after), tag);
                assert!(after >> 2 != random >> 2);
            }
            assert!(young_slot(random, (random >> 7) as u32) < YOUNG_SLOTS);
            let key = Key {
                stack: random,
                class: (random >> 50) as u32,
                ..Key::default()
            };
            assert!(counted_slot(&key) < COUNTED_SLOTS);
        }
    }
}
