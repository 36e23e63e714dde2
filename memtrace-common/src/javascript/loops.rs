//! Code of loops that V8 compiled while they ran (on-stack replacement). The function does not refer to such code: its feedback does, at the place
//! of the loop's jump (`FeedbackVector::SetOptimizedOsrCode`, src/objects/feedback-vector.cc); up to V8 10.2 a cache does.

use super::{
    code::CodeLayout,
    is_object,
    read::{Bytes, Memory, Seen, array, is_code, is_of, untagged},
};
use crate::python::word;

/// Where a `FeedbackVector` has the number of its slots, in half a word (src/objects/feedback-vector.tq).
const SLOTS: u64 = 8;
/// Where it has, in the sixth byte, what it knows of code of its loops (`osr_state`): each compiler has a bit. They may still be set when that is gone.
const STATE: u64 = 16;
const HAS_CODE: u64 = 0x18 << 40;
/// Bytes before its slots, at most: later versions have one field less.
const HEAD: u64 = 56;

/// Words of feedback, or of the cache, that are looked at: what is behind them is not found, and frames in such code have no line.
pub const KEPT_WORDS: usize = 1023;

/// How the feedback of functions lies: offsets in bytes from where an object begins, and numbers of types.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
#[repr(C)]
pub struct LoopLayout {
    /// `JSFunction.raw_feedback_cell`; 0 where feedback has no code of loops, or it is not known how it lies.
    pub cell: u32,
    /// `FeedbackCell.value`
    pub value: u32,
    /// Type of a `FeedbackVector`, or of the cache.
    pub kept_type: u32,
    /// Type of what stands for code in feedback (`CodeWrapper`), the code behind its map; 0 where code does itself.
    pub wrapper_type: u32,
    /// Where all code of loops of a native context is in one cache (`OSROptimizedCodeCache`, src/objects/osr-optimized-code-cache.h):
    /// `JSFunction.context`
    pub context: u32,
    /// `Map.native_context`, of the context's map
    pub native: u32,
    /// The cache in that, an array; 0 where there is none.
    pub cache: u32,
    /// For a size that is a multiple of eight.
    pub reserved: u32,
}

/// What the function that was read keeps code of loops in (tagged), where there may be some. The interpreter's frame is taken over by such code, with
/// what the interpreter has noted in it.
#[inline(always)]
pub fn kept(memory: &impl Memory, layout: &LoopLayout, seen: &Seen) -> Option<u64> {
    if layout.cache != 0 {
        return cache(memory, layout, seen);
    }
    if layout.cell == 0 {
        return None;
    }
    let vector = field(memory, word(&seen.function_words, layout.cell), layout.value)?;
    if !is_object(vector) || memory.word(untagged(vector).wrapping_add(STATE))? & HAS_CODE == 0 {
        return None;
    }
    Some(vector)
}

/// The cache of the function's native context, unless there is nothing in it.
#[inline(always)]
fn cache(memory: &impl Memory, layout: &LoopLayout, seen: &Seen) -> Option<u64> {
    let map = field(memory, word(&seen.function_words, layout.context), 0)?;
    let cache = field(memory, field(memory, map, layout.native)?, layout.cache)?;
    (array(memory, cache)?.1 != 0).then_some(cache)
}

/// A field of an object (tagged).
#[inline(always)]
fn field(memory: &impl Memory, object: u64, offset: u32) -> Option<u64> {
    if !is_object(object) {
        return None;
    }
    memory.word(untagged(object).wrapping_add(offset.into()))
}

/// Where the words of that are, and how many bytes of them are looked at: those of [`KEPT_WORDS`] at most.
#[inline(always)]
pub fn words(memory: &impl Memory, layout: &LoopLayout, seen: &Seen) -> Option<Bytes> {
    let kept = kept(memory, layout, seen)?;
    if !is_of(memory, kept, layout.kept_type) {
        return None;
    }
    let (at, bytes) = if layout.cache != 0 {
        let (at, count) = array(memory, kept)?;
        (at, count.wrapping_mul(8))
    } else {
        let at = untagged(kept);
        let slots = u64::from(memory.word(at.wrapping_add(SLOTS))? as u32);
        (at, HEAD + 8 * slots)
    };
    let most = 8 * KEPT_WORDS as u64;
    Some((at, if bytes < most { bytes } else { most }))
}

/// Whether one of these words may refer to code of a loop of the function: weakly, and in the cache behind its `SharedFunctionInfo`.
#[inline(always)]
pub const fn may_be_code(layout: &LoopLayout, before: u64, word: u64, shared: u64) -> bool {
    is_weak(word) && (layout.cache == 0 || untagged(before) == untagged(shared))
}

/// Whether a word of feedback refers to an object weakly (`kWeakHeapObjectTag`), as it does to code. The lower half of one that has lost its object is
/// the tag alone (`kClearedWeakHeapObjectLower32`, both include/v8-internal.h).
#[inline(always)]
const fn is_weak(word: u64) -> bool {
    word & 3 == 3 && word as u32 != 3
}

/// Where the code begins that such a word refers to, if an address behind a call is in it (avma). What it says is left in `seen`.
#[inline(always)]
pub fn code_around(memory: &impl Memory, layout: &CodeLayout, seen: &mut Seen, word: u64, address: u64) -> Option<u64> {
    let mut at = untagged(word);
    if layout.loops.wrapper_type != 0 {
        if !is_of(memory, at | 1, layout.loops.wrapper_type) {
            return None;
        }
        at = untagged(memory.word(at.wrapping_add(8))?);
    }
    if !memory.words(&mut seen.code_words, layout.code_bytes, at) || !is_code(memory, layout, seen) {
        return None;
    }
    layout.code(at, &seen.code_words)?.offset(address)?;
    Some(at)
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::collections::BTreeMap;

    use super::*;
    use crate::javascript::MAP_TYPE;

    const VECTOR: u32 = 258;
    const CODE: u32 = 206;
    const WRAPPER: u32 = 153;

    /// Memory by words.
    #[derive(Default)]
    struct Words(BTreeMap<u64, u64>);

    impl Words {
        /// An object of these words behind its map; its reference.
        fn put(&mut self, at: u64, kind: u32, words: &[u64]) -> u64 {
            let map = u64::from(kind) << 8;
            self.0.insert(map + MAP_TYPE, u64::from(kind) << 32);
            self.0.insert(at, map | 1);
            self.0.extend((at + 8..).step_by(8).zip(words.iter().copied()));
            at | 1
        }
    }

    impl Memory for Words {
        fn word(&self, address: u64) -> Option<u64> {
            self.0.get(&address).copied()
        }

        fn words<const N: usize>(&self, words: &mut [u64; N], bytes: u32, address: u64) -> bool {
            let read = (address..address + u64::from(bytes)).step_by(8).zip(words);
            read.map(|(at, word)| self.word(at).map(|found| *word = found))
                .all(|read| read.is_some())
        }
    }

    const fn layout(loops: LoopLayout) -> CodeLayout {
        CodeLayout {
            group: 0,
            table: 0,
            function_bytes: 56,
            function_code: 24,
            told: 3,
            code_type: CODE,
            baseline: 10,
            code_bytes: 64,
            data: 8,
            positions: 16,
            start: 40,
            inside: 0,
            flags: 48,
            size: 52,
            literals: 2,
            shared: 6,
            wrapped: 0,
            loops,
        }
    }

    /// Code of the optimizing compiler, of 96 bytes.
    fn code(memory: &mut Words, at: u64, start: u64) -> u64 {
        memory.put(at, CODE, &[1, 1, 0, 0, start, 96 << 32 | 0xc, 0])
    }

    /// The words that are looked at, and where the code of an address begins.
    fn found(memory: &Words, layout: &CodeLayout, seen: &mut Seen, shared: u64, address: u64) -> Option<u64> {
        let (at, bytes) = words(memory, &layout.loops, seen)?;
        let mut before = 0;
        (at..at + bytes).step_by(8).find_map(|at| {
            let word = memory.word(at)?;
            let may_be = may_be_code(&layout.loops, core::mem::replace(&mut before, word), word, shared);
            may_be
                .then(|| code_around(memory, layout, seen, word, address))
                .flatten()
        })
    }

    #[test]
    fn code_of_a_loop_is_found_in_the_feedback() {
        let loops = LoopLayout {
            cell: 48,
            value: 8,
            kept_type: VECTOR,
            wrapper_type: WRAPPER,
            ..LoopLayout::default()
        };
        let layout = layout(loops);
        let mut memory = Words::default();
        let (one, other) = (
            code(&mut memory, 0x10_0000, 0x4000),
            code(&mut memory, 0x10_1000, 0x5000),
        );
        let wrappers = [(0x10_2000, one), (0x10_3000, other)].map(|(at, code)| memory.put(at, WRAPPER, &[code]) | 2);
        let mut vector = [0; 10];
        // Its length; that there is code of loops; a reference that is gone, one that is not to code, two that are.
        (vector[0], vector[1]) = (4 | 1 << 32, HAS_CODE | 7);
        (vector[6], vector[7], vector[8], vector[9]) = (7 << 32 | 3, 0x10_0003, wrappers[0], wrappers[1]);
        let vector = memory.put(0x20_0000, VECTOR, &vector);
        let mut seen = Seen::default();
        seen.function_words[6] = memory.put(0x30_0000, 157, &[vector]);
        let at = [0x4000, 0x4001, 0x4060, 0x4061, 0x5010].map(|address| found(&memory, &layout, &mut seen, 0, address));
        assert_eq!(at, [None, Some(0x10_0000), Some(0x10_0000), None, Some(0x10_1000)]);
        assert_eq!(layout.code(0x10_1000, &seen.code_words).unwrap().start, 0x5000);
        let unknown = LoopLayout { cell: 0, ..loops };
        assert_eq!(words(&memory, &unknown, &seen), None);
        let of_another_type = LoopLayout { kept_type: 1, ..loops };
        assert_eq!(words(&memory, &of_another_type, &seen), None);
        memory.0.insert(0x20_0010, 7);
        assert_eq!(kept(&memory, &loops, &seen), None, "no loop was compiled");
    }

    #[test]
    fn code_of_a_loop_is_found_in_the_cache_behind_its_function() {
        let loops = LoopLayout {
            kept_type: 237,
            context: 32,
            native: 32,
            cache: 80,
            ..LoopLayout::default()
        };
        let layout = layout(loops);
        let mut memory = Words::default();
        let code = code(&mut memory, 0x10_0000, 0x4000) | 2;
        let [shared, of_another] = [0x70_0001, 0x71_0001_u64];
        let entries = [3 << 32, of_another | 2, code, 71 << 32];
        let cache = memory.put(0x20_0000, 237, &entries);
        let mut native = [0; 10];
        native[9] = cache;
        let native = memory.put(0x30_0000, 214, &native);
        let context = memory.put(0x40_0000, 100, &[]);
        memory.0.insert((100 << 8) + 32, native);
        let mut seen = Seen::default();
        seen.function_words[4] = context;
        assert_eq!(
            found(&memory, &layout, &mut seen, shared, 0x4010),
            None,
            "it is another function's"
        );
        memory.0.insert(0x20_0010, shared | 2);
        assert_eq!(found(&memory, &layout, &mut seen, shared, 0x4010), Some(0x10_0000));
        memory.0.insert(0x20_0008, 0);
        assert_eq!(kept(&memory, &loops, &seen), None, "there is nothing in it");
    }

    #[test]
    fn no_more_is_looked_at_than_there_is_room_for() {
        let loops = LoopLayout {
            cell: 48,
            value: 8,
            kept_type: VECTOR,
            ..LoopLayout::default()
        };
        let mut memory = Words::default();
        let vector = memory.put(0x20_0000, VECTOR, &[u64::MAX, HAS_CODE]);
        let mut seen = Seen::default();
        seen.function_words[6] = memory.put(0x30_0000, 157, &[vector]);
        assert_eq!(words(&memory, &loops, &seen), Some((0x20_0000, 8 * KEPT_WORDS as u64)));
    }
}
