//! How strings lie (src/objects/string.h, src/objects/instance-type.h; the same in all versions that are known).

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
