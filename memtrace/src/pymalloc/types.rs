//! Types of a program: whether there is one at an address, and what it is called.
//!
//! The places in `struct _typeobject` (Include/cpython/object.h) are the same from 3.8 to 3.14.

use std::ops::Range;

use rustc_hash::{FxHashMap, FxHashSet};

use super::{
    memory::{Memory, word},
    names::Layout,
};

/// Of every object: its type.
const TYPE: usize = 8;
/// `tp_name`.
const NAME: usize = 24;
/// `tp_basicsize`.
const SIZE: usize = 32;
/// `tp_flags`.
const FLAGS: usize = 168;
/// Bytes of a type that are read.
const READ: usize = FLAGS + 8;

/// The type was made as the program ran (`Py_TPFLAGS_HEAPTYPE`).
const IS_ON_HEAP: u64 = 1 << 9;
/// The type is complete (`Py_TPFLAGS_READY`).
const READY: u64 = 1 << 12;
/// Objects of the type are types (`Py_TPFLAGS_TYPE_SUBCLASS`).
const IS_METATYPE: u64 = 1 << 31;

/// Longest name that is kept, in bytes.
const MOST_NAME: usize = 256;

/// Most types of types that are followed up to `type`.
const MOST_META: usize = 8;

/// Most types that are kept, and most addresses that are known to be none.
const MOST_TYPES: usize = 1 << 18;
const MOST_REFUSED: usize = 1 << 22;

/// Most addresses that are looked at: each takes about a microsecond, so this is some seconds.
const MOST_LOOKS: u64 = 1 << 23;

/// A type.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Type {
    /// `tp_name`, as the program has it; before that of a class in Python its module, where that is told.
    pub(super) name: Vec<u8>,
    /// `tp_flags`.
    pub(super) flags: u64,
}

/// The types that were met so far.
#[derive(Debug)]
pub(super) struct Types<'memory, M> {
    memory: &'memory M,
    layout: Layout,
    /// Address of `type` itself (avma).
    root: u64,
    /// Where no type can be, in order: arenas, whose blocks are too small for one.
    none_in: Vec<Range<u64>>,
    known: FxHashMap<u64, Type>,
    refused: FxHashSet<u64>,
    looks: u64,
}

impl<'memory, M: Memory> Types<'memory, M> {
    /// None so far. `root` is where `PyType_Type` is, of an interpreter with that layout.
    pub(super) fn new(memory: &'memory M, layout: Layout, root: u64, mut arenas: Vec<Range<u64>>) -> Self {
        arenas.sort_unstable_by_key(|arena| arena.start);
        Self {
            memory,
            layout,
            root,
            none_in: arenas,
            known: FxHashMap::default(),
            refused: FxHashSet::default(),
            looks: 0,
        }
    }

    /// The flags of the type at an address; `None` where there is none.
    pub(super) fn flags(&mut self, avma: u64) -> Option<u64> {
        if avma < 4096 || !avma.is_multiple_of(8) || avma >> 47 != 0 {
            return None;
        }
        if let Some(known) = self.known.get(&avma) {
            return Some(known.flags);
        }
        if self.is_in_arena(avma) || self.refused.contains(&avma) || self.is_exhausted() {
            return None;
        }
        self.looks += 1;
        let found = self.look(avma);
        let flags = found.as_ref().map(|found| found.flags);
        match found {
            Some(found) => {
                self.known.insert(avma, found);
            }
            None if self.refused.len() < MOST_REFUSED => {
                self.refused.insert(avma);
            }
            None => {}
        }
        flags
    }

    /// What is known of a type.
    pub(super) fn get(&self, avma: u64) -> Option<&Type> {
        self.known.get(&avma)
    }

    /// Whether no further addresses are looked at.
    pub(super) fn is_exhausted(&self) -> bool {
        self.known.len() >= MOST_TYPES || self.looks >= MOST_LOOKS
    }

    fn is_in_arena(&self, avma: u64) -> bool {
        let after = self.none_in.partition_point(|arena| arena.start <= avma);
        self.none_in[..after].last().is_some_and(|arena| avma < arena.end)
    }

    /// Types in C have their module in their name, or are the interpreter's own.
    fn qualified(&self, avma: u64, flags: u64, name: Vec<u8>) -> Vec<u8> {
        if flags & IS_ON_HEAP == 0 || name.is_empty() || name.contains(&b'.') {
            return name;
        }
        match self.layout.module(self.memory, avma) {
            Some(module) => [&*module, b".", &name].concat(),
            None => name,
        }
    }

    /// A type's own type is `type`, or one whose is, and so on; and it is complete.
    fn look(&self, avma: u64) -> Option<Type> {
        let bytes = self.memory.record::<READ>(avma)?;
        let flags = word(&bytes, FLAGS)?;
        (flags & READY != 0).then_some(())?;
        let size = word(&bytes, SIZE)?;
        // Not less than reference count and type; more than this is no object's fixed part.
        (16..1 << 24).contains(&size).then_some(())?;
        let mut meta = word(&bytes, TYPE)?;
        for _ in 0..MOST_META {
            if meta == self.root {
                let name = self.memory.text(word(&bytes, NAME)?, MOST_NAME)?;
                let name = self.qualified(avma, flags, name);
                return (!name.is_empty()).then_some(Type { name, flags });
            }
            let above = self.memory.record::<READ>(meta)?;
            (word(&above, FLAGS)? & IS_METATYPE != 0).then_some(())?;
            meta = word(&above, TYPE)?;
        }
        None
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::{super::memory::tests::Made, *};

    /// Memory with a type, of which the name is in the same part.
    pub(in super::super) fn put_type(memory: &mut Made, avma: u64, meta: u64, flags: u64, name: &str) {
        let mut bytes = vec![0; 4096];
        bytes[TYPE..TYPE + 8].copy_from_slice(&meta.to_le_bytes());
        bytes[NAME..NAME + 8].copy_from_slice(&(avma + READ as u64).to_le_bytes());
        bytes[SIZE..SIZE + 8].copy_from_slice(&16_u64.to_le_bytes());
        bytes[FLAGS..FLAGS + 8].copy_from_slice(&(flags | READY).to_le_bytes());
        bytes[READ..READ + name.len()].copy_from_slice(name.as_bytes());
        memory.0.insert(avma, bytes);
    }

    fn with_types() -> Made {
        let mut memory = Made::default();
        put_type(&mut memory, 0x10000, 0x10000, IS_METATYPE, "type");
        put_type(&mut memory, 0x20000, 0x10000, 7, "int");
        put_type(&mut memory, 0x30000, 0x10000, IS_METATYPE, "Meta");
        put_type(&mut memory, 0x40000, 0x30000, 0, "Made");
        put_type(&mut memory, 0x50000, 0x20000, 0, "not a type: its own is none");
        put_type(&mut memory, 0x60000, 0x60000, IS_METATYPE, "a circle");
        memory
    }

    #[test]
    fn types_and_those_of_other_metatypes() {
        let memory = with_types();
        let mut types = Types::new(&memory, Layout::of(11), 0x10000, Vec::new());
        assert_eq!(types.flags(0x20000), Some(7 | READY));
        assert_eq!(types.get(0x20000).unwrap().name, b"int");
        for (avma, is) in [
            (0x10000, true),
            (0x40000, true),
            (0x50000, false),
            (0x60000, false),
            (0x70000, false),
            (0, false),
        ] {
            assert_eq!(types.flags(avma).is_some(), is, "{avma:#x}");
            assert_eq!(types.flags(avma).is_some(), is, "{avma:#x} again");
        }
    }

    #[test]
    fn there_is_none_in_an_arena() {
        let memory = with_types();
        let mut types = Types::new(
            &memory,
            Layout::of(11),
            0x10000,
            vec![0x40000..0x50000, 0x18000..0x20001],
        );
        assert_eq!((types.flags(0x20000), types.flags(0x40000)), (None, None));
        assert!(types.flags(0x30000).is_some());
    }

    proptest! {
        #[test]
        fn damaged_types_are_survived(at in 0..READ, byte: u8) {
            let mut memory = with_types();
            for avma in [0x10000, 0x30000, 0x40000] {
                memory.write(avma + at as u64, &[byte]);
            }
            let mut types = Types::new(&memory, Layout::of(11), 0x10000, Vec::new());
            for avma in [0x10000, 0x20000, 0x30000, 0x40000] {
                let _ = types.flags(avma);
            }
        }
    }
}
