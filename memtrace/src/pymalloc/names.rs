//! The module of a class that is written in Python: `__module__` in the dictionary of its type.
//!
//! Layouts are those of Objects/dictobject.c (from 3.11 on `Include/internal/pycore_dict.h`) and
//! `Include/cpython/unicodeobject.h`. Nothing is
//! taken for granted: the key must have the very text, and the value must be the text of a module's name, as long as it says.

use super::memory::{Memory, half, word};

/// `tp_dict` of a type.
const DICTIONARY: u64 = 264;
/// `ma_keys` of a dictionary.
const KEYS: u64 = 32;
/// Length of a text.
const LENGTH: u64 = 16;

/// The key.
const MODULE: &[u8] = b"__module__";

/// Most entries of a dictionary that are looked at: compilers put this one first.
const MOST_ENTRIES: u64 = 64;

/// Longest name of a module, in bytes.
const MOST_NAME: usize = 128;

/// Where things are in a version.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    /// Whether a table has one byte for the power of two that its size is, from 3.11 on.
    by_power: bool,
    /// Where the characters of a text of ASCII are.
    text: u64,
}

impl Layout {
    /// Of 3.`minor`.
    pub(super) const fn of(minor: u8) -> Self {
        Self {
            by_power: minor >= 11,
            // Until then there was a pointer for wide characters.
            text: if minor >= 12 { 40 } else { 48 },
        }
    }

    /// The name of the module that the type at an address was made in, where it is told.
    pub(super) fn module(self, memory: &impl Memory, avma: u64) -> Option<Vec<u8>> {
        let dictionary = memory.word(avma.checked_add(DICTIONARY)?)?;
        let keys = memory.word(dictionary.checked_add(KEYS)?)?;
        let head = memory.record::<40>(keys)?;
        let (entries, each, count) = if self.by_power {
            let [index_bytes, kind] = [head[9], head[10]];
            let indices = 1_u64.checked_shl(u32::from(index_bytes)).filter(|_| index_bytes < 32)?;
            // Tables of texts alone keep no hashes.
            let each = if kind == 0 { 24 } else { 16 };
            (32 + indices, each, word(&head, 24)?)
        } else {
            let size = word(&head, 8)?;
            let index = match size {
                0..=0xff => 1,
                0x100..=0xffff => 2,
                _ => 4,
            };
            (40 + size.checked_mul(index)?, 24, word(&head, 32)?)
        };
        let first = keys.checked_add(entries)?;
        (0..count.min(MOST_ENTRIES)).find_map(|index| {
            let at = first.checked_add(index * each + (each - 16))?;
            let entry = memory.record::<16>(at)?;
            let (key, value) = (word(&entry, 0)?, word(&entry, 8)?);
            (self.text(memory, key)? == MODULE).then_some(())?;
            self.text(memory, value).filter(|name| is_name(name))
        })
    }

    /// A short text of ASCII.
    fn text(self, memory: &impl Memory, avma: u64) -> Option<Vec<u8>> {
        let length = memory.record::<8>(avma.checked_add(LENGTH)?)?;
        let length = (half(&length, 4)? == 0).then(|| half(&length, 0))??;
        let most = usize::try_from(length)
            .ok()
            .filter(|length| (1..=MOST_NAME).contains(length))?;
        let text = memory.text(avma.checked_add(self.text)?, most)?;
        (text.len() == most).then_some(text)
    }
}

/// Whether it can be the name of a module.
fn is_name(name: &[u8]) -> bool {
    name.iter()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::memory::tests::Made, *};

    const TYPE: u64 = 0x1000;
    const DICT: u64 = 0x2000;
    const TABLE: u64 = 0x3000;
    const KEY: u64 = 0x4000;
    const VALUE: u64 = 0x5000;

    /// A type with two entries in its dictionary, of which the second is the module.
    fn made(minor: u8, module: &[u8]) -> Made {
        let layout = Layout::of(minor);
        let mut memory = Made::default();
        for at in [TYPE, DICT, TABLE, KEY, VALUE] {
            memory.0.insert(at, vec![0; 4096]);
        }
        memory.write_word(TYPE + DICTIONARY, DICT);
        memory.write_word(DICT + KEYS, TABLE);
        for (at, text) in [(KEY, MODULE), (VALUE, module)] {
            memory.write_word(at + LENGTH, text.len() as u64);
            memory.write(at + layout.text, text);
        }
        let first = if layout.by_power {
            // Eight indices of a byte; a table of texts.
            memory.write(TABLE + 8, &[3, 3, 1]);
            memory.write_word(TABLE + 24, 2);
            TABLE + 40
        } else {
            memory.write_word(TABLE + 8, 8);
            memory.write_word(TABLE + 32, 2);
            // The hash comes first.
            TABLE + 48 + 8
        };
        let each = if layout.by_power { 16 } else { 24 };
        memory.write_word(first + each, KEY);
        memory.write_word(first + each + 8, VALUE);
        memory
    }

    #[test]
    fn modules_of_all_versions() {
        for minor in [8, 10, 11, 12, 14] {
            let module = |name: &[u8]| Layout::of(minor).module(&made(minor, name), TYPE);
            assert_eq!(module(b"shop.models"), Some(b"shop.models".to_vec()), "{minor}");
            assert_eq!(module(b"a\x1b[m"), None, "no name");
            assert_eq!(module(b""), None);
            let other = if minor < 11 { 12 } else { 8 };
            assert_eq!(
                Layout::of(other).module(&made(minor, b"shop"), TYPE),
                None,
                "of another version"
            );
        }
    }

    proptest! {
        #[test]
        fn damage_is_survived(minor in 8..15_u8, place in 0..5_u64, at in 0..96_u64, word: u64) {
            let mut memory = made(minor, b"shop");
            memory.write_word(0x1000 * (place + 1) + at, word);
            memory.write_word(TYPE + DICTIONARY, if place == 0 { word } else { DICT });
            if let Some(name) = Layout::of(minor).module(&memory, TYPE) {
                prop_assert!(is_name(&name) && name.len() <= MOST_NAME);
            }
        }
    }
}
