//! Where in compiled code a frame is. What V8 keeps of the code goes to the collector before the first stack that has it: the collector makes
//! lines of that, and functions that were compiled into it.

use aya_ebpf::{
    bindings::BPF_ANY,
    helpers::{bpf_ktime_get_ns, generated::bpf_ringbuf_output},
};
use memtrace_common::{
    Counter,
    event::{Header, JavaScriptCode, Kind},
    javascript::{
        EngineLayout, NO_POSITION,
        code::{CODE_SLOTS, Code, LITERALS, PIECE_BYTES, PIECES, Part, Tier, compiled, number},
        read::{self, Memory as _},
    },
};

use super::{User, define, frame::begin, loops::memtrace_javascript_loop, memory, opaque};
use crate::{
    emit,
    maps::{CODES, EVENTS, JavaScriptWalk, Scratch},
    stats,
    unwind::step::append,
};

/// Adds to the record where in compiled code the frame is whose function was added just now, or what the interpreter has noted; 1 when one is known. A global function: the kernel
/// verifies it once.
#[unsafe(no_mangle)]
pub extern "C" fn memtrace_javascript_code(scratch: *mut Scratch, layout: *const EngineLayout) -> u32 {
    // SAFETY: null or valid, which the verifier checks at each call; this processor's scratch.
    let scratch = unsafe { scratch.as_mut() };
    // SAFETY: null or valid, likewise.
    let layout = unsafe { layout.as_ref() };
    let (Some(scratch), Some(layout), Some(walk)) = (scratch, layout, memory()) else {
        return 0;
    };
    let position = place(scratch, walk, layout).unwrap_or(walk.noted);
    append(scratch, position);
    (position != NO_POSITION).into()
}

#[inline(always)]
fn place(scratch: &mut Scratch, walk: &mut JavaScriptWalk, layout: &EngineLayout) -> Option<u64> {
    let ip = scratch.walk.ip;
    let mut code = read::code(&User, &layout.code, &mut walk.seen, &mut walk.table);
    // The function's code may be that of an activation since, or a built-in one that looks after the frame; or a loop has code of its own.
    if code.and_then(|code| code.offset(ip)).is_none() {
        let at = memtrace_javascript_loop(walk, layout, ip);
        if at == 0 {
            if walk.noted != NO_POSITION {
                walk.interpreter = ip;
            }
            return None;
        }
        code = layout.code.code(at, &walk.seen.code_words);
    }
    let code = code?;
    let offset = code.offset(ip)?;
    let function = walk.record.id;
    let id = code.identity(walk.incarnation, function);
    let at = compiled(number(id), offset);
    let slot = id as u32 & (CODE_SLOTS - 1);
    match CODES.get(slot) {
        Some(&known) if known == id => return Some(at),
        // There is nothing to be told of it.
        Some(&known) if known == !id => return None,
        _ => {}
    }
    walk.piece.function = function;
    walk.piece.code = number(id);
    walk.piece.tier = code.tier;
    let told = tell(scratch, walk, layout, code);
    if told == LOST {
        stats::count(Counter::JavaScriptCodesLost);
        return None;
    }
    // SAFETY: a reference is valid; volatile so that the value is read again. Were the memory taken over meanwhile, it must be told again.
    if unsafe { core::ptr::read_volatile(&raw const scratch.owner) } as u32 == walk.piece.header.tid {
        let mark = if told == TOLD { id } else { !id };
        let _never = CODES.set(slot, mark, u64::from(BPF_ANY));
    }
    if told == TOLD {
        stats::count(Counter::JavaScriptCodes);
        Some(at)
    } else {
        stats::count(Counter::JavaScriptCodesUntold);
        None
    }
}

/// What came of telling: all of it went into the ring, or could not be read or is not what it should be, or the ring is full.
const TOLD: u32 = 0;
const UNREAD: u32 = 1;
const LOST: u32 = 2;

/// Tells of the code that is looked at, and of its functions.
#[inline(always)]
fn tell(scratch: &mut Scratch, walk: &mut JavaScriptWalk, layout: &EngineLayout, code: Code) -> u32 {
    walk.piece.header = Header {
        kind: Kind::JavaScriptCode as u8,
        op: 0,
        flags: 0,
        pid: walk.pid,
        tid: scratch.owner as u32,
        incarnation: walk.incarnation,
        // SAFETY: the helper has no preconditions.
        time_ns: unsafe { bpf_ktime_get_ns() },
    };
    walk.piece.reserved = 0;
    if !read::is_code(&User, &layout.code, &walk.seen) {
        return UNREAD;
    }
    // The function itself, with its table: it may not have been seen in the interpreter.
    walk.seen.bytecode = read::bytecode(&User, layout, &walk.seen);
    if walk.seen.bytecode != 0
        && !define::is_known(walk.record.id, true)
        && define::memtrace_javascript_define(scratch, walk, layout) == 0
    {
        return LOST;
    }
    if code.tier == Tier::Baseline as u8 {
        baseline(walk, layout, code)
    } else {
        optimized(scratch, walk, layout, code)
    }
}

#[inline(always)]
fn baseline(walk: &mut JavaScriptWalk, layout: &EngineLayout, code: Code) -> u32 {
    let Some((offsets, bytecode)) = read::baseline(&User, layout, code) else {
        return UNREAD;
    };
    let told = memtrace_javascript_part_of_code(walk, offsets.0, offsets.1, Part::Offsets as u32);
    if told != TOLD {
        return told;
    }
    memtrace_javascript_part_of_code(walk, bytecode.0, bytecode.1, Part::Bytecode as u32)
}

#[inline(always)]
fn optimized(scratch: &mut Scratch, walk: &mut JavaScriptWalk, layout: &EngineLayout, code: Code) -> u32 {
    let Some(kept) = read::optimized(&User, layout, &walk.seen, code) else {
        return UNREAD;
    };
    let (behind, exits, translations) = (kept.safepoints, kept.exits, kept.translations);
    let mut told = memtrace_javascript_part_of_code(walk, behind.0, behind.1, Part::Safepoints as u32);
    if told == TOLD {
        told = memtrace_javascript_part_of_code(walk, exits.0, exits.1, Part::Exits as u32);
    }
    if told == TOLD {
        told = memtrace_javascript_part_of_code(walk, translations.0, translations.1, Part::Translations as u32);
    }
    if told != TOLD {
        return told;
    }
    let (literals, count) = kept.literals;
    let mut index = 0;
    while index < LITERALS as u64 {
        if memtrace_javascript_literal(scratch, walk, layout, literals, index) == LOST {
            return LOST;
        }
        index += 1;
    }
    // What lies behind the last literal is no function, or none that a frame refers to.
    let bytes = 8 * if count < LITERALS as u64 {
        count as u32
    } else {
        LITERALS as u32
    };
    send(walk, Part::Functions as u32, 0, bytes, bytes)
}

/// Tells of the function that is one of the literals, if it is one, and notes its identity. A global function: the kernel verifies it once, and not
/// for each of them.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn memtrace_javascript_literal(
    scratch: *mut Scratch,
    walk: *mut JavaScriptWalk,
    layout: *const EngineLayout,
    literals: u64,
    index: u64,
) -> u32 {
    // SAFETY: null or valid, which the verifier checks at each call; this processor's scratch.
    let scratch = unsafe { scratch.as_mut() };
    // SAFETY: null or valid, likewise; this processor's memory, which nobody else refers to during the call.
    let walk = unsafe { walk.as_mut() };
    // SAFETY: null or valid, likewise.
    let layout = unsafe { layout.as_ref() };
    let (Some(scratch), Some(layout), Some(walk)) = (scratch, layout, walk) else {
        return LOST;
    };
    let place = index as usize & (LITERALS - 1);
    walk.piece_tail[place] = 0;
    let literal = User.word(literals.wrapping_add(8 * index)).unwrap_or(0);
    if !read::is_of(&User, literal, layout.shared_type) {
        return TOLD;
    }
    let Ok(key) = read::function_of(&User, layout, literal, &mut walk.seen, scratch.owner as u32) else {
        return TOLD;
    };
    begin(walk, &key);
    let id = walk.record.id;
    if walk.record.script != 0 {
        walk.seen.bytecode = read::bytecode(&User, layout, &walk.seen);
    }
    let is_known = define::is_known(id, walk.seen.bytecode != 0);
    if !is_known && define::memtrace_javascript_define(scratch, walk, layout) == 0 {
        return LOST;
    }
    walk.piece_tail[place] = id;
    TOLD
}

/// Tells of a part of the code that is looked at. A global function: the kernel verifies it once.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn memtrace_javascript_part_of_code(
    walk: *mut JavaScriptWalk,
    address: u64,
    total: u64,
    part: u32,
) -> u32 {
    // SAFETY: null or valid, which the verifier checks at each call; this processor's memory, which nobody else refers to during the call.
    let Some(walk) = (unsafe { walk.as_mut() }) else {
        return LOST;
    };
    if total > PIECE_BYTES as u64 * u64::from(PIECES) {
        return UNREAD;
    }
    let mut turn = 0;
    while turn < PIECES {
        let told = memtrace_javascript_piece(walk, address, total, part, turn);
        if told != TOLD {
            return told;
        }
        turn += 1;
        if u64::from(turn) * PIECE_BYTES as u64 >= total {
            break;
        }
    }
    TOLD
}

/// Tells of one piece of that part. A global function: the kernel verifies it once, and not for each of them.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn memtrace_javascript_piece(
    walk: *mut JavaScriptWalk,
    address: u64,
    total: u64,
    part: u32,
    turn: u32,
) -> u32 {
    // SAFETY: null or valid, which the verifier checks at each call; this processor's memory, which nobody else refers to during the call.
    let Some(walk) = (unsafe { walk.as_mut() }) else {
        return LOST;
    };
    let at = turn.wrapping_mul(PIECE_BYTES as u32);
    let mut length = (total as u32).wrapping_sub(at);
    if length > PIECE_BYTES as u32 {
        length = PIECE_BYTES as u32;
    }
    if length != 0 && !User.words(&mut walk.piece_tail, length, address.wrapping_add(u64::from(at))) {
        return UNREAD;
    }
    send(walk, part, at, length, total as u32)
}

/// Sends what was read of a part.
#[inline(always)]
fn send(walk: &mut JavaScriptWalk, part: u32, at: u32, bytes: u32, total: u32) -> u32 {
    walk.piece.part = part as u8;
    walk.piece.at = at;
    walk.piece.total = total;
    walk.piece.bytes = bytes;
    let bytes = opaque(bytes) & (walk.piece_tail.len() as u32 * 8 - 1);
    // SAFETY: the mask keeps the length inside what follows the record in the value of the map.
    let sent = unsafe {
        let data = (&raw mut walk.piece).cast();
        let length = size_of::<JavaScriptCode>() as u64 + u64::from(bytes);
        bpf_ringbuf_output((&raw const EVENTS).cast_mut().cast(), data, length, emit::wakeup())
    };
    if sent == 0 { TOLD } else { LOST }
}
