//! How strings lie (src/objects/string.h, src/objects/instance-type.h; the same in all versions that are known), and where in memory their
//! characters are.

use super::{
    is_object,
    read::{Memory, type_of, type_of_map, untagged},
    small_integer,
};

/// Types from this one on are no strings (`FIRST_NONSTRING_TYPE`).
pub const FIRST_NONSTRING: u32 = 128;
/// Where a string has its length, after four bytes of hash.
pub const STRING_HEAD: u64 = 8;
/// Where its content is, or what it refers to.
pub const STRING_CONTENT: u64 = 16;
/// Where it has a second word.
pub const STRING_SECOND: u64 = 24;
const REPRESENTATION: u32 = 7;
const ONE_BYTE: u32 = 8;

/// How a string has its characters.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Representation {
    /// In itself.
    Flat,
    /// In two others.
    Cons,
    /// Elsewhere in memory, not on the heap.
    External,
    /// In a part of another one.
    Sliced,
    /// In another one.
    Thin,
}

/// How a string of a type has its characters; `None` for a type that is no string.
#[inline(always)]
pub const fn representation(kind: u32) -> Option<Representation> {
    if kind >= FIRST_NONSTRING {
        return None;
    }
    Some(match kind & REPRESENTATION {
        0 => Representation::Flat,
        1 => Representation::Cons,
        2 => Representation::External,
        3 => Representation::Sliced,
        5 => Representation::Thin,
        _ => return None,
    })
}

/// Bytes of a character of a string of a type.
#[inline(always)]
pub const fn width(kind: u32) -> u8 {
    if kind & ONE_BYTE == 0 { 2 } else { 1 }
}

/// Strings that a string may refer to the next of, at most.
const MOST_STRINGS: u32 = 4;

/// Whether a word refers to a string.
#[inline(always)]
pub fn is_string(memory: &impl Memory, object: u64) -> bool {
    is_object(object) && type_of(memory, object).is_some_and(|kind| representation(kind).is_some())
}

/// Characters of a string (tagged).
#[inline(always)]
pub fn length(memory: &impl Memory, string: u64) -> u32 {
    let head = memory.word(untagged(string).wrapping_add(STRING_HEAD));
    head.map_or(0, |head| (head >> 32) as u32)
}

/// The two strings (tagged) that one (tagged) is made of.
#[inline(always)]
pub fn pair(memory: &impl Memory, string: u64) -> Option<(u64, u64)> {
    if representation(type_of(memory, string)?)? != Representation::Cons {
        return None;
    }
    let at = untagged(string);
    Some((
        memory.word(at.wrapping_add(STRING_CONTENT))?,
        memory.word(at.wrapping_add(STRING_SECOND))?,
    ))
}

/// Where the characters of a string are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Characters {
    /// First byte (avma), or 0.
    pub address: u64,
    /// The object that has them (avma), or 0 where they are not on the heap.
    pub object: u64,
    /// Its map.
    pub map: u64,
    /// Bytes of each.
    pub width: u8,
}

impl Characters {
    /// Those of what is no string.
    pub const NOTHING: Self = Self {
        address: 0,
        object: 0,
        map: 0,
        width: 0,
    };

    /// Follows a string (tagged) to where its characters are.
    #[inline(always)]
    pub fn of(memory: &impl Memory, string: u64) -> Self {
        Self::find(memory, string).unwrap_or(Self::NOTHING)
    }

    #[inline(always)]
    fn find(memory: &impl Memory, mut string: u64) -> Option<Self> {
        let mut skipped = 0_u64;
        let mut turn = 0;
        while turn < MOST_STRINGS {
            turn += 1;
            if !is_object(string) {
                return None;
            }
            let at = untagged(string);
            let map = memory.word(at)?;
            let kind = type_of_map(memory, map)?;
            let content = at.wrapping_add(STRING_CONTENT);
            let width = width(kind);
            let before = skipped.wrapping_mul(u64::from(width));
            match representation(kind)? {
                Representation::Flat => {
                    return Some(Self {
                        address: content.wrapping_add(before),
                        object: at,
                        map,
                        width,
                    });
                }
                Representation::External => {
                    return Some(Self {
                        address: memory.word(at.wrapping_add(STRING_SECOND))?.wrapping_add(before),
                        object: 0,
                        map,
                        width,
                    });
                }
                Representation::Sliced => {
                    skipped += u64::try_from(small_integer(memory.word(at.wrapping_add(STRING_SECOND))?)?).ok()?;
                }
                // Of two strings, what is flat has all in the first.
                Representation::Cons if length(memory, memory.word(at.wrapping_add(STRING_SECOND))?) != 0 => {
                    return None;
                }
                Representation::Cons | Representation::Thin => {}
            }
            string = memory.word(content)?;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_string_has_no_characters() {
        assert_eq!(representation(0x28), Some(Representation::Flat));
        assert_eq!((width(0x28), width(0x20)), (1, 2));
        assert_eq!(representation(0x25), Some(Representation::Thin));
        assert_eq!(representation(4), None, "no such way");
        assert_eq!(representation(130), None);
    }
}
