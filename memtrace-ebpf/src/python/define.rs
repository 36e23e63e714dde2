//! The collector is told of a Python function: once, before the first stack that names it.

use core::ffi::c_void;

use aya_ebpf::{
    bindings::BPF_ANY,
    helpers::{
        bpf_ktime_get_ns,
        generated::{bpf_probe_read_user, bpf_ringbuf_output},
    },
};
use memtrace_common::{
    Counter,
    event::{Header, Kind, PythonCode},
    python::{BYTES_CONTENT, DEFINED_SLOTS, FILE_BYTES, Layout, NAME_BYTES, TABLE_BYTES, TextLayout, bytes_length},
};

use super::{opaque, read};
use crate::{
    emit,
    maps::{DEFINED, EVENTS, Scratch},
    stats,
};

/// Bytes of a string's head, and of a `bytes` object's: no more, because the string may be the last thing in its page.
const TEXT_HEAD: u32 = 40;
const BYTES_HEAD: u32 = 24;

/// Whether the collector was told of code.
#[inline(always)]
pub(super) fn is_known(id: u64) -> bool {
    DEFINED.get(slot(id)).is_some_and(|&known| known == id)
}

#[inline(always)]
const fn slot(id: u64) -> u32 {
    id as u32 & (DEFINED_SLOTS - 1)
}

/// Tells of the code in the walk; 0 when the ring is full. A global function: the kernel verifies it once.
#[unsafe(no_mangle)]
pub extern "C" fn memtrace_python_define(scratch: *mut Scratch, layout: *const Layout) -> u32 {
    // SAFETY: null or valid, which the verifier checks at each call; this processor's scratch.
    let scratch = unsafe { scratch.as_mut() };
    // SAFETY: null or valid, likewise.
    let layout = unsafe { layout.as_ref() };
    let (Some(scratch), Some(layout)) = (scratch, layout) else {
        return 0;
    };
    define(scratch, layout).into()
}

#[inline(always)]
fn define(scratch: &mut Scratch, layout: &Layout) -> bool {
    let (owner, code, id) = (scratch.owner, scratch.python.code, scratch.python.record.id);
    let mut cut = 0;
    let name = text(scratch, &layout.text, code.name, 0, NAME_BYTES as u32);
    let name_bytes = name.bytes & NAME_BYTES as u32;
    let file = text(scratch, &layout.text, code.file, name_bytes, FILE_BYTES as u32);
    let file_bytes = file.bytes & FILE_BYTES as u32;
    if name.cut {
        cut |= 1;
    }
    if file.cut {
        cut |= 2;
    }
    let mut table_length = 0;
    if read(&mut scratch.python.text_words, BYTES_HEAD, code.table) {
        table_length = bytes_length(&scratch.python.text_words);
    }
    let table = code.table.wrapping_add(BYTES_CONTENT);
    let table_bytes = bytes(
        scratch,
        table,
        table_length,
        name_bytes + file_bytes,
        TABLE_BYTES as u32,
    );
    scratch.python.record = PythonCode {
        header: Header {
            kind: Kind::PythonCode as u8,
            op: 0,
            flags: 0,
            pid: scratch.python.pid,
            tid: owner as u32,
            incarnation: scratch.python.incarnation,
            // SAFETY: the helper has no preconditions.
            time_ns: unsafe { bpf_ktime_get_ns() },
        },
        id,
        table,
        table_length,
        table_bytes,
        first_line: code.first_line,
        name_bytes: name_bytes as u16,
        file_bytes: file_bytes as u16,
        name_width: name.width,
        file_width: file.width,
        cut,
        reserved: 0,
    };
    // Masked one by one, so that the verifier knows the bounds of each.
    let tail = (opaque(name_bytes) & NAME_BYTES as u32)
        + (opaque(file_bytes) & FILE_BYTES as u32)
        + (opaque(table_bytes) & TABLE_BYTES as u32);
    // SAFETY: the first bytes of the record and of what follows it lie inside the value of the map: the masks together are smaller than the tail.
    let sent = unsafe {
        let data = (&raw mut scratch.python.record).cast();
        let length = size_of::<PythonCode>() as u64 + u64::from(tail);
        bpf_ringbuf_output((&raw const EVENTS).cast_mut().cast(), data, length, emit::wakeup())
    };
    if sent != 0 {
        stats::count(Counter::PythonCodeLost);
        return false;
    }
    stats::count(Counter::PythonCode);
    // SAFETY: a reference is valid; volatile so that the value is read again. Were the scratch taken over meanwhile, the record may be
    // of two functions: it must be sent again.
    if unsafe { core::ptr::read_volatile(&raw const scratch.owner) } == owner {
        let _never = DEFINED.set(slot(id), id, u64::from(BPF_ANY));
    }
    true
}

/// What was read of a string.
struct Taken {
    bytes: u32,
    width: u8,
    /// Whether it is longer.
    cut: bool,
}

/// Reads the characters of a string to a place in the tail.
#[inline(always)]
fn text(scratch: &mut Scratch, layout: &TextLayout, address: u64, at: u32, most: u32) -> Taken {
    let nothing = Taken {
        bytes: 0,
        width: 0,
        cut: false,
    };
    if !read(&mut scratch.python.text_words, TEXT_HEAD, address) {
        return nothing;
    }
    let Some(text) = layout.read(&scratch.python.text_words, address) else {
        return nothing;
    };
    // Whole characters.
    let room = most & !3;
    let cut = text.bytes > u64::from(room);
    let length = if cut { u64::from(room) } else { text.bytes };
    Taken {
        bytes: bytes(scratch, text.address, length, at, most),
        width: text.width,
        cut,
    }
}

/// Reads bytes to a place in the tail, `most` of them at most, which is one less than a power of two; how many it were: all or none.
#[inline(always)]
fn bytes(scratch: &mut Scratch, address: u64, length: u64, at: u32, most: u32) -> u32 {
    if length > u64::from(most) {
        return 0;
    }
    let length = opaque(length as u32) & most;
    let at = (opaque(at) & 2047) as usize;
    // SAFETY: the place is below 2048, inside the tail.
    let to = unsafe { scratch.python.tail.as_mut_ptr().add(at) }.cast::<c_void>();
    // SAFETY: the length is below 16384, and the tail has room for that behind the place; the helper fails on memory that cannot be read.
    let failed = unsafe { bpf_probe_read_user(to, length, address as *const c_void) };
    if failed == 0 { length } else { 0 }
}
