//! One probe for a whole allocation: what its cookie says, and which way a branch goes.
//!
//! On the fast path of some allocators there is a jump at which the requested size and the result are both in registers. A probe there
//! takes the place of the pair at entry and return. The probe comes before the jump, so where only one side of a branch leads to the
//! result, the probe works out which side it will be.

use crate::{Cookie, Op};

/// What a probe that sees a whole allocation is told.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Once {
    /// The register that has the requested size, by its number in the DWARF mapping, as in [`crate::Operand`].
    pub size: u8,
    /// The register that has what will be returned.
    pub result: u8,
    /// When it will be.
    pub when: When,
}

/// When the jump at the attach point leads to the result.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum When {
    /// Always.
    Always,
    /// When this condition holds, by its number in a conditional jump's opcode (Intel SDM, volume 2, appendix B.1.4.7).
    Holds(u8),
}

impl When {
    /// The condition that holds when this one does not: the lowest bit of the number negates.
    #[must_use]
    pub const fn not(condition: u8) -> Self {
        Self::Holds(condition ^ 1)
    }
}

/// Where each part begins in a cookie's detail: of the size.
const SIZE: u32 = 0;
/// Of the result.
const RESULT: u32 = 4;
/// Of the condition, of five bits.
const CONDITION: u32 = 8;
/// The condition that always holds.
const ALWAYS: u64 = 16;
/// The bit that tells such a cookie from that of an entry.
const IS_ONCE: u32 = 17;

impl Cookie {
    /// The cookie of a place where a whole allocation is seen.
    pub const fn of_once(op: Op, hook: u16, once: Once) -> Self {
        let condition = match once.when {
            When::Always => ALWAYS,
            When::Holds(condition) => (condition & 15) as u64,
        };
        let detail = ((once.size & 15) as u64) << SIZE
            | ((once.result & 15) as u64) << RESULT
            | condition << CONDITION
            | 1 << IS_ONCE;
        Self { op, hook, detail }
    }

    /// What a probe that sees a whole allocation is told; `None` for any other.
    #[inline(always)]
    pub const fn once(self) -> Option<Once> {
        if self.detail >> IS_ONCE & 1 == 0 {
            return None;
        }
        let condition = self.detail >> CONDITION & 31;
        Some(Once {
            size: (self.detail >> SIZE & 15) as u8,
            result: (self.detail >> RESULT & 15) as u8,
            when: if condition == ALWAYS {
                When::Always
            } else {
                When::Holds((condition & 15) as u8)
            },
        })
    }
}

// Bits of the flags register (Intel SDM, volume 1, 3.4.3).
const CARRY: u32 = 0;
const PARITY: u32 = 2;
const ZERO: u32 = 6;
const SIGN: u32 = 7;
const OVERFLOW: u32 = 11;

/// Whether a condition holds with these flags (Intel SDM, volume 1, appendix B).
#[inline(always)]
pub const fn holds(when: When, flags: u64) -> bool {
    let condition = match when {
        When::Always => return true,
        When::Holds(condition) => condition,
    };
    let (carry, zero) = (flags >> CARRY & 1, flags >> ZERO & 1);
    let (sign, overflow) = (flags >> SIGN & 1, flags >> OVERFLOW & 1);
    let bit = match condition >> 1 & 7 {
        0 => overflow,
        1 => carry,
        2 => zero,
        3 => carry | zero,
        4 => sign,
        5 => flags >> PARITY & 1,
        6 => sign ^ overflow,
        _ => zero | (sign ^ overflow),
    };
    bit != (condition & 1) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Shape;

    #[test]
    fn places_round_trip_and_are_told_from_entries() {
        for size in 0..16 {
            for result in 0..16 {
                for when in (0..16).map(When::Holds).chain([When::Always]) {
                    let once = Once { size, result, when };
                    let cookie = Cookie::of_once(Op::New, u16::MAX, once).from_entry(4095).unwrap();
                    let read = Cookie::unpack(cookie.pack()).unwrap();
                    assert_eq!((read.once(), read.op, read.hook), (Some(once), Op::New, u16::MAX));
                    assert_eq!((read.beyond_entry(), read.exits_by_instructions()), (4095, false));
                }
            }
        }
        assert_eq!(Cookie::of_function(Op::New, 1, Shape::default()).once(), None);
    }

    /// The flags after `cmp` of two bytes, by what the manual says of each.
    fn compared(one: u8, other: u8) -> u64 {
        let result = one.wrapping_sub(other);
        let (signed, signed_other) = (one.cast_signed(), other.cast_signed());
        u64::from(one < other) << CARRY
            | u64::from(result.count_ones().is_multiple_of(2)) << PARITY
            | u64::from(result == 0) << ZERO
            | u64::from(result >= 128) << SIGN
            | u64::from(signed.checked_sub(signed_other).is_none()) << OVERFLOW
            // What else may be set: bit 1 always is, then auxiliary carry, interrupts, direction, trap.
            | 0x712
    }

    #[test]
    fn conditions_mean_what_their_names_say_for_all_bytes() {
        for one in 0..=u8::MAX {
            for other in 0..=u8::MAX {
                let (signed, signed_other) = (one.cast_signed(), other.cast_signed());
                let result = one.wrapping_sub(other);
                // In the order of the numbers, the even ones: o, b, e, be, s, p, l, le.
                let meant = [
                    i16::from(signed) - i16::from(signed_other) != i16::from(result.cast_signed()),
                    one < other,
                    one == other,
                    one <= other,
                    result.cast_signed() < 0,
                    result.count_ones().is_multiple_of(2),
                    signed < signed_other,
                    signed <= signed_other,
                ];
                let flags = compared(one, other);
                for (condition, meant) in (0..).step_by(2).zip(meant) {
                    assert_eq!(holds(When::Holds(condition), flags), meant, "{condition} {one} {other}");
                    assert_eq!(holds(When::not(condition), flags), !meant, "{condition} {one} {other}");
                }
                assert!(holds(When::Always, flags));
            }
        }
    }

    #[test]
    fn of_two_opposite_conditions_one_holds_whatever_the_flags() {
        for flags in 0..1 << 12 {
            for condition in 0..16 {
                let both = [When::Holds(condition), When::not(condition)].map(|when| holds(when, flags));
                assert!(both[0] != both[1], "{condition} {flags:x}");
            }
        }
    }
}
