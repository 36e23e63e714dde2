//! V8: how the structures of one engine lie, and what the BPF side makes of the frames of JavaScript.
//!
//! V8 keeps frame pointers, so a walk passes through each frame of JavaScript anyway; what the frame belongs to lies at fixed places below its
//! frame pointer. Whatever is read may be garbage: each word is taken for what it should be only after a check, and each loop is bounded.

pub mod code;
pub mod loops;
pub mod read;
pub mod string;

pub use self::string::{FIRST_NONSTRING, STRING_HEAD};
use crate::{
    identity::Identity,
    python::{half, word},
};

/// What the words of a stack have in their highest bit where a word is no address, but the identity of a function of JavaScript: it
/// belongs to the frame before it, and a word with the position follows. Addresses of programs have 47 bits, or 56.
pub const MARK: u64 = 1 << 63;

/// Words below the frame pointer that are read, and which of them is what (`v8dbg_off_fp_*`): the offset in the bytecode, the bytecode, the
/// function, the context.
pub const FRAME_WORDS: usize = 5;
/// Bytes of these.
pub const FRAME_BYTES: u64 = 8 * FRAME_WORDS as u64;
const OFFSET: usize = 0;
const BYTECODE: usize = 1;
const FUNCTION: usize = 3;
const CONTEXT: usize = 4;

/// Words of the structures that are read at once.
pub const SHARED_WORDS: usize = 16;
/// See [`SHARED_WORDS`].
pub const SCRIPT_WORDS: usize = 16;

/// Bytes of a name, of a script's name and of a position table that a record holds at most: each is one less than a power of two,
/// which is what the verifier believes of a length.
pub const NAME_BYTES: usize = 511;
/// See [`NAME_BYTES`].
pub const FILE_BYTES: usize = 1023;
/// Bytes of a source that a record holds: likewise. One that is longer is read by the collector; that of what is evaluated is mostly short,
/// and seldom lies still for long.
pub const SOURCE_BYTES: usize = 2047;
/// See [`NAME_BYTES`].
pub const TABLE_BYTES: usize = 8191;

/// Slots of the filter that keeps functions from being told of twice. A conflict only tells of one again.
pub const DEFINED_SLOTS: u32 = 1 << 15;

/// Engines that can be known at once, those of forked processes not counted.
pub const MAX_LAYOUTS: u32 = 2048;

/// How the structures of an engine lie: offsets in bytes from where an object begins, and numbers of types.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
#[repr(C)]
pub struct EngineLayout {
    /// Types of functions (`JSFunction`), the first.
    pub first_function: u32,
    /// And the last.
    pub last_function: u32,
    /// Type of what functions share (`SharedFunctionInfo`).
    pub shared_type: u32,
    /// Type of a `Script`.
    pub script_type: u32,
    /// Type of a `ScopeInfo`.
    pub scope_type: u32,
    /// Type of a `BytecodeArray`.
    pub bytecode_type: u32,
    /// Type of a `DebugInfo`, which may stand in for the script (V8 10 and 11); 0 where none does.
    pub debug_type: u32,
    /// Where in that the script is.
    pub debug_script: u32,
    /// `JSFunction.shared`
    pub function_shared: u32,
    /// Bytes of what functions share that are read.
    pub shared_bytes: u32,
    /// `SharedFunctionInfo.name_or_scope_info`
    pub shared_name: u32,
    /// `SharedFunctionInfo.script`
    pub shared_script: u32,
    /// `SharedFunctionInfo.function_literal_id`, an `int`.
    pub shared_literal: u32,
    /// Where a function that is built in has its number, a small integer.
    pub shared_builtin: u32,
    /// Bytes of a script that are read.
    pub script_bytes: u32,
    /// `Script.source`
    pub script_source: u32,
    /// `Script.name`
    pub script_name: u32,
    /// `Script.id`
    pub script_id: u32,
    /// `Script.eval_from_shared`
    pub script_outer: u32,
    /// Where a `ScopeInfo` has the function's begin in the source, a small integer; 0 where that is behind the names.
    pub scope_start: u32,
    /// Where its names begin.
    pub scope_names: u32,
    /// The kind of scope, in the flags, that has one word before its names (`MODULE_SCOPE`).
    pub scope_module: u32,
    /// `BytecodeArray.source_position_table`
    pub bytecode_table: u32,
    /// Where the bytecode begins.
    pub bytecode_begin: u32,
    /// The code of functions.
    pub code: code::CodeLayout,
}

/// What a frame of JavaScript has below its frame pointer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Frame {
    /// Its function (tagged).
    pub function: u64,
    /// Its bytecode (tagged) and the offset in it as the interpreter counts, where the words look like that.
    pub bytecode: Option<(u64, u32)>,
}

/// Whether a word refers to an object: the lowest two bits (`kHeapObjectTag`, include/v8-internal.h).
#[inline(always)]
pub const fn is_object(word: u64) -> bool {
    word & 3 == 1
}

/// The number that a word is, where it is one: the upper half, above zeros (`SmiTagging<8>`, include/v8-internal.h).
#[inline(always)]
pub const fn small_integer(word: u64) -> Option<i32> {
    if word as u32 == 0 {
        Some((word >> 32) as i32)
    } else {
        None
    }
}

impl Frame {
    /// What the words are, if they can be those of a frame of JavaScript: others have a number for their type where it has its context.
    #[inline(always)]
    pub fn read(words: &[u64; FRAME_WORDS]) -> Option<Self> {
        if !is_object(words[CONTEXT]) || !is_object(words[FUNCTION]) {
            return None;
        }
        let bytecode = match small_integer(words[OFFSET]) {
            Some(offset) if offset > 0 && is_object(words[BYTECODE]) => Some((words[BYTECODE], offset.cast_unsigned())),
            _ => None,
        };
        Some(Self {
            function: words[FUNCTION],
            bytecode,
        })
    }
}

/// What functions share.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct Shared {
    /// The name, or a `ScopeInfo` that has it.
    pub name: u64,
    /// The script, or what stands in for it.
    pub script: u64,
    /// The number of the function in its script.
    pub literal: u32,
    /// The number of the function, if it is built in.
    pub builtin: u64,
}

/// What a script says.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct Script {
    /// Its source, a string.
    pub source: u64,
    /// Its name, a string.
    pub name: u64,
    /// Its number, a small integer.
    pub id: u64,
    /// What the function shares that had it evaluated.
    pub outer: u64,
}

/// Which function it is: objects move, numbers stay.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct Key {
    /// Number of its script, 0 for a function that is built in.
    pub script: u32,
    /// Number of the function in its script, or of the built-in.
    pub literal: u32,
    /// Length of the script's source in UTF-16 units: several engines of one process may have given the same numbers.
    pub source: u32,
    /// The thread, which has an engine of its own.
    pub thread: u32,
}

impl Key {
    /// What names the function in stacks.
    #[inline(always)]
    pub fn identity(&self, incarnation: u32) -> u64 {
        let mut identity = Identity::new(incarnation);
        identity.push(u64::from(self.script) << 32 | u64::from(self.literal));
        identity.push(u64::from(self.source) << 32 | u64::from(self.thread));
        identity.finish(0, 0).id | MARK
    }
}

/// The position of a frame whose place in its function is not known.
pub const NO_POSITION: u64 = 0;

/// The position of an interpreted frame, from what the interpreter counts: one more than the offset in the bytecode, which points into the
/// instruction.
#[inline(always)]
pub const fn position(offset: u32, bytecode_begin: u32) -> u64 {
    // The interpreter counts from where the object begins, less its tag.
    (offset + 1).saturating_sub(bytecode_begin) as u64 + 1
}

/// Where objects have their maps' types: in the second word of the map, its upper half's lower half (`Map.instance_type`).
pub const MAP_TYPE: u64 = 8;

/// The type in that word.
#[inline(always)]
pub const fn type_in(word: u64) -> u32 {
    (word >> 32) as u32 & 0xffff
}

/// Where the names of a `ScopeInfo` are, and what follows them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Scope {
    /// Where the function's name is, from where the object begins, if it has one there.
    pub name: Option<u64>,
    /// Where the name is that V8 made up for it.
    pub inferred: Option<u64>,
    /// Where its begin in the source is.
    pub start: u64,
}

/// Local names that are inside a `ScopeInfo` at most (`kScopeInfoMaxInlinedLocalNamesSize`, src/objects/scope-info.h).
const INLINED_NAMES: u64 = 75;
/// More of them are not believed.
const MAX_NAMES: u64 = 1 << 20;

// Bits of the flags of a `ScopeInfo` (src/objects/scope-info.tq).
const KIND: u64 = 15;
const CLASS_VARIABLE: u64 = 1 << 10;
const FUNCTION_NAME: u64 = 3 << 12;
const INFERRED_NAME: u64 = 1 << 14;

impl EngineLayout {
    /// What a function shares with its copies (tagged).
    #[inline(always)]
    pub fn shared_of(&self, function: &[u64; code::CODE_WORDS]) -> u64 {
        word(function, self.function_shared)
    }

    /// What functions share.
    #[inline(always)]
    pub fn shared(&self, words: &[u64; SHARED_WORDS]) -> Shared {
        Shared {
            name: word(words, self.shared_name),
            script: word(words, self.shared_script),
            literal: half(words, self.shared_literal),
            builtin: word(words, self.shared_builtin),
        }
    }

    /// What a script says.
    #[inline(always)]
    pub fn script(&self, words: &[u64; SCRIPT_WORDS]) -> Script {
        Script {
            source: word(words, self.script_source),
            name: word(words, self.script_name),
            id: word(words, self.script_id),
            outer: word(words, self.script_outer),
        }
    }

    /// What a `ScopeInfo` says, of which these are the words with flags and with the number of local names.
    #[inline(always)]
    pub fn scope(&self, flags: u64, names: u64) -> Option<Scope> {
        // A small integer up to 12, later an `int` with padding.
        let flags = if flags as u32 == 0 {
            flags >> 32
        } else {
            flags & 0xffff_ffff
        };
        let names = u64::from(small_integer(names)?.cast_unsigned());
        if names >= MAX_NAMES {
            return None;
        }
        let mut at = u64::from(self.scope_names);
        if flags & KIND == u64::from(self.scope_module) {
            at += 8;
        }
        at += if names < INLINED_NAMES { 8 * names } else { 8 };
        at += 8 * names;
        if flags & CLASS_VARIABLE != 0 {
            at += 8;
        }
        let mut name = None;
        if flags & FUNCTION_NAME != 0 {
            name = Some(at);
            at += 16;
        }
        let mut inferred = None;
        if flags & INFERRED_NAME != 0 {
            inferred = Some(at);
            at += 8;
        }
        let start = if self.scope_start == 0 {
            at
        } else {
            u64::from(self.scope_start)
        };
        Some(Scope { name, inferred, start })
    }
}

const _: () = assert!(size_of::<EngineLayout>() == 24 * 4 + size_of::<code::CodeLayout>());

#[cfg(test)]
mod tests {
    use super::*;

    const OBJECT: u64 = 0x1001;

    #[test]
    fn frames_of_other_kinds_are_passed_over() {
        let frame = |context, function| Frame::read(&[5 << 32, OBJECT, 0, function, context]);
        assert_eq!(frame(18 << 1, OBJECT), None, "its type is a number");
        assert_eq!(frame(OBJECT, 7), None);
        let read = frame(OBJECT, 0x2001).unwrap();
        assert_eq!((read.function, read.bytecode), (0x2001, Some((OBJECT, 5))));
        let compiled = Frame::read(&[OBJECT, OBJECT, 0, OBJECT, OBJECT]).unwrap();
        assert_eq!(compiled.bytecode, None, "no offset");
    }

    #[test]
    fn positions_begin_at_one() {
        assert_eq!(position(55, 56), 1);
        assert_eq!(position(61, 56), 7);
        assert_eq!(position(3, 56), 1, "before the bytecode");
        assert_ne!(position(0, u32::MAX), NO_POSITION);
    }

    #[test]
    fn a_scope_tells_where_its_names_are() {
        let behind = EngineLayout {
            scope_names: 32,
            scope_module: 3,
            ..EngineLayout::default()
        };
        let flags = |flags: u64| flags << 32;
        let scope = behind.scope(flags(2 | FUNCTION_NAME | INFERRED_NAME), 2 << 32).unwrap();
        assert_eq!((scope.name, scope.inferred, scope.start), (Some(64), Some(80), 88));
        let many = behind.scope(flags(2 | CLASS_VARIABLE), 80 << 32).unwrap();
        assert_eq!((many.name, many.start), (None, 32 + 8 + 640 + 8));
        assert_eq!(
            behind.scope(flags(3), 0).unwrap().start,
            40,
            "a module has a number of its own"
        );
        let fixed = EngineLayout {
            scope_start: 32,
            scope_names: 48,
            ..behind
        };
        let scope = fixed.scope(2 | INFERRED_NAME, 0).unwrap();
        assert_eq!((scope.name, scope.inferred, scope.start), (None, Some(48), 32));
        assert_eq!(fixed.scope(2, 1 << 63), None, "less than none");
        assert_eq!(fixed.scope(2, OBJECT), None, "no number");
    }

    #[test]
    fn functions_are_told_apart() {
        let key = Key {
            script: 1,
            literal: 2,
            source: 3,
            thread: 4,
        };
        let others = [
            Key { script: 2, ..key },
            Key { literal: 3, ..key },
            Key { source: 4, ..key },
            Key { thread: 5, ..key },
        ];
        for other in others {
            assert_ne!(key.identity(1), other.identity(1));
        }
        assert_ne!(key.identity(1), key.identity(2));
        assert!(key.identity(1) & MARK != 0);
    }
}
