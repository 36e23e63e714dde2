//! From a frame to its caller's.

use aya_ebpf::helpers::bpf_probe_read_user;
use memtrace_common::{
    abi::{PLT_MASK, SIGNAL_BP, SIGNAL_IP, SIGNAL_SP},
    event::{STACK_WORDS, StackEnd, note},
    javascript::EngineLayout,
    limits::{MAX_FRAME_BYTES, MAX_FRAMES},
    space::Space,
    unwind::{Cfa, Rbp},
};

use super::{return_probe, rule, window::word};
use crate::{
    javascript,
    maps::{CONFIG, Scratch},
};

/// Leaves a function at its first instruction; `false` when the walk ends there.
#[inline(always)]
pub(super) fn enter(scratch: &mut Scratch) -> bool {
    let sp = scratch.walk.sp;
    let address = word(scratch, sp);
    arrive(scratch, address, sp.wrapping_add(8))
}

/// Goes on to the frame that the return address and the stack pointer tell; `false` when the walk ends.
#[inline(always)]
fn arrive(scratch: &mut Scratch, mut address: u64, sp: u64) -> bool {
    if scratch.walk.unreadable != 0 {
        return stop(scratch, StackEnd::Unreadable);
    }
    if address == 0 {
        return stop(scratch, StackEnd::Start);
    }
    if return_probe::replaced(address, scratch.walk.trampoline) {
        address = return_probe::original(scratch, sp.wrapping_sub(8));
        if address == 0 {
            return stop(scratch, StackEnd::Unsupported);
        }
    }
    scratch.walk.ip = address;
    scratch.walk.sp = sp;
    push(scratch, address)
}

/// Adds a frame; `false` when there is no room for another.
#[inline(always)]
fn push(scratch: &mut Scratch, address: u64) -> bool {
    let count = scratch.walk.count;
    if count >= u64::from(CONFIG.load().max_frames) || count >= MAX_FRAMES as u64 {
        return stop(scratch, StackEnd::Deep);
    }
    append(scratch, address);
    scratch.walk.count = count + 1;
    true
}

/// Adds a word to the record.
#[inline(always)]
pub(crate) fn append(scratch: &mut Scratch, word: u64) {
    let at = scratch.walk.words;
    scratch.stack.words[at as usize & (STACK_WORDS - 1)] = word;
    scratch.walk.identity.push(word);
    scratch.walk.words = at + 1;
}

#[inline(always)]
fn stop(scratch: &mut Scratch, end: StackEnd) -> bool {
    scratch.walk.end = end as u64;
    false
}

/// Leaves the current frame; 0 when the walk ends.
///
/// A global function: the kernel verifies it once, by itself, and not for each of its four calls in each program.
#[unsafe(no_mangle)]
pub extern "C" fn memtrace_leave_frame(scratch: *mut Scratch, space: *const Space, engine: *const EngineLayout) -> u32 {
    // SAFETY: null or valid, which the verifier checks at each call; this processor's scratch, see `super::take`.
    let scratch = unsafe { scratch.as_mut() };
    // SAFETY: null or valid, likewise; spaces are not written to while they are in use.
    let space = unsafe { space.as_ref() };
    // SAFETY: null or valid, likewise.
    let engine = unsafe { engine.as_ref() };
    scratch.is_some_and(|scratch| leave(scratch, space, engine)).into()
}

#[inline(always)]
fn leave(scratch: &mut Scratch, space: Option<&Space>, engine: Option<&EngineLayout>) -> bool {
    let rule = rule::of(scratch, space);
    let (sp, bp) = (scratch.walk.sp, scratch.walk.bp);
    let offset = signed(rule.cfa_offset());
    let cfa = match rule.cfa() {
        kind if kind == Cfa::Rsp as u8 => sp.wrapping_add(offset),
        kind if kind == Cfa::Rbp as u8 => bp.wrapping_add(offset),
        kind if kind == Cfa::None as u8 => return by_frame_pointer(scratch, engine),
        kind if kind == Cfa::End as u8 => return stop(scratch, StackEnd::Start),
        kind if kind == Cfa::Signal as u8 => return from_signal(scratch),
        kind if kind == Cfa::Plt as u8 => {
            let pushed = u64::from(scratch.walk.ip & PLT_MASK >= offset) * 8;
            sp.wrapping_add(8 + pushed)
        }
        kind if kind == Cfa::DerefRsp as u8 || kind == Cfa::DerefRbp as u8 => {
            let base = if kind == Cfa::DerefRsp as u8 { sp } else { bp };
            let at = base.wrapping_add(signed(rule.deref_offset()));
            word(scratch, at).wrapping_add(signed(rule.deref_add()))
        }
        _ => return stop(scratch, StackEnd::Unsupported),
    };
    // Stacks grow down, and a frame has a return address at least.
    if cfa <= sp {
        return stop(scratch, StackEnd::Unreadable);
    }
    if rule.rbp() != Rbp::Same as u8 {
        let base = if rule.rbp() == Rbp::AtCfa as u8 { cfa } else { bp };
        scratch.walk.bp = word(scratch, base.wrapping_add(signed(rule.rbp_offset())));
    }
    let address = word(scratch, cfa.wrapping_sub(8));
    arrive(scratch, address, cfa)
}

/// An offset, to be added with wrapping.
#[inline(always)]
fn signed(offset: impl Into<i64>) -> u64 {
    offset.into().cast_unsigned()
}

/// Follows the chain of frame pointers.
#[inline(always)]
pub(super) fn by_frame_pointer(scratch: &mut Scratch, engine: Option<&EngineLayout>) -> bool {
    let (sp, bp) = (scratch.walk.sp, scratch.walk.bp);
    if bp == 0 {
        // The ABI's mark of the outermost frame (System V AMD64 ABI, 3.4.1).
        return stop(scratch, StackEnd::Start);
    }
    if bp < sp || bp - sp > MAX_FRAME_BYTES || bp & 7 != 0 {
        return stop(scratch, StackEnd::NoTable);
    }
    scratch.walk.notes |= u64::from(note::FRAME_POINTER);
    if let Some(engine) = engine
        && javascript::memtrace_javascript_frame(scratch, engine) == javascript::COMPILED_FRAME
    {
        javascript::memtrace_javascript_code(scratch, engine);
    }
    let next = word(scratch, bp);
    let address = word(scratch, bp + 8);
    if scratch.walk.unreadable != 0 {
        return stop(scratch, StackEnd::NoTable);
    }
    scratch.walk.bp = next;
    arrive(scratch, address, bp + 16)
}

/// `syscall`, as a little-endian number (Intel SDM volume 2).
const SYSCALL: u16 = 0x050f;

/// The two bytes of code before an address, or 0.
#[inline(always)]
fn preceding(address: u64) -> u16 {
    // SAFETY: the helper checks the address and fails on memory that cannot be read.
    unsafe { bpf_probe_read_user(address.wrapping_sub(2) as *const u16) }.unwrap_or(0)
}

/// Goes on with the registers that a signal interrupted. The stack may be another one: it need not grow.
#[inline(always)]
fn from_signal(scratch: &mut Scratch) -> bool {
    let sp = scratch.walk.sp;
    let bp = word(scratch, sp.wrapping_add(SIGNAL_BP));
    let stack = word(scratch, sp.wrapping_add(SIGNAL_SP));
    let ip = word(scratch, sp.wrapping_add(SIGNAL_IP));
    scratch.walk.bp = bp;
    // Tables are sure about calls and system calls; `raise` is one.
    if preceding(ip) == SYSCALL {
        return arrive(scratch, ip, stack);
    }
    scratch.walk.notes |= u64::from(note::SIGNAL);
    // One is added because every other frame has an address after its instruction.
    arrive(scratch, ip.wrapping_add(1), stack)
}
