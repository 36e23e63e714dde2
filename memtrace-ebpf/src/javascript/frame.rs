//! Whether a frame is JavaScript's, and of which function.

use aya_ebpf::helpers::generated::bpf_probe_read_user;
use memtrace_common::javascript::{
    EngineLayout, FRAME_BYTES, Key, NO_POSITION, loops,
    read::{self, Look, Place},
};

use super::{User, define, memory};
use crate::{
    maps::{JavaScriptWalk, Scratch},
    stats,
    unwind::step::append,
};

/// What [`memtrace_javascript_frame`] has found.
pub(crate) const NO_FRAME: u32 = 0;
/// A frame that was added to the record.
pub(crate) const FRAME: u32 = 1;
/// A frame of which the function was added, and where it may be in compiled code is to be: [`super::memtrace_javascript_code`].
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
    begin(walk, &key);
    let id = walk.record.id;
    if !define::is_known(id, walk.seen.bytecode != 0) && define::memtrace_javascript_define(scratch, walk, layout) == 0
    {
        scratch.walk.lost = 1;
    }
    append(scratch, id);
    let is_compiled = layout.code.told != 0
        && match at {
            Place::Bytecode(_) => may_be_in_loop(walk, layout, scratch.walk.ip),
            Place::Code => true,
            Place::Nowhere => false,
        };
    walk.noted = match at {
        Place::Bytecode(position) => position,
        Place::Code | Place::Nowhere => NO_POSITION,
    };
    if is_compiled {
        return COMPILED_FRAME;
    }
    append(scratch, walk.noted);
    FRAME
}

/// Whether a frame that looks like the interpreter's may be in code of a loop of the function that was read.
#[inline(always)]
fn may_be_in_loop(walk: &mut JavaScriptWalk, layout: &EngineLayout, ip: u64) -> bool {
    if walk.interpreter == ip {
        return false;
    }
    let may_be = loops::kept(&User, &layout.code.loops, &walk.seen).is_some();
    if !may_be {
        walk.interpreter = ip;
    }
    may_be
}

#[inline(always)]
fn look(walk: &mut JavaScriptWalk, layout: &EngineLayout, frame_pointer: u64, thread: u32) -> Look {
    let words = (&raw mut walk.frame_words).cast();
    let from = frame_pointer.wrapping_sub(FRAME_BYTES) as *const _;
    // SAFETY: the words have that many bytes, and the helper fails on memory that cannot be read.
    if unsafe { bpf_probe_read_user(words, FRAME_BYTES as u32, from) } != 0 {
        return Look::Other;
    }
    read::frame(&User, layout, &walk.frame_words, &mut walk.seen, thread)
}

/// Begins the record of a function.
#[inline(always)]
pub(super) fn begin(walk: &mut JavaScriptWalk, key: &Key) {
    walk.record.id = key.identity(walk.incarnation);
    walk.record.about = 0;
    walk.record.script = key.script;
    walk.record.source_length = key.source;
}
