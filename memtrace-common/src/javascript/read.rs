//! From a frame of JavaScript to its function, its script and its code, word by word in the memory of a program. The BPF side goes this way,
//! and a dump does.
//!
//! What is read may be garbage: a word is followed only where its object is of the type that belongs there, and each loop is bounded.

use super::{
    EngineLayout, FRAME_WORDS, Frame, Key, MAP_TYPE, SCRIPT_WORDS, SHARED_WORDS, STRING_HEAD, Script, Shared,
    code::{ARRAY_CONTENT, ARRAY_LENGTH, CODE_WORDS, Code, CodeLayout, SHARED_DATA},
    is_object, position, small_integer,
    string::is_string,
    type_in,
};
use crate::Counter;

/// The memory of a program, of which some may not be readable.
pub trait Memory {
    /// The word at an address (avma).
    fn word(&self, address: u64) -> Option<u64>;

    /// Reads so many bytes, fewer than the words have, from an address (avma) on; `false` when they cannot be read.
    fn words<const N: usize>(&self, words: &mut [u64; N], bytes: u32, address: u64) -> bool;
}

/// What was read of a function.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct Seen {
    /// The function, its code, what it shares with its copies, its script.
    pub function_words: [u64; CODE_WORDS],
    /// See [`Self::function_words`].
    pub code_words: [u64; CODE_WORDS],
    /// See [`Self::function_words`].
    pub shared_words: [u64; SHARED_WORDS],
    /// See [`Self::function_words`].
    pub script_words: [u64; SCRIPT_WORDS],
    /// What of that is used.
    pub shared: Shared,
    /// See [`Self::shared`].
    pub script: Script,
    /// The bytecode (tagged) of an interpreted frame, or 0.
    pub bytecode: u64,
}

/// What came of looking at a frame.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Look {
    /// It is not JavaScript's.
    Other,
    /// It looks like that, and its function cannot be told.
    Counted(Counter),
    /// It is of that function, at that place.
    Function(Key, Place),
}

/// Where in its function a frame is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Place {
    /// At a position of the bytecode.
    Bytecode(u64),
    /// Somewhere in compiled code.
    Code,
    /// It is built in.
    Nowhere,
}

/// Where an object begins: references have one more.
#[inline(always)]
pub const fn untagged(object: u64) -> u64 {
    object & !3
}

/// The type of an object (tagged).
#[inline(always)]
pub fn type_of(memory: &impl Memory, object: u64) -> Option<u32> {
    type_of_map(memory, memory.word(untagged(object))?)
}

/// The type that a map (tagged) gives.
#[inline(always)]
pub fn type_of_map(memory: &impl Memory, map: u64) -> Option<u32> {
    Some(type_in(memory.word(untagged(map).wrapping_add(MAP_TYPE))?))
}

/// Whether a word refers to an object of a type. A type that could not be read is no type's number, rather than nothing: the compiler compares
/// what is not there too, which the verifier refuses.
#[inline(always)]
pub fn is_of(memory: &impl Memory, object: u64, kind: u32) -> bool {
    is_object(object) && type_of(memory, object).unwrap_or(u32::MAX) == kind
}

/// Where an array (tagged) has its content, and its length.
#[inline(always)]
pub fn array(memory: &impl Memory, object: u64) -> Option<(u64, u64)> {
    if !is_object(object) {
        return None;
    }
    let at = untagged(object);
    let length = small_integer(memory.word(at.wrapping_add(ARRAY_LENGTH))?)?;
    Some((at.wrapping_add(ARRAY_CONTENT), u64::try_from(length).ok()?))
}

/// Whose frame it is that has these words below its frame pointer, in a thread. What was read of the function is left in `seen`.
#[inline(always)]
pub fn frame(
    memory: &impl Memory,
    layout: &EngineLayout,
    words: &[u64; FRAME_WORDS],
    seen: &mut Seen,
    thread: u32,
) -> Look {
    let Some(frame) = Frame::read(words) else {
        return Look::Other;
    };
    let function = untagged(frame.function);
    if !memory.words(&mut seen.function_words, layout.code.function_bytes, function) {
        return Look::Other;
    }
    let kind = type_of_map(memory, seen.function_words[0]);
    if !kind.is_some_and(|kind| (layout.first_function..=layout.last_function).contains(&kind)) {
        return Look::Other;
    }
    let shared = layout.shared_of(&seen.function_words);
    let key = match function_of(memory, layout, shared, seen, thread) {
        Ok(key) => key,
        Err(why) => return Look::Counted(why),
    };
    if key.script == 0 {
        return Look::Function(key, Place::Nowhere);
    }
    if let Some((bytecode, offset)) = frame.bytecode
        && type_of(memory, bytecode) == Some(layout.bytecode_type)
    {
        seen.bytecode = bytecode;
        return Look::Function(key, Place::Bytecode(position(offset, layout.bytecode_begin)));
    }
    Look::Function(key, Place::Code)
}

/// Which function it is that has this `SharedFunctionInfo` (tagged). What was read of it and of its script is left in `seen`, with no bytecode.
///
/// # Errors
/// What is counted of one that cannot be told.
#[inline(always)]
pub fn function_of(
    memory: &impl Memory,
    layout: &EngineLayout,
    shared: u64,
    seen: &mut Seen,
    thread: u32,
) -> Result<Key, Counter> {
    if !is_object(shared) || !memory.words(&mut seen.shared_words, layout.shared_bytes, untagged(shared)) {
        return Err(Counter::JavaScriptUnreadable);
    }
    if type_of_map(memory, seen.shared_words[0]) != Some(layout.shared_type) {
        return Err(Counter::JavaScriptForeign);
    }
    let shared = layout.shared(&seen.shared_words);
    seen.shared = shared;
    seen.bytecode = 0;
    let Some(script) = script(memory, layout, shared.script) else {
        // Functions that are built in have none, and a number of their own.
        let number = small_integer(shared.builtin).ok_or(Counter::JavaScriptForeign)?;
        return Ok(Key {
            script: 0,
            literal: number.cast_unsigned(),
            source: 0,
            thread,
        });
    };
    if !memory.words(&mut seen.script_words, layout.script_bytes, untagged(script)) {
        return Err(Counter::JavaScriptUnreadable);
    }
    seen.script = layout.script(&seen.script_words);
    let (Some(id), Some(source)) = (
        small_integer(seen.script.id),
        memory.word(untagged(seen.script.source).wrapping_add(STRING_HEAD)),
    ) else {
        return Err(Counter::JavaScriptForeign);
    };
    Ok(Key {
        script: id.cast_unsigned(),
        literal: shared.literal,
        source: (source >> 32) as u32,
        thread,
    })
}

/// The script that a word refers to, or the one that is behind what stands in for it.
#[inline(always)]
fn script(memory: &impl Memory, layout: &EngineLayout, mut object: u64) -> Option<u64> {
    if !is_object(object) {
        return None;
    }
    let mut kind = type_of(memory, object)?;
    if layout.debug_type != 0 && kind == layout.debug_type {
        object = memory.word(untagged(object).wrapping_add(u64::from(layout.debug_script)))?;
        kind = type_of(memory, object)?;
    }
    (kind == layout.script_type && is_object(object)).then_some(object)
}

/// The name (tagged) of a function and where it begins in the source, from the name or from the `ScopeInfo` that is in its place.
#[inline(always)]
pub fn name(memory: &impl Memory, layout: &EngineLayout, object: u64) -> (u64, i32) {
    const NOTHING: (u64, i32) = (0, -1);
    if !is_object(object) || type_of(memory, object) != Some(layout.scope_type) {
        return (object, -1);
    }
    let at = untagged(object);
    // Flags, parameters, local names: the words behind the map.
    let (Some(flags), Some(names)) = (memory.word(at + 8), memory.word(at + 24)) else {
        return NOTHING;
    };
    let Some(scope) = layout.scope(flags, names) else {
        return NOTHING;
    };
    let start = memory.word(at.wrapping_add(scope.start));
    let start = start.and_then(small_integer).unwrap_or(-1);
    let mut name = 0;
    if let Some(place) = scope.name {
        name = memory.word(at.wrapping_add(place)).unwrap_or(0);
    }
    // A function without a name has an empty one, or a number.
    if (!is_string(memory, name) || super::string::length(memory, name) == 0)
        && let Some(place) = scope.inferred
    {
        name = memory.word(at.wrapping_add(place)).unwrap_or(0);
    }
    (name, start)
}

/// The name (tagged) of a script, and whether it is that of the one that had it evaluated.
#[inline(always)]
pub fn script_name(memory: &impl Memory, layout: &EngineLayout, script: Script) -> (u64, bool) {
    if !is_string(memory, script.name)
        && let Some(outer) = outer(memory, layout, script.outer)
    {
        return (outer, true);
    }
    (script.name, false)
}

/// The name (tagged) of the script that had another one evaluated.
#[inline(always)]
fn outer(memory: &impl Memory, layout: &EngineLayout, shared: u64) -> Option<u64> {
    if !is_object(shared) || type_of(memory, shared) != Some(layout.shared_type) {
        return None;
    }
    let place = untagged(shared).wrapping_add(u64::from(layout.shared_script));
    let script = script(memory, layout, memory.word(place)?)?;
    memory.word(untagged(script).wrapping_add(u64::from(layout.script_name)))
}

/// Where the position table of a bytecode (tagged, or 0) is, and how long.
#[inline(always)]
pub fn position_table(memory: &impl Memory, layout: &EngineLayout, bytecode: u64) -> Option<(u64, u64)> {
    if bytecode == 0 {
        return None;
    }
    // What stands for a table that was not made has no number for its length.
    let place = untagged(bytecode).wrapping_add(u64::from(layout.bytecode_table));
    array(memory, memory.word(place)?)
}

/// The bytecode (tagged) of the function that was read, or 0: baseline code has it.
#[inline(always)]
pub fn bytecode(memory: &impl Memory, layout: &EngineLayout, seen: &Seen) -> u64 {
    let mut object = seen.shared_words[SHARED_DATA];
    if is_of(memory, object, layout.code.code_type) {
        let place = untagged(object).wrapping_add(u64::from(layout.code.data));
        object = memory.word(place).unwrap_or(0);
    }
    if is_of(memory, object, layout.bytecode_type) {
        object
    } else {
        0
    }
}

/// The code of the function that was read, if it is of a tier that can be made sense of. `table` is the program's table of codes (avma), 0 as long
/// as it was not looked up.
#[inline(always)]
pub fn code(memory: &impl Memory, layout: &CodeLayout, seen: &mut Seen, table: &mut u64) -> Option<Code> {
    let object = if layout.group == 0 {
        layout.object(&seen.function_words)
    } else {
        if *table == 0 {
            let group = memory.word(layout.group)?;
            *table = memory.word(group.wrapping_add(u64::from(layout.table)))?;
        }
        let entry = CodeLayout::entry(*table, layout.handle(&seen.function_words));
        CodeLayout::entered(memory.word(entry.wrapping_add(8))?)
    };
    if !is_object(object) || !memory.words(&mut seen.code_words, layout.code_bytes, untagged(object)) {
        return None;
    }
    layout.code(untagged(object), &seen.code_words)
}

/// Whether what was read as code is that.
#[inline(always)]
pub fn is_code(memory: &impl Memory, layout: &CodeLayout, seen: &Seen) -> bool {
    type_of_map(memory, seen.code_words[0]) == Some(layout.code_type)
}

/// Where bytes are (avma), and how many.
pub type Bytes = (u64, u64);

/// What there is to baseline code: how far the instructions of each bytecode go, and the bytecode.
#[inline(always)]
pub fn baseline(memory: &impl Memory, layout: &EngineLayout, code: Code) -> Option<(Bytes, Bytes)> {
    if !is_of(memory, code.data, layout.bytecode_type) {
        return None;
    }
    let offsets = array(memory, code.positions)?;
    let (_, bytes) = array(memory, code.data)?;
    let begin = untagged(code.data).wrapping_add(u64::from(layout.bytecode_begin));
    Some((offsets, (begin, bytes)))
}

/// What there is to optimized code.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Optimized {
    /// What lies behind the instructions.
    pub safepoints: Bytes,
    /// The deoptimization data.
    pub exits: Bytes,
    /// How frames are made of its frame.
    pub translations: Bytes,
    /// Its literals: where the words are (avma), and how many.
    pub literals: Bytes,
}

/// What there is to optimized code of the function that was read.
#[inline(always)]
pub fn optimized(memory: &impl Memory, layout: &EngineLayout, seen: &Seen, code: Code) -> Option<Optimized> {
    let at = |slot: u32| untagged(code.data).wrapping_add(ARRAY_CONTENT + 8 * u64::from(slot));
    let (data, words) = array(memory, code.data)?;
    // It is that of the function that was compiled.
    let mut shared = memory.word(at(layout.code.shared)).unwrap_or(0);
    if layout.code.wrapped != 0 {
        shared = memory.word(untagged(shared).wrapping_add(8)).unwrap_or(0);
    }
    if shared != layout.shared_of(&seen.function_words) {
        return None;
    }
    Some(Optimized {
        safepoints: (code.start.wrapping_add(code.size), code.behind),
        exits: (data, words.wrapping_mul(8)),
        translations: array(memory, memory.word(at(0))?)?,
        literals: array(memory, memory.word(at(layout.code.literals))?)?,
    })
}
