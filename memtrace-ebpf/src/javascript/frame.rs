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

/// Looks at the frame that is to be left by its frame pointer, and adds its function to the record if it is JavaScript's; 1 when it is. A
/// global function: the kernel verifies it once.
#[unsafe(no_mangle)]
pub extern "C" fn memtrace_javascript_frame(scratch: *mut Scratch, layout: *const EngineLayout) -> u32 {
    // SAFETY: null or valid, which the verifier checks at each call; this processor's scratch.
    let scratch = unsafe { scratch.as_mut() };
    // SAFETY: null or valid, likewise.
    let layout = unsafe { layout.as_ref() };
    let (Some(scratch), Some(layout), Some(walk)) = (scratch, layout, memory()) else {
        return 0;
    };
    match look(walk, layout, scratch.walk.bp, scratch.owner as u32) {
        Look::Other => 0,
        Look::Counted(why) => {
            stats::count(why);
            0
        }
        Look::Function(key, position) => {
            let id = key.identity(walk.incarnation);
            walk.record.id = id;
            if !define::is_known(id, walk.bytecode != 0)
                && define::memtrace_javascript_define(scratch, walk, layout) == 0
            {
                scratch.walk.lost = 1;
            }
            append(scratch, id);
            append(scratch, position);
            1
        }
    }
}

/// What came of it.
enum Look {
    /// It is not JavaScript's.
    Other,
    /// It looks like that, and its function cannot be told.
    Counted(Counter),
    /// It is of that function, at that position.
    Function(Key, u64),
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
    if !type_of(function).is_some_and(|kind| (layout.first_function..=layout.last_function).contains(&kind)) {
        return Look::Other;
    }
    let Some(shared) = word(function.wrapping_add(u64::from(layout.function_shared))) else {
        return Look::Counted(Counter::JavaScriptUnreadable);
    };
    if !is_object(shared) || !read(&mut walk.shared_words, layout.shared_bytes, untagged(shared)) {
        return Look::Counted(Counter::JavaScriptUnreadable);
    }
    if type_of_map(walk.shared_words[0]) != Some(layout.shared_type) {
        return Look::Counted(Counter::JavaScriptForeign);
    }
    let shared = layout.shared(&walk.shared_words);
    walk.shared = shared;
    walk.record.about = 0;
    let Some(script) = script(layout, shared.script) else {
        // Functions that are built in have none, and a number of their own.
        return match small_integer(shared.builtin) {
            Some(number) => builtin(walk, number, thread),
            None => Look::Counted(Counter::JavaScriptForeign),
        };
    };
    if !read(&mut walk.script_words, layout.script_bytes, untagged(script)) {
        return Look::Counted(Counter::JavaScriptUnreadable);
    }
    walk.script = layout.script(&walk.script_words);
    let (Some(id), Some(source)) = (
        small_integer(walk.script.id),
        word(untagged(walk.script.source).wrapping_add(STRING_HEAD)),
    ) else {
        return Look::Counted(Counter::JavaScriptForeign);
    };
    let key = Key {
        script: id.cast_unsigned(),
        literal: shared.literal,
        source: (source >> 32) as u32,
        thread,
    };
    walk.record.script = id.cast_unsigned();
    walk.record.source_length = key.source;
    walk.bytecode = 0;
    let mut at = NO_POSITION;
    if let Some((bytecode, offset)) = frame.bytecode
        && type_of(bytecode) == Some(layout.bytecode_type)
    {
        walk.bytecode = bytecode;
        at = position(offset, layout.bytecode_begin);
    }
    Look::Function(key, at)
}

/// A function that is built in.
#[inline(always)]
fn builtin(walk: &mut JavaScriptWalk, number: i32, thread: u32) -> Look {
    walk.record.script = 0;
    walk.record.source_length = 0;
    walk.bytecode = 0;
    let key = Key {
        script: 0,
        literal: number.cast_unsigned(),
        source: 0,
        thread,
    };
    Look::Function(key, NO_POSITION)
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
