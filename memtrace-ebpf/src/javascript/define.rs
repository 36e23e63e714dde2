//! The collector is told of a function of JavaScript: before the first stack that names it, and once more when its bytecode is first seen.

use aya_ebpf::{
    bindings::BPF_ANY,
    helpers::{bpf_ktime_get_ns, generated::bpf_ringbuf_output},
};
use memtrace_common::{
    Counter,
    event::{Header, JavaScriptFunction, Kind, about},
    javascript::{
        DEFINED_SLOTS, EngineLayout, FILE_BYTES, NAME_BYTES, SOURCE_BYTES, TABLE_BYTES, read, string::Characters,
    },
};

use super::{
    User, opaque,
    text::{bytes, text},
};
use crate::{
    emit,
    maps::{EVENTS, FUNCTIONS, JavaScriptWalk, Scratch, Text},
    stats,
};

/// What a function's slot has: whether the collector knows its position table is part of it.
#[inline(always)]
const fn mark(id: u64, with_table: bool) -> u64 {
    if with_table { !id } else { id }
}

/// Whether the collector was told of a function, and of its table where it has one.
#[inline(always)]
pub(super) fn is_known(id: u64, with_table: bool) -> bool {
    FUNCTIONS
        .get(slot(id))
        .is_some_and(|&known| known == mark(id, true) || !with_table && known == id)
}

#[inline(always)]
const fn slot(id: u64) -> u32 {
    id as u32 & (DEFINED_SLOTS - 1)
}

/// Tells of the function that is looked at; 0 when the ring is full. A global function: the kernel verifies it once.
#[unsafe(no_mangle)]
pub extern "C" fn memtrace_javascript_define(
    scratch: *mut Scratch,
    walk: *mut JavaScriptWalk,
    layout: *const EngineLayout,
) -> u32 {
    // SAFETY: null or valid, which the verifier checks at each call; this processor's scratch.
    let scratch = unsafe { scratch.as_ref() };
    // SAFETY: null or valid, likewise; this processor's memory, which nobody else refers to during the call.
    let walk = unsafe { walk.as_mut() };
    // SAFETY: null or valid, likewise.
    let layout = unsafe { layout.as_ref() };
    let (Some(scratch), Some(layout), Some(walk)) = (scratch, layout, walk) else {
        return 0;
    };
    define(scratch, walk, layout).into()
}

#[inline(always)]
fn define(scratch: &Scratch, walk: &mut JavaScriptWalk, layout: &EngineLayout) -> bool {
    let (owner, id) = (scratch.owner, walk.record.id);
    let mut about = 0;
    let (name, start) = read::name(&User, layout, walk.seen.shared.name);
    let name = text(walk, name, 0, NAME_BYTES as u32);
    if name.cut != 0 {
        about |= about::NAME_CUT;
    }
    let name_bytes = name.bytes & NAME_BYTES as u32;
    let mut file = Text::NOTHING;
    let mut source = Characters::NOTHING;
    if walk.record.script != 0 {
        let (named, is_outer) = read::script_name(&User, layout, walk.seen.script);
        if is_outer {
            about |= about::EVALUATED;
        }
        file = text(walk, named, name_bytes, FILE_BYTES as u32);
        source = Characters::of(&User, walk.seen.script.source);
    }
    if file.cut != 0 {
        about |= about::FILE_CUT;
    }
    let file_bytes = file.bytes & FILE_BYTES as u32;
    let mut source_bytes = 0;
    let source_length = u64::from(walk.record.source_length) * u64::from(source.width);
    if source_length <= SOURCE_BYTES as u64 {
        source_bytes = bytes(
            walk,
            source.address,
            source_length,
            name_bytes + file_bytes,
            SOURCE_BYTES as u32,
        );
    }
    let source_bytes = source_bytes & SOURCE_BYTES as u32;
    let mut table_bytes = 0;
    if let Some((address, length)) = read::position_table(&User, layout, walk.seen.bytecode) {
        let at = name_bytes + file_bytes + source_bytes;
        table_bytes = bytes(walk, address, length, at, TABLE_BYTES as u32);
        if table_bytes == 0 && length != 0 {
            about |= about::TABLE_CUT;
        }
    }
    walk.record = JavaScriptFunction {
        header: Header {
            kind: Kind::JavaScriptFunction as u8,
            op: 0,
            flags: 0,
            pid: walk.pid,
            tid: owner as u32,
            incarnation: walk.incarnation,
            // SAFETY: the helper has no preconditions.
            time_ns: unsafe { bpf_ktime_get_ns() },
        },
        id,
        source: source.address,
        source_object: source.object,
        source_map: source.map,
        source_length: walk.record.source_length,
        script: walk.record.script,
        start,
        table_bytes,
        source_bytes,
        reserved: 0,
        name_bytes: name_bytes as u16,
        file_bytes: file_bytes as u16,
        name_width: name.width as u8,
        file_width: file.width as u8,
        source_width: source.width,
        about,
    };
    // Masked one by one, so that the verifier knows the bounds of each.
    let tail = (opaque(name_bytes) & NAME_BYTES as u32)
        + (opaque(file_bytes) & FILE_BYTES as u32)
        + (opaque(source_bytes) & SOURCE_BYTES as u32)
        + (opaque(table_bytes) & TABLE_BYTES as u32);
    // SAFETY: the first bytes of the record and of what follows it lie inside the value of the map: the masks together are smaller than the tail.
    let sent = unsafe {
        let data = (&raw mut walk.record).cast();
        let length = size_of::<JavaScriptFunction>() as u64 + u64::from(tail);
        bpf_ringbuf_output((&raw const EVENTS).cast_mut().cast(), data, length, emit::wakeup())
    };
    if sent != 0 {
        stats::count(Counter::JavaScriptLost);
        return false;
    }
    stats::count(Counter::JavaScriptFunctions);
    // SAFETY: a reference is valid; volatile so that the value is read again. Were the memory taken over meanwhile, the record may be
    // of two functions: it must be sent again. So must one whose strings are in memory that cannot be read just now.
    if unsafe { core::ptr::read_volatile(&raw const scratch.owner) } == owner && name.failed | file.failed == 0 {
        let _never = FUNCTIONS.set(slot(id), mark(id, walk.seen.bytecode != 0), u64::from(BPF_ANY));
    }
    true
}
