//! From a Python frame to its caller's.

use memtrace_common::{
    Counter,
    event::{STACK_WORDS, note},
    python::{Layout, MAX_ENTRIES, entry},
};

use super::{define, read};
use crate::{maps::Scratch, stats};

/// Takes the current frame; 0 when the walk ends. A global function: the kernel verifies it once.
#[unsafe(no_mangle)]
pub extern "C" fn memtrace_python_frame(scratch: *mut Scratch, layout: *const Layout) -> u32 {
    // SAFETY: null or valid, which the verifier checks at each call; this processor's scratch.
    let scratch = unsafe { scratch.as_mut() };
    // SAFETY: null or valid, likewise.
    let layout = unsafe { layout.as_ref() };
    let (Some(scratch), Some(layout)) = (scratch, layout) else {
        return 0;
    };
    take(scratch, layout).into()
}

#[inline(always)]
fn take(scratch: &mut Scratch, layout: &Layout) -> bool {
    let address = scratch.python.frame;
    if address == 0 {
        return false;
    }
    if scratch.python.count >= MAX_ENTRIES as u64 {
        return cut(scratch, Counter::PythonDeep);
    }
    if !address.is_multiple_of(8) || !read(&mut scratch.python.frame_words, layout.frame.bytes, address) {
        return cut(scratch, Counter::PythonUnreadable);
    }
    let frame = layout.frame.read(&scratch.python.frame_words);
    scratch.python.frame = frame.previous;
    if frame.flags & entry::SHIM != 0 {
        push(scratch, 0, entry::SHIM);
        return true;
    }
    if !read(&mut scratch.python.code_words, layout.code.bytes, frame.code) {
        return cut(scratch, Counter::PythonUnreadable);
    }
    let code = layout.code.read(&scratch.python.code_words);
    if code.of_type != layout.code_type {
        return cut(scratch, Counter::PythonForeign);
    }
    let id = code.identity(scratch.python.incarnation, frame.code);
    if !define::is_known(id) {
        scratch.python.code = code;
        scratch.python.record.id = id;
        if define::memtrace_python_define(scratch, layout) == 0 {
            scratch.python.lost = 1;
        }
    }
    let offset = layout.frame.offset(frame.position, frame.code, layout.code.start);
    push(scratch, id, u64::from(offset.cast_unsigned()) | frame.flags);
    true
}

/// Adds an entry.
#[inline(always)]
fn push(scratch: &mut Scratch, id: u64, what: u64) {
    let at = scratch.walk.words + 2 * scratch.python.count;
    scratch.stack.words[at as usize & (STACK_WORDS - 1)] = id;
    scratch.stack.words[(at + 1) as usize & (STACK_WORDS - 1)] = what;
    scratch.walk.identity.push(id);
    scratch.walk.identity.push(what);
    scratch.python.count += 1;
}

/// Ends the walk before its end.
#[inline(always)]
fn cut(scratch: &mut Scratch, why: Counter) -> bool {
    stats::count(why);
    scratch.walk.notes |= u64::from(note::PYTHON_CUT);
    false
}
