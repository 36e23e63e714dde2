//! Which object a block is, by what the words at its start say. Pure.
//!
//! A block has no mark of its own. But an object has the address of its type behind its reference count, and a type says how many bytes
//! lie before its objects: the collector's two words, and from 3.11 on two more for a dictionary and weak references
//! (`_PyType_PreHeaderSize`, Objects/typeobject.c). So a type is believed only at the place that belongs to it.

use super::memory::word;

/// Objects of the type are known to the collector (`Py_TPFLAGS_HAVE_GC`, Include/object.h).
pub(super) const HAS_GC: u64 = 1 << 14;

/// Objects of the type have words for a dictionary or weak references before them (`Py_TPFLAGS_MANAGED_DICT` and, from 3.12 on,
/// `Py_TPFLAGS_MANAGED_WEAKREF`; older ones have no such flags).
pub(super) const HAS_WORDS: u64 = 1 << 4 | 1 << 3;

/// Bytes before an object, of each of the two.
const EACH: usize = 16;

/// What an object can have before it.
const PLACES: [usize; 3] = [0, EACH, 2 * EACH];

/// Bytes at the start of a block that are looked at.
pub(super) const LOOKED_AT: usize = DEBUG + 2 * EACH + 16;

/// Bytes that the debug hooks put before a block (`PYTHONMALLOC=debug`): its size with the highest byte first, a letter for the domain,
/// and seven marks (`_PyMem_DebugRawAlloc`).
const DEBUG: usize = 16;

/// Such a mark (`PYMEM_FORBIDDENBYTE`, from 3.8 on).
const FORBIDDEN: u8 = 0xfd;

/// What a block is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Content {
    /// An object; the address of its type (avma).
    Object(u64),
    /// A type is where that of an object would be, but what should be the reference count is none.
    Unowned(u64),
    /// Nothing that is known.
    Unknown,
}

/// Says what is in a block of which the first bytes are given. `flags` are those of a type, if there is one at an address;
/// `is_address` is asked whether a number is an address of the interpreter's own data, which no reference count is.
pub(super) fn content(
    bytes: &[u8],
    mut flags: impl FnMut(u64) -> Option<u64>,
    is_address: impl Fn(u64) -> bool,
) -> Content {
    let bytes = if is_debug(bytes) { &bytes[DEBUG..] } else { bytes };
    for before in PLACES {
        let (Some(count), Some(kind)) = (word(bytes, before), word(bytes, before + 8)) else {
            break;
        };
        if flags(kind).is_none_or(|flags| ahead(flags) != before) {
            continue;
        }
        return if is_count(count) && !is_address(count) {
            Content::Object(kind)
        } else {
            Content::Unowned(kind)
        };
    }
    Content::Unknown
}

/// Bytes before the objects of a type with these flags.
const fn ahead(flags: u64) -> usize {
    let gc = if flags & HAS_GC == 0 { 0 } else { EACH };
    gc + if flags & HAS_WORDS == 0 { 0 } else { EACH }
}

/// Whether a number can be the reference count of a live object. Up to 3.13 it is 64 bits, of which an immortal object sets 32; from
/// 3.14 on 32 bits, 16 that are not used, and 16 of flags (Include/refcount.h). No address of user space has those 16 as zeros.
const fn is_count(word: u64) -> bool {
    let (count, unused) = (word & 0xffff_ffff, word & 0xffff << 32);
    count != 0 && unused == 0
}

/// Whether the debug hooks are before this block.
pub(super) fn is_debug(bytes: &[u8]) -> bool {
    bytes
        .get(8..DEBUG)
        .is_some_and(|mark| matches!(mark[0], b'o' | b'm' | b'r') && mark[1..].iter().all(|byte| *byte == FORBIDDEN))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PLAIN: u64 = 0x9000;
    const WITH_GC: u64 = 0xa000;
    const WITH_WORDS: u64 = 0xb000;

    fn flags(kind: u64) -> Option<u64> {
        match kind {
            PLAIN => Some(0),
            WITH_GC => Some(HAS_GC),
            WITH_WORDS => Some(HAS_GC | 1 << 4),
            _ => None,
        }
    }

    fn of(words: &[u64]) -> Content {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        content(&bytes, flags, |word| (0x9000..0xc000).contains(&word))
    }

    #[test]
    fn a_type_counts_only_at_its_own_place() {
        assert_eq!(of(&[1, PLAIN]), Content::Object(PLAIN));
        assert_eq!(of(&[0, 0, 1, WITH_GC]), Content::Object(WITH_GC));
        assert_eq!(of(&[0, 0, 0, 0, 1, WITH_WORDS]), Content::Object(WITH_WORDS));
        assert_eq!(of(&[1, WITH_GC]), Content::Unknown);
        assert_eq!(of(&[0, 0, 1, PLAIN]), Content::Unknown);
        assert_eq!(of(&[0, 0, 1, WITH_WORDS]), Content::Unknown);
        assert_eq!(of(&[1, 2]), Content::Unknown);
        assert_eq!(of(&[]), Content::Unknown);
    }

    #[test]
    fn a_list_of_types_is_no_object() {
        assert_eq!(
            of(&[WITH_GC, PLAIN, PLAIN]),
            Content::Unowned(PLAIN),
            "an interpreter that is not moved"
        );
        assert_eq!(of(&[0x7fff_1234_5670, PLAIN]), Content::Unowned(PLAIN));
        assert_eq!(of(&[0, PLAIN]), Content::Unowned(PLAIN), "one that was set aside");
    }

    #[test]
    fn counts_of_all_versions() {
        for count in [1, 0xffff_ffff, 0x3fff_ffff, 3 << 30 | 4 << 48, 1 << 63 | 1] {
            assert!(is_count(count), "{count:#x}");
        }
        for count in [0, 0x5555_5555_0000, 1 << 32 | 5] {
            assert!(!is_count(count), "{count:#x}");
        }
    }

    #[test]
    fn debug_hooks_are_seen_through() {
        let mark = u64::from_le_bytes([b'o', 0xfd, 0xfd, 0xfd, 0xfd, 0xfd, 0xfd, 0xfd]);
        assert_eq!(of(&[24_u64.swap_bytes(), mark, 1, PLAIN]), Content::Object(PLAIN));
        assert_eq!(
            of(&[24_u64.swap_bytes(), mark, 0, 0, 1, WITH_GC]),
            Content::Object(WITH_GC)
        );
    }

    proptest! {
        #[test]
        fn anything_is_survived(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = content(&bytes, |kind| (kind & 1 == 0).then_some(kind), |_| false);
        }
    }
}
