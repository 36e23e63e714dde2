//! The target's stack, read in large pieces.

use aya_ebpf::helpers::generated::bpf_probe_read_user;

use crate::maps::{Scratch, WINDOW_WORDS};

const WINDOW_BYTES: u64 = 8 * WINDOW_WORDS as u64;

/// The word of the target's memory at `address`. When it cannot be read it is 0, and the walk's `unreadable` is set.
#[inline(always)]
pub(super) fn word(scratch: &mut Scratch, address: u64) -> u64 {
    let offset = address.wrapping_sub(scratch.walk.window);
    // A word that begins inside lies inside: both begin at multiples of eight.
    if offset < scratch.walk.window_bytes && offset.is_multiple_of(8) {
        return scratch.words[(offset / 8) as usize & (WINDOW_WORDS - 1)];
    }
    word_elsewhere(scratch, address)
}

/// Moves the window. A function of its own, so that it is in the object once.
#[inline(never)]
fn word_elsewhere(scratch: &mut Scratch, address: u64) -> u64 {
    if !address.is_multiple_of(8) || !fill(scratch, address) {
        scratch.walk.unreadable = 1;
        return 0;
    }
    scratch.words[0]
}

/// Reads what follows `address`: a whole window, else the rest of the page, else the word alone.
#[inline(always)]
fn fill(scratch: &mut Scratch, address: u64) -> bool {
    scratch.walk.window = address;
    let rest = (WINDOW_BYTES - (address & (WINDOW_BYTES - 1))) as u32;
    // A window that begins at a page's start is a page: it was tried.
    let sizes = [WINDOW_BYTES as u32, rest, 8];
    let mut index = 0;
    while index < sizes.len() {
        let size = sizes[index];
        let data = (&raw mut scratch.words).cast();
        // The size of the second is a variable to the verifier; the mask is what it believes.
        let size = if index == 1 {
            size & (WINDOW_BYTES as u32 - 1)
        } else {
            size
        };
        // SAFETY: `words` holds `WINDOW_BYTES` bytes, and the helper fails on memory that cannot be read.
        if size != 0 && unsafe { bpf_probe_read_user(data, size, address as *const _) } == 0 {
            scratch.walk.window_bytes = u64::from(size);
            return true;
        }
        index += 1;
    }
    scratch.walk.window_bytes = 0;
    false
}
