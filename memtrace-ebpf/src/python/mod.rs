//! The Python frames of the current thread, where its program has an interpreter.

mod define;
mod frame;
mod state;

use core::ffi::c_void;

use aya_ebpf::helpers::{
    bpf_probe_read_user,
    generated::{bpf_for_each_map_elem, bpf_loop},
};
use memtrace_common::{Counter, python::Layout};

use crate::{
    filter::Task,
    maps::{CONFIG, PYTHON_COUNT, PYTHONS, Scratch, TURNS, TURNS_COUNT},
    stats,
};

/// What a turn is told. On the program's stack, so it holds nothing but pointers.
#[repr(C)]
struct Context {
    scratch: *mut Scratch,
    layout: *const Layout,
}

/// Adds the Python frames of the current thread to the stack.
#[inline(always)]
pub(crate) fn walk(scratch: &mut Scratch, task: Task) {
    scratch.python.count = 0;
    scratch.python.lost = 0;
    if PYTHON_COUNT.get(0).is_none_or(|&count| count == 0) {
        return;
    }
    // SAFETY: the value's memory stays that of some layout; one of another program finds no thread state that is this thread's.
    let Some(layout) = (unsafe { PYTHONS.get(task.program) }) else {
        return;
    };
    scratch.python.pid = task.pid;
    scratch.python.incarnation = task.incarnation;
    if state::memtrace_python_thread(scratch, layout) == 0 {
        return;
    }
    let mut context = Context {
        scratch,
        layout: core::ptr::from_ref(layout),
    };
    let context = (&raw mut context).cast::<c_void>();
    // As in `unwind::loops`.
    if CONFIG.load().has_loop != 0 {
        // SAFETY: the callback has the signature that the helper calls it with, and the context outlives the call.
        let _turns = unsafe { bpf_loop(TURNS_COUNT + 1, loop_turn as *mut c_void, context, 0) };
    } else {
        // SAFETY: as above.
        let _turns = unsafe {
            bpf_for_each_map_elem(
                (&raw const TURNS).cast_mut().cast(),
                element_turn as *mut c_void,
                context,
                0,
            )
        };
    }
    stats::count(Counter::PythonStacks);
}

extern "C" fn loop_turn(_index: u32, context: *mut Context) -> i64 {
    turn(context)
}

extern "C" fn element_turn(_map: *mut c_void, _key: *mut u32, _value: *mut u32, context: *mut Context) -> i64 {
    turn(context)
}

/// Four frames; 1 ends the loop.
#[inline(always)]
fn turn(context: *mut Context) -> i64 {
    // SAFETY: the context is the one that `walk` made, alive during the loop.
    let context = unsafe { &*context };
    let mut step = 0;
    while step < 4 {
        if frame::memtrace_python_frame(context.scratch, context.layout) == 0 {
            return 1;
        }
        step += 1;
    }
    0
}

/// A word of the target's memory.
#[inline(always)]
fn word(address: u64) -> Option<u64> {
    // SAFETY: the helper checks the address and fails on memory that cannot be read.
    unsafe { bpf_probe_read_user(address as *const u64) }.ok()
}

/// Reads so many bytes, fewer than the words have, from the target's memory; `false` when they cannot be read.
#[inline(always)]
fn read<const N: usize>(words: &mut [u64; N], bytes: u32, address: u64) -> bool {
    let size = opaque(bytes) & (8 * N as u32 - 1);
    // SAFETY: the mask keeps the size below that of `words`, and the helper fails on memory that cannot be read.
    let failed = unsafe {
        aya_ebpf::helpers::generated::bpf_probe_read_user(words.as_mut_ptr().cast(), size, address as *const c_void)
    };
    failed == 0
}

/// A value of which the compiler forgets what it knows: else it drops a mask that the verifier needs.
#[inline(always)]
fn opaque(value: u32) -> u32 {
    // SAFETY: a reference is valid.
    unsafe { core::ptr::read_volatile(&raw const value) }
}
