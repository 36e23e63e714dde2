//! The frames of JavaScript that a walk passes through, where the program has an engine.

mod code;
mod define;
mod frame;
mod loops;
mod text;

use core::ffi::c_void;

use aya_ebpf::helpers::{bpf_probe_read_user, generated};
use memtrace_common::javascript::{EngineLayout, read::Memory};

pub(crate) use self::{
    code::memtrace_javascript_code,
    frame::{COMPILED_FRAME, memtrace_javascript_frame},
    text::PARTS,
};
use crate::{
    filter::Task,
    maps::{ENGINE_COUNT, ENGINES, JAVASCRIPT, JavaScriptWalk},
};

/// The engine of the current program, if it has one.
#[inline(always)]
pub(crate) fn begin(task: Task) -> Option<&'static EngineLayout> {
    if ENGINE_COUNT.get(0).is_none_or(|&count| count == 0) {
        return None;
    }
    // SAFETY: the value's memory stays that of some layout; what is read by one of another engine is checked as anything else.
    let layout = unsafe { ENGINES.get(task.program) }?;
    let walk = memory()?;
    walk.pid = task.pid;
    if walk.incarnation != task.incarnation {
        walk.incarnation = task.incarnation;
        walk.interpreter = 0;
    }
    walk.table = 0;
    Some(layout)
}

/// Whether stacks of the current program have frames of JavaScript by now.
#[inline(always)]
pub(crate) fn is_known(task: Task) -> bool {
    // SAFETY: as above; nothing of the value is read.
    unsafe { ENGINES.get(task.program) }.is_some()
}

/// This processor's memory.
#[inline(always)]
fn memory() -> Option<&'static mut JavaScriptWalk> {
    let walk = JAVASCRIPT.get_ptr_mut(0)?;
    // SAFETY: as for the scratch memory: who may have taken it over meanwhile has taken over the scratch too, which is looked at before
    // anything is believed.
    Some(unsafe { &mut *walk })
}

/// The memory of the current program.
struct User;

impl Memory for User {
    #[inline(always)]
    fn word(&self, address: u64) -> Option<u64> {
        // SAFETY: the helper checks the address and fails on memory that cannot be read.
        unsafe { bpf_probe_read_user(address as *const u64) }.ok()
    }

    #[inline(always)]
    fn words<const N: usize>(&self, words: &mut [u64; N], bytes: u32, address: u64) -> bool {
        let size = opaque(bytes) & (8 * N as u32 - 1);
        // SAFETY: the mask keeps the size below that of `words`, and the helper fails on memory that cannot be read.
        let failed =
            unsafe { generated::bpf_probe_read_user(words.as_mut_ptr().cast(), size, address as *const c_void) };
        failed == 0
    }
}

/// A value of which the compiler forgets what it knows: else it drops a mask that the verifier needs.
#[inline(always)]
fn opaque(value: u32) -> u32 {
    // SAFETY: a reference is valid.
    unsafe { core::ptr::read_volatile(&raw const value) }
}
