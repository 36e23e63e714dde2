//! Whether a frame is in code of a loop that V8 compiled while it ran.

use memtrace_common::javascript::{
    EngineLayout,
    loops::{self, KEPT_WORDS},
    read::Memory as _,
};

use super::User;
use crate::maps::JavaScriptWalk;

/// Where the code of a loop begins that an address behind a call is in, of the function that is looked at; 0 where there is none. A global function:
/// the kernel verifies it once.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn memtrace_javascript_loop(
    walk: *mut JavaScriptWalk,
    layout: *const EngineLayout,
    address: u64,
) -> u64 {
    let Some((walk, layout)) = arguments(walk, layout) else {
        return 0;
    };
    let Some((at, bytes)) = loops::words(&User, &layout.code.loops, &walk.seen) else {
        return 0;
    };
    if !User.words(&mut walk.piece_tail, bytes as u32, at) {
        return 0;
    }
    let count = bytes / 8;
    let mut begin = 0;
    while begin < KEPT_WORDS as u64 {
        if begin >= count {
            break;
        }
        let found = memtrace_javascript_loop_words(walk, layout, address, begin, count);
        if found != 0 {
            return found;
        }
        begin += WORDS;
    }
    0
}

/// Words that are looked at by one call.
const WORDS: u64 = 16;

/// The same of some of the words. A global function: the kernel verifies it once, and not for each turn.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn memtrace_javascript_loop_words(
    walk: *mut JavaScriptWalk,
    layout: *const EngineLayout,
    address: u64,
    begin: u64,
    count: u64,
) -> u64 {
    let Some((walk, layout)) = arguments(walk, layout) else {
        return 0;
    };
    let shared = layout.shared_of(&walk.seen.function_words);
    let last = walk.piece_tail.len() as u64 - 1;
    let mut turn = 0;
    while turn < WORDS {
        let index = begin.wrapping_add(turn);
        if index >= count {
            break;
        }
        let word = walk.piece_tail[(index & last) as usize];
        let before = walk.piece_tail[(index.wrapping_sub(1) & last) as usize];
        if loops::may_be_code(&layout.code.loops, before, word, shared) {
            let found = memtrace_javascript_loop_code(walk, layout, word, address);
            if found != 0 {
                return found;
            }
        }
        turn += 1;
    }
    0
}

/// The same of one word of the feedback. A global function: the kernel verifies it once, and not for each word.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn memtrace_javascript_loop_code(
    walk: *mut JavaScriptWalk,
    layout: *const EngineLayout,
    word: u64,
    address: u64,
) -> u64 {
    let Some((walk, layout)) = arguments(walk, layout) else {
        return 0;
    };
    loops::code_around(&User, &layout.code, &mut walk.seen, word, address).unwrap_or(0)
}

/// The arguments of these functions, which the verifier wants to see checked in each of them.
#[inline(always)]
fn arguments<'a>(
    walk: *mut JavaScriptWalk,
    layout: *const EngineLayout,
) -> Option<(&'a mut JavaScriptWalk, &'a EngineLayout)> {
    // SAFETY: null or valid, which the verifier checks at each call; this processor's memory, which nobody else refers to during the call.
    let walk = unsafe { walk.as_mut() }?;
    // SAFETY: null or valid, likewise.
    let layout = unsafe { layout.as_ref() }?;
    Some((walk, layout))
}
