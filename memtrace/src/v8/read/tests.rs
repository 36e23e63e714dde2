use std::collections::BTreeMap;

use memtrace_common::javascript::{code::CodeLayout, loops::LoopLayout, position};
use proptest::prelude::*;

use super::*;
use crate::process::metered::tests::Hostile;

/// Enough for any stack of these tests.
const PLENTY: Allowance = Allowance {
    entries: 100,
    bytes: 1 << 20,
};

const FUNCTION: u32 = 2070;
const SHARED: u32 = 274;
const SCRIPT: u32 = 167;
const SCOPE: u32 = 272;
const BYTECODE: u32 = 206;
const BYTES: u32 = 205;
/// Strings of one byte a character, of two, and made of two others.
const NARROW: u32 = 8;
const WIDE: u32 = 0;
const CONS: u32 = 1;

fn layout() -> EngineLayout {
    EngineLayout {
        first_function: 2066,
        last_function: 2082,
        shared_type: SHARED,
        script_type: SCRIPT,
        scope_type: SCOPE,
        bytecode_type: BYTECODE,
        function_shared: 32,
        shared_bytes: 56,
        shared_name: 16,
        shared_script: 32,
        shared_literal: 52,
        shared_builtin: 8,
        script_bytes: 104,
        script_source: 8,
        script_name: 16,
        script_id: 64,
        script_outer: 88,
        scope_names: 32,
        scope_module: 3,
        bytecode_table: 24,
        bytecode_begin: 64,
        code: CodeLayout {
            function_bytes: 56,
            ..CodeLayout::default()
        },
        ..EngineLayout::default()
    }
}

/// A heap by words; what is not there cannot be read.
#[derive(Default)]
struct Heap {
    words: BTreeMap<u64, u64>,
    end: u64,
}

impl Fill for Heap {
    fn fill(&self, address: u64, bytes: &mut [u8]) -> bool {
        bytes.iter_mut().zip(address..).all(|(byte, at)| {
            let word = self.words.get(&(at & !7));
            *byte = word.map_or(0, |word| word.to_le_bytes()[usize::try_from(at & 7).unwrap()]);
            word.is_some()
        })
    }
}

const fn small(number: u64) -> u64 {
    number << 32
}

impl Heap {
    /// A new object of these words behind its map; its reference.
    fn object(&mut self, kind: u32, words: &[u64]) -> u64 {
        let map = u64::from(kind) << 8;
        self.words.insert(map + 8, u64::from(kind) << 32);
        let at = 0x10_0000 + self.end;
        for (index, word) in [map | 1].iter().chain(words).enumerate() {
            self.words.insert(at + 8 * index as u64, *word);
        }
        self.end += 8 * (words.len() as u64 + 20);
        at | 1
    }

    fn bytes(bytes: &[u8]) -> Vec<u64> {
        let word = |chunk: &[u8]| chunk.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte));
        bytes.chunks(8).map(word).collect()
    }

    fn string(&mut self, text: &str) -> u64 {
        let units: Vec<u16> = text.encode_utf16().collect();
        let is_wide = units.iter().any(|&unit| unit > 0xff);
        let content: Vec<u8> = if is_wide {
            units.iter().flat_map(|unit| unit.to_le_bytes()).collect()
        } else {
            units.iter().map(|&unit| u8::try_from(unit).unwrap()).collect()
        };
        let words: Vec<u64> = [small(units.len() as u64)]
            .into_iter()
            .chain(Self::bytes(&content))
            .collect();
        self.object(if is_wide { WIDE } else { NARROW }, &words)
    }

    fn both(&mut self, one: u64, length: u64, other: u64) -> u64 {
        self.object(CONS | NARROW, &[small(length), one, other])
    }

    fn script(&mut self, id: u64, name: &str, source: &str) -> u64 {
        let (source, name) = (self.string(source), self.string(name));
        let mut words = [0; 12];
        (words[0], words[1], words[7]) = (source, name, small(id));
        self.object(SCRIPT, &words)
    }

    /// A function of that name, in a script or built in, with a number.
    fn function(&mut self, name: u64, script: u64, number: u64) -> u64 {
        let shared = self.object(SHARED, &[small(number), name, 0, script, 0, small(number), 0]);
        self.object(FUNCTION, &[0, 0, 0, shared, 0, 0])
    }

    /// Bytecode with a position table.
    fn bytecode(&mut self, table: &[u8]) -> u64 {
        let words: Vec<u64> = [small(table.len() as u64)]
            .into_iter()
            .chain(Self::bytes(table))
            .collect();
        let table = self.object(BYTES, &words);
        self.object(BYTECODE, &[0, 0, table, 0, 0, 0, 0])
    }
}

/// A frame of the interpreter's in a function.
const fn interpreted(function: u64, bytecode: u64, offset: u64) -> Asked {
    Asked {
        words: [small(offset), bytecode, 0, function, 0x9001],
        address: 0x5000,
        is_call: true,
    }
}

fn reader<'a>(heap: &'a Heap, layout: &'a EngineLayout, allowance: Allowance) -> Reader<'a, Heap> {
    Reader::new(heap, layout, (1, 2), allowance)
}

fn utf16(bytes: &[u8]) -> String {
    let units: Vec<u16> = bytes
        .chunks_exact(2)
        .map(|unit| u16::from_le_bytes([unit[0], unit[1]]))
        .collect();
    String::from_utf16(&units).unwrap()
}

#[test]
fn a_function_is_told_once_with_its_script() {
    let mut heap = Heap::default();
    let (one, other) = (heap.string("gr"), heap.string("öße"));
    let name = heap.both(one, 5, other);
    let script = heap.script(5, "/ф.js", "first();\nsecond();\n");
    let function = heap.function(name, script, 3);
    let bytecode = heap.bytecode(&[2, 128, 1]);
    let layout = layout();
    let mut reader = reader(&heap, &layout, PLENTY);
    let owner = reader.owner(&interpreted(function, bytecode, 70));
    let Owner::Function { id, position: at } = owner else {
        panic!("{owner:?}");
    };
    assert_eq!(at, position(70, 64));
    assert_eq!(reader.owner(&interpreted(function, bytecode, 70)), owner);
    let running = Asked {
        is_call: false,
        ..interpreted(function, bytecode, 70)
    };
    let position = NO_POSITION;
    assert_eq!(
        reader.owner(&running),
        Owner::Function { id, position },
        "between calls"
    );
    let (told, left) = reader.finish();
    assert_eq!((told.untold, told.is_cut, left.entries), (0, false, PLENTY.entries - 3));
    let [only] = told.functions.as_slice() else {
        panic!("{told:?}");
    };
    assert_eq!((only.head.id, only.head.script, only.head.source_length), (id, 5, 19));
    assert_eq!((utf16(&only.name), utf16(&only.file)), ("größe".into(), "/ф.js".into()));
    assert_eq!(
        (&only.source[..8], &only.table[..]),
        (&b"first();"[..], &[2, 128, 1][..])
    );
}

#[test]
fn a_name_that_is_too_long_is_cut() {
    let mut heap = Heap::default();
    let (name, script) = (heap.string(&"x".repeat(2000)), heap.script(5, "", "f"));
    let function = heap.function(name, script, 3);
    // Strings that are made of themselves end as well.
    let endless = heap.both(0, 1 << 20, 0);
    heap.words.insert((endless & !3) + 16, endless);
    heap.words.insert((endless & !3) + 24, endless);
    let other = heap.function(endless, script, 4);
    let layout = layout();
    let mut reader = reader(&heap, &layout, PLENTY);
    for function in [function, other] {
        let owner = reader.owner(&interpreted(function, 1, 0));
        assert!(matches!(owner, Owner::Function { .. }), "{owner:?}");
    }
    let (told, _) = reader.finish();
    let lengths: Vec<_> = told.functions.iter().map(|function| function.name.len()).collect();
    assert_eq!(lengths, [2 * NAME_BYTES, 0]);
    assert!(told.functions.iter().all(|told| told.head.about == about::NAME_CUT));
}

#[test]
fn what_is_no_function_is_none() {
    let mut heap = Heap::default();
    let name = heap.string("map");
    let built_in = heap.function(name, 0, 700);
    let other = heap.object(SCRIPT, &[0; 12]);
    // It has something else where the function's parts are.
    let strange = heap.object(FUNCTION, &[0, 0, 0, other, 0, 0]);
    let layout = layout();
    let mut reader = reader(&heap, &layout, PLENTY);
    let owner = |reader: &mut Reader<'_, Heap>, function| reader.owner(&interpreted(function, 1, 0));
    assert!(matches!(
        owner(&mut reader, built_in),
        Owner::Function {
            position: NO_POSITION,
            ..
        }
    ));
    assert_eq!(owner(&mut reader, other), Owner::Unknown);
    assert_eq!(owner(&mut reader, strange), Owner::Unknown);
    assert_eq!(owner(&mut reader, 0xffff_ff01), Owner::Unknown);
    let marked = |mark| Asked {
        words: [0, 0, 0, built_in, mark],
        ..interpreted(0, 0, 0)
    };
    assert_eq!(reader.owner(&marked(3 << 1)), Owner::Engine);
    assert_eq!(reader.owner(&marked(0)), Owner::Unknown);
    assert_eq!(reader.owner(&marked(0x7fff_0000)), Owner::Unknown, "an address");
    let (told, _) = reader.finish();
    assert_eq!((told.untold, told.functions.len(), told.is_cut), (1, 1, false));
}

#[test]
fn what_is_allowed_is_not_exceeded() {
    let mut heap = Heap::default();
    let (name, script) = (heap.string("f"), heap.script(5, "/a.js", "f"));
    let function = heap.function(name, script, 3);
    let layout = layout();
    for (entries, bytes) in [(1, PLENTY.bytes), (PLENTY.entries, 300)] {
        let mut reader = reader(&heap, &layout, Allowance { entries, bytes });
        for _ in 0..3 {
            reader.owner(&interpreted(function, 1, 0));
        }
        let (told, left) = reader.finish();
        assert!(told.is_cut && (left.entries == 0 || left.bytes == 0), "{told:?}");
    }
}

proptest! {
    #[test]
    fn garbage_ends(
        seed in any::<u64>(),
        more in proptest::collection::vec(any::<u64>(), 0..4),
        kinds in proptest::collection::vec(0_usize..8, 1..4),
        frames in proptest::collection::vec(any::<u64>(), 1..40),
    ) {
        let types = [FUNCTION, SHARED, SCRIPT, SCOPE, BYTECODE, BYTES, NARROW, CONS];
        let mut words = vec![0x1001, 0x2001, 0x8001, small(3), small(0x2000), u64::MAX];
        words.extend(kinds.iter().map(|&kind| u64::from(types[kind]) << 32 | 0x4001));
        let is_cached = !more.is_empty();
        words.extend(more);
        let memory = Hostile { words, seed };
        let mut layout = layout();
        let kept_type = types[kinds[0]];
        let loops = if is_cached {
            LoopLayout { kept_type, context: 40, native: 32, cache: 2152, ..LoopLayout::default() }
        } else {
            LoopLayout { cell: 48, value: 8, kept_type, wrapper_type: 0, ..LoopLayout::default() }
        };
        layout.code = CodeLayout {
            function_bytes: 56,
            function_code: 24,
            told: 3,
            code_type: types[kinds[0]],
            code_bytes: 64,
            data: 8,
            positions: 16,
            start: 40,
            flags: 48,
            size: 52,
            literals: 2,
            shared: 6,
            loops,
            ..CodeLayout::default()
        };
        let mut reader = Reader::new(&memory, &layout, (1, 2), PLENTY);
        for word in &frames {
            reader.owner(&Asked { words: [small(70), word | 1, 0, (word & !3) | 1, 0x9001], address: *word, is_call: word & 4 == 0 });
        }
        let (told, left) = reader.finish();
        prop_assert!(left.bytes <= PLENTY.bytes && left.entries + frames.len() == PLENTY.entries || told.is_cut);
        for function in &told.functions {
            prop_assert!(function.name.len() <= 2 * NAME_BYTES && function.file.len() <= 2 * FILE_BYTES);
        }
    }

    #[test]
    fn garbage_in_the_layout_ends_too(seed in any::<u64>(), layout in proptest::collection::vec(any::<u8>(), size_of::<EngineLayout>())) {
        let layout: EngineLayout = bytemuck::pod_read_unaligned(&layout);
        let memory = Hostile { words: vec![0x2001, 0x8001, small(64), small(1)], seed };
        let mut reader = Reader::new(&memory, &layout, (1, 2), PLENTY);
        for word in [0x1001, 0x2001, 0x8001] {
            reader.owner(&interpreted(word, word, 70));
        }
        prop_assert!(reader.finish().1.bytes <= PLENTY.bytes);
    }
}
