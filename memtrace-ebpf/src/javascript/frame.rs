//! Whether a frame is JavaScript's, and of which function.

use aya_ebpf::helpers::generated::bpf_probe_read_user;
use memtrace_common::{
    Counter,
    javascript::{EngineLayout, FRAME_BYTES, Frame, Key, NO_POSITION, STRING_HEAD, is_object, position, small_integer},
};

use super::{define, memory, read, type_of, type_of_map, untagged, word};
use crate::{
    maps::{JavaScriptWalk, Scratch},
    stats,
    unwind::step::append,
};

/// What [`memtrace_javascript_frame`] has found.
pub(crate) const NO_FRAME: u32 = 0;
/// A frame that was added to the record.
pub(crate) const FRAME: u32 = 1;
/// A frame of which the function was added, and where it is in the function's code is to be: [`super::memtrace_javascript_code`].
pub(crate) const COMPILED_FRAME: u32 = 2;

/// Looks at the frame that is to be left by its frame pointer, and adds its function to the record if it is JavaScript's. A
/// global function: the kernel verifies it once.
#[unsafe(no_mangle)]
pub extern "C" fn memtrace_javascript_frame(scratch: *mut Scratch, layout: *const EngineLayout) -> u32 {
    // SAFETY: null or valid, which the verifier checks at each call; this processor's scratch.
    let scratch = unsafe { scratch.as_mut() };
    // SAFETY: null or valid, likewise.
    let layout = unsafe { layout.as_ref() };
    let (Some(scratch), Some(layout), Some(walk)) = (scratch, layout, memory()) else {
        return NO_FRAME;
    };
    let (key, at) = match look(walk, layout, scratch.walk.bp, scratch.owner as u32) {
        Look::Other => return NO_FRAME,
        Look::Counted(why) => {
            stats::count(why);
            return NO_FRAME;
        }
        Look::Function(key, at) => (key, at),
    };
    let id = key.identity(walk.incarnation);
    walk.record.id = id;
    if !define::is_known(id, walk.bytecode != 0) && define::memtrace_javascript_define(scratch, walk, layout) == 0 {
        scratch.walk.lost = 1;
    }
    append(scratch, id);
    let position = match at {
        Place::Bytecode(position) => position,
        Place::Code if layout.code.told != 0 => return COMPILED_FRAME,
        Place::Code | Place::Nowhere => NO_POSITION,
    };
    append(scratch, position);
    FRAME
}

/// What came of it.
enum Look {
    /// It is not JavaScript's.
    Other,
    /// It looks like that, and its function cannot be told.
    Counted(Counter),
    /// It is of that function, at that place.
    Function(Key, Place),
}

/// Where in its function a frame is.
enum Place {
    /// At a position of the bytecode.
    Bytecode(u64),
    /// Somewhere in compiled code.
    Code,
    /// It is built in.
    Nowhere,
}

#[inline(always)]
fn look(walk: &mut JavaScriptWalk, layout: &EngineLayout, frame_pointer: u64, thread: u32) -> Look {
    let words = (&raw mut walk.frame_words).cast();
    let from = frame_pointer.wrapping_sub(FRAME_BYTES) as *const _;
    // SAFETY: the words have that many bytes, and the helper fails on memory that cannot be read.
    if unsafe { bpf_probe_read_user(words, FRAME_BYTES as u32, from) } != 0 {
        return Look::Other;
    }
    let Some(frame) = Frame::read(&walk.frame_words) else {
        return Look::Other;
    };
    let function = untagged(frame.function);
    if !read(&mut walk.function_words, layout.code.function_bytes, function) {
        return Look::Other;
    }
    let kind = type_of_map(walk.function_words[0]);
    if !kind.is_some_and(|kind| (layout.first_function..=layout.last_function).contains(&kind)) {
        return Look::Other;
    }
    let shared = layout.shared_of(&walk.function_words);
    let key = match of_shared(walk, layout, shared, thread) {
        Ok(key) => key,
        Err(why) => return Look::Counted(why),
    };
    if walk.record.script == 0 {
        return Look::Function(key, Place::Nowhere);
    }
    if let Some((bytecode, offset)) = frame.bytecode
        && type_of(bytecode) == Some(layout.bytecode_type)
    {
        walk.bytecode = bytecode;
        return Look::Function(key, Place::Bytecode(position(offset, layout.bytecode_begin)));
    }
    Look::Function(key, Place::Code)
}

/// Which function it is that has this `SharedFunctionInfo` (tagged). What was read of it and of its script is left in `walk`, with no bytecode.
#[inline(always)]
pub(super) fn of_shared(
    walk: &mut JavaScriptWalk,
    layout: &EngineLayout,
    shared: u64,
    thread: u32,
) -> Result<Key, Counter> {
    if !is_object(shared) || !read(&mut walk.shared_words, layout.shared_bytes, untagged(shared)) {
        return Err(Counter::JavaScriptUnreadable);
    }
    if type_of_map(walk.shared_words[0]) != Some(layout.shared_type) {
        return Err(Counter::JavaScriptForeign);
    }
    let shared = layout.shared(&walk.shared_words);
    walk.shared = shared;
    walk.record.about = 0;
    walk.bytecode = 0;
    let Some(script) = script(layout, shared.script) else {
        // Functions that are built in have none, and a number of their own.
        let number = small_integer(shared.builtin).ok_or(Counter::JavaScriptForeign)?;
        walk.record.script = 0;
        walk.record.source_length = 0;
        return Ok(Key {
            script: 0,
            literal: number.cast_unsigned(),
            source: 0,
            thread,
        });
    };
    if !read(&mut walk.script_words, layout.script_bytes, untagged(script)) {
        return Err(Counter::JavaScriptUnreadable);
    }
    walk.script = layout.script(&walk.script_words);
    let (Some(id), Some(source)) = (
        small_integer(walk.script.id),
        word(untagged(walk.script.source).wrapping_add(STRING_HEAD)),
    ) else {
        return Err(Counter::JavaScriptForeign);
    };
    let key = Key {
        script: id.cast_unsigned(),
        literal: shared.literal,
        source: (source >> 32) as u32,
        thread,
    };
    walk.record.script = id.cast_unsigned();
    walk.record.source_length = key.source;
    Ok(key)
}

/// The script that a word refers to, or the one that is behind what stands in for it.
#[inline(always)]
pub(super) fn script(layout: &EngineLayout, mut object: u64) -> Option<u64> {
    if !is_object(object) {
        return None;
    }
    let mut kind = type_of(object)?;
    if layout.debug_type != 0 && kind == layout.debug_type {
        object = word(untagged(object).wrapping_add(u64::from(layout.debug_script)))?;
        kind = type_of(object)?;
    }
    (kind == layout.script_type && is_object(object)).then_some(object)
}
