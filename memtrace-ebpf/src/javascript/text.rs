//! The characters of strings of JavaScript.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::bpf_probe_read_user;
use memtrace_common::javascript::{
    FILE_BYTES,
    string::{Characters, is_string, length, pair},
};

use super::{User, opaque};
use crate::maps::{JavaScriptWalk, Text};

/// Parts of a string that wait to be read, at most: a power of two.
pub(crate) const PARTS: usize = 8;

/// Parts that are looked at, at most: `exports.Outer.inner.method` has seven that are read, and six that are made of others.
const MOST_PARTS: u32 = 13;

/// Reads the characters of a string (tagged) to a place in the tail; nothing of what is none. One that V8 made of others, for a name that the
/// source does not have as a word, is read part by part.
#[inline(always)]
pub(super) fn text(walk: &mut JavaScriptWalk, string: u64, at: u32, most: u32) -> Text {
    walk.text = Text {
        at,
        most: most & !1,
        ..Text::NOTHING
    };
    if !is_string(&User, string) || length(&User, string) == 0 {
        return walk.text;
    }
    walk.parts[0] = string;
    walk.text.waiting = 1;
    let mut turn = 0;
    while turn < MOST_PARTS {
        if memtrace_javascript_part(walk) == 0 {
            break;
        }
        turn += 1;
    }
    walk.text.cut |= walk.text.waiting;
    walk.text
}

/// Reads the next part of a string; 0 when there is none. A global function: the kernel verifies it once, and not for each turn.
#[unsafe(no_mangle)]
pub extern "C" fn memtrace_javascript_part(walk: *mut JavaScriptWalk) -> u32 {
    // SAFETY: null or valid, which the verifier checks at each call; this processor's memory, which nobody else refers to during the call.
    let walk = unsafe { walk.as_mut() };
    walk.is_some_and(part).into()
}

#[inline(always)]
fn part(walk: &mut JavaScriptWalk) -> bool {
    let waiting = walk.text.waiting;
    if waiting == 0 || walk.text.cut != 0 {
        return false;
    }
    let below = waiting.wrapping_sub(1);
    let string = walk.parts[below as usize & (PARTS - 1)];
    if let Some((first, second)) = pair(&User, string) {
        if waiting >= PARTS as u32 {
            return false;
        }
        // The second one waits below the first.
        walk.parts[below as usize & (PARTS - 1)] = second;
        walk.parts[waiting as usize & (PARTS - 1)] = first;
        walk.text.waiting = waiting + 1;
        return true;
    }
    walk.text.waiting = below;
    let length = length(&User, string);
    if length == 0 {
        return true;
    }
    let found = Characters::of(&User, string);
    if walk.text.width != 0 && u32::from(found.width) != walk.text.width {
        walk.text.cut = 1;
        return false;
    }
    walk.text.width = found.width.into();
    let room = u64::from(walk.text.most.wrapping_sub(walk.text.bytes));
    let mut wanted = u64::from(length) * u64::from(found.width);
    if wanted > room {
        walk.text.cut = 1;
        wanted = room;
    }
    let at = walk.text.at + walk.text.bytes;
    let read = bytes(walk, found.address, wanted, at, FILE_BYTES as u32);
    walk.text.bytes += read;
    if read == 0 && wanted != 0 {
        walk.text.failed = 1;
        return false;
    }
    true
}

/// Reads bytes to a place in the tail, `most` of them at most, which is one less than a power of two; how many it were: all or none.
#[inline(always)]
pub(super) fn bytes(walk: &mut JavaScriptWalk, address: u64, length: u64, at: u32, most: u32) -> u32 {
    if length > u64::from(most) || length == 0 {
        return 0;
    }
    let length = opaque(length as u32) & most;
    let at = (opaque(at) & 4095) as usize;
    // SAFETY: the place is below 4096, inside the tail.
    let to = unsafe { walk.tail.as_mut_ptr().add(at) }.cast::<c_void>();
    // SAFETY: the length is below 8192, and the tail has room for that behind the place; the helper fails on memory that cannot be read.
    let failed = unsafe { bpf_probe_read_user(to, length, address as *const c_void) };
    if failed == 0 { length } else { 0 }
}
