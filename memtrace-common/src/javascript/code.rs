//! Compiled code of functions: how V8's `Code` objects lie, and how a frame says where in one it is.

use super::loops::LoopLayout;
use crate::{
    identity::Identity,
    python::{half, word},
};

/// Words of a function and of its code that are read at once.
pub const CODE_WORDS: usize = 16;

/// Where a function's `SharedFunctionInfo` has its bytecode, or its baseline code (`function_data`, src/objects/shared-function-info.tq).
pub const SHARED_DATA: usize = 1;

/// Where arrays of objects and arrays of bytes have their length, a small integer (src/objects/fixed-array.h).
pub const ARRAY_LENGTH: u64 = 8;
/// And where their content begins.
pub const ARRAY_CONTENT: u64 = 16;

/// Bytes of an entry of the table of codes (`kJSDispatchTableEntrySize`, src/common/globals.h), its begin and its code.
const ENTRY_SHIFT: u64 = 4;
/// Bits of a handle that are not its index (`kJSDispatchHandleShift`, include/v8-internal.h).
const HANDLE_SHIFT: u32 = 8;
/// Bits below the object in an entry's second word (`kObjectPointerShift`, src/sandbox/js-dispatch-table.h).
const OBJECT_SHIFT: u32 = 16;

/// Bits of a code's flags that are its kind (`KindField`, src/objects/code.h).
const KIND: u32 = 15;

/// Bits of [`CodeLayout::told`]: code of this tier can be made sense of.
pub mod told {
    /// Baseline code.
    pub const BASELINE: u32 = 1;
    /// That of the two optimizing compilers.
    pub const OPTIMIZED: u32 = 2;
}

/// How the code of functions lies: offsets in bytes from where an object begins.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
#[repr(C)]
pub struct CodeLayout {
    /// Where the process keeps the address of what has the table of codes (avma); 0 where functions refer to their code themselves.
    pub group: u64,
    /// Where in that the address of the table is (`IsolateGroup.js_dispatch_table_`).
    pub table: u32,
    /// Bytes of a function that are read.
    pub function_bytes: u32,
    /// `JSFunction.code`, or the handle by which the table has it.
    pub function_code: u32,
    /// Tiers that can be made sense of, as bits of [`told`]; without any, code is not looked at.
    pub told: u32,
    /// Type of a `Code`.
    pub code_type: u32,
    /// The kind of baseline code (`CodeKind::BASELINE`); those of Maglev and of `TurboFan` follow.
    pub baseline: u32,
    /// Bytes of a code that are read.
    pub code_bytes: u32,
    /// `Code.deoptimization_data`; of baseline code its bytecode.
    pub data: u32,
    /// `Code.source_position_table`; of baseline code its table of offsets in the bytecode.
    pub positions: u32,
    /// Where the address of its instructions is; 0 where they are in the object itself.
    pub start: u32,
    /// Then they begin here.
    pub inside: u32,
    /// `Code.flags`, whose lowest four bits are the kind.
    pub flags: u32,
    /// `Code.instruction_size`; that of what lies behind the instructions follows it.
    pub size: u32,
    /// Where the deoptimization data has its literals, and the function that was compiled.
    pub literals: u32,
    /// See [`Self::literals`].
    pub shared: u32,
    /// Whether the latter is in an object of its own.
    pub wrapped: u32,
    /// Where code of loops is.
    pub loops: LoopLayout,
}

const _: () = assert!(size_of::<CodeLayout>() == 104);

impl CodeLayout {
    /// Where the table has what belongs to a handle.
    #[inline(always)]
    pub const fn entry(table: u64, handle: u32) -> u64 {
        table.wrapping_add(((handle >> HANDLE_SHIFT) as u64) << ENTRY_SHIFT)
    }

    /// The code (tagged) that the second word of an entry has.
    #[inline(always)]
    pub const fn entered(word: u64) -> u64 {
        word >> OBJECT_SHIFT | 1
    }

    /// The handle by which the table has the code of a function.
    #[inline(always)]
    pub fn handle(&self, function: &[u64; CODE_WORDS]) -> u32 {
        half(function, self.function_code)
    }

    /// The code (tagged) of a function.
    #[inline(always)]
    pub fn object(&self, function: &[u64; CODE_WORDS]) -> u64 {
        word(function, self.function_code)
    }

    /// What the code that begins at an address (avma) says; `None` where it is of a tier that cannot be made sense of.
    #[inline(always)]
    pub fn code(&self, at: u64, words: &[u64; CODE_WORDS]) -> Option<Code> {
        let tier = (half(words, self.flags) & KIND).wrapping_sub(self.baseline);
        let tells = if tier == Tier::Baseline as u32 {
            told::BASELINE
        } else {
            told::OPTIMIZED
        };
        if tier > Tier::TurboFan as u32 || self.told & tells == 0 {
            return None;
        }
        let start = if self.start == 0 {
            at.wrapping_add(self.inside.into())
        } else {
            word(words, self.start)
        };
        Some(Code {
            tier: tier as u8,
            start,
            size: half(words, self.size).into(),
            behind: half(words, self.size + 4).into(),
            data: word(words, self.data),
            positions: word(words, self.positions),
        })
    }
}

/// What a `Code` says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Code {
    /// [`Tier`] as its number.
    pub tier: u8,
    /// Its first instruction (avma), and bytes of all.
    pub start: u64,
    /// See [`Self::start`].
    pub size: u64,
    /// Bytes that lie behind the instructions.
    pub behind: u64,
    /// Deoptimization data, or bytecode (tagged).
    pub data: u64,
    /// Source positions, or offsets in the bytecode (tagged).
    pub positions: u64,
}

impl Code {
    /// Where in it a return address is, which is behind its call; `None` where it is in other code.
    #[inline(always)]
    pub const fn offset(&self, address: u64) -> Option<u64> {
        let offset = address.wrapping_sub(self.start);
        if offset == 0 || offset > self.size || self.size >= MAX_CODE {
            return None;
        }
        Some(offset)
    }

    /// What names it, of a function. What it refers to is in it: other code that is made at the same place has other data.
    #[inline(always)]
    pub const fn identity(&self, incarnation: u32, function: u64) -> u64 {
        let mut identity = Identity::new(incarnation);
        identity.push(function);
        identity.push(self.start);
        identity.push(self.size << 32 | self.behind);
        identity.push(self.data);
        identity.push(self.positions);
        identity.finish(self.tier, 0).id
    }
}

numbered! {
    /// Which compiler has made code.
    #[derive(Clone, Copy, Debug, Eq, PartialEq)]
    pub enum Tier;
    /// Sparkplug: the bytecode, instruction by instruction.
    Baseline = 0;
    /// The quick optimizing compiler.
    Maglev = 1;
    /// The optimizing compiler.
    TurboFan = 2;
}

numbered! {
    /// Part of what is told of code.
    #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
    pub enum Part;
    /// Baseline code: how far the instructions of each bytecode go.
    Offsets = 0;
    /// Baseline code: the bytecode.
    Bytecode = 1;
    /// Optimized code: what lies behind the instructions, which begins with the table of safepoints.
    Safepoints = 2;
    /// Optimized code: the deoptimization data, an array of words.
    Exits = 3;
    /// Optimized code: how frames are made of its frame, which the deoptimization data points into.
    Translations = 4;
    /// Optimized code: the identity of each function among its literals, a word for each, 0 for what is none.
    Functions = 5;
}

impl Part {
    /// How many there are.
    pub const COUNT: usize = Self::ALL.len();
}

/// Bytes of a part that a record holds at most: a whole number of words, and less than a power of two.
pub const PIECE_BYTES: usize = 8184;
/// Records that a part has at most. Larger code is not told of.
pub const PIECES: u32 = 8;
/// Literals that are looked at: functions come first.
pub const LITERALS: usize = 128;

/// Slots of the filter that keeps code from being told of twice.
pub const CODE_SLOTS: u32 = 1 << 14;

/// Set in the position of a frame whose function is compiled.
pub const COMPILED: u64 = 1 << 62;
const OFFSET_BITS: u32 = 24;
/// Bytes of code at most: an offset has so many bits.
pub const MAX_CODE: u64 = 1 << OFFSET_BITS;
const NUMBER: u64 = (1 << (62 - OFFSET_BITS)) - 1;

/// The number of code in positions, from its identity.
#[inline(always)]
pub const fn number(identity: u64) -> u64 {
    identity & NUMBER
}

/// The position of a frame that is at an offset of code of that number.
#[inline(always)]
pub const fn compiled(number: u64, offset: u64) -> u64 {
    COMPILED | (number & NUMBER) << OFFSET_BITS | offset & (MAX_CODE - 1)
}

/// Number of the code and offset in it, if the position is of that kind.
pub const fn place(position: u64) -> Option<(u64, u32)> {
    if position & COMPILED == 0 {
        return None;
    }
    Some((position >> OFFSET_BITS & NUMBER, (position & (MAX_CODE - 1)) as u32))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::javascript::{MARK, NO_POSITION, position};

    #[test]
    fn positions_of_compiled_frames_are_no_others() {
        let at = compiled(number(u64::MAX), MAX_CODE - 1);
        assert_eq!(place(at), Some((NUMBER, 0xff_ffff)));
        assert_eq!(at & MARK, 0);
        assert_eq!(place(compiled(5, 7)), Some((5, 7)));
        assert_eq!(place(NO_POSITION), None);
        assert_eq!(place(position(u32::MAX - 1, 0)), None);
    }

    #[test]
    fn code_is_of_a_tier_that_is_understood() {
        let layout = CodeLayout {
            told: told::OPTIMIZED,
            baseline: 10,
            data: 8,
            positions: 16,
            start: 40,
            flags: 48,
            size: 52,
            ..CodeLayout::default()
        };
        let words = |kind: u64| {
            let mut words = [0; CODE_WORDS];
            (words[1], words[2], words[5]) = (0x101, 0x201, 0x4000);
            (words[6], words[7]) = (0x60 << 32 | 0xff0 | kind, 24);
            words
        };
        let code = layout.code(0x10, &words(12)).unwrap();
        assert_eq!((code.tier, code.start, code.size, code.behind), (2, 0x4000, 0x60, 24));
        assert_eq!((code.data, code.positions), (0x101, 0x201));
        assert_eq!(
            [0x4000, 0x4001, 0x4060, 0x4061, 0x10].map(|address| code.offset(address)),
            [None, Some(1), Some(0x60), None, None]
        );
        assert_eq!(layout.code(0, &words(11)).unwrap().tier, 1);
        assert_eq!(layout.code(0, &words(10)), None, "nothing is known of baseline code");
        assert_eq!(layout.code(0, &words(13)), None);
        assert_eq!(layout.code(0, &words(9)), None);
        let inside = CodeLayout {
            start: 0,
            inside: 128,
            ..layout
        };
        assert_eq!(inside.code(0x1000, &words(12)).unwrap().start, 0x1080);
        let moved = Code { data: 0x301, ..code };
        assert_ne!(code.identity(1, 2), moved.identity(1, 2));
        assert_ne!(code.identity(1, 2), code.identity(1, 3));
    }

    #[test]
    fn tables_of_codes_are_read_as_v8_writes_them() {
        assert_eq!(CodeLayout::entry(0x1000, 3 << 8), 0x1030);
        assert_eq!(CodeLayout::entered(0x1234_5678_9abc << 16 | 0xffff), 0x1234_5678_9abd);
    }

    #[test]
    fn numbers_of_parts_and_tiers_are_their_own() {
        for number in 0..=u8::MAX {
            assert!(Part::from_u8(number).is_none_or(|part| part as u8 == number));
            assert!(Tier::from_u8(number).is_none_or(|tier| tier as u8 == number));
            assert_eq!(Part::from_u8(number).is_some(), usize::from(number) < Part::COUNT);
        }
    }
}
