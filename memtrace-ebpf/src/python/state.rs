//! The thread state of the current thread.
//!
//! Who holds the GIL is known up to 3.11, and is mostly who asks. For everybody else, and in later versions, the interpreter keeps each
//! thread's state under a key of the C library, whether or not it holds the GIL. Either way it must say that it is of this thread.

use aya_ebpf::helpers::bpf_get_current_task_btf;
use memtrace_common::{
    Counter,
    python::{DIRECT, KeyLayout, Layout},
};

use super::{read, word};
use crate::{
    maps::{CONFIG, Scratch},
    stats,
    unwind::return_probe::kernel_word,
};

/// Finds the innermost frame of the current thread; 0 when it runs no Python. A global function: the kernel verifies it once.
#[unsafe(no_mangle)]
pub extern "C" fn memtrace_python_thread(scratch: *mut Scratch, layout: *const Layout) -> u32 {
    // SAFETY: null or valid, which the verifier checks at each call; this processor's scratch.
    let scratch = unsafe { scratch.as_mut() };
    // SAFETY: null or valid, likewise.
    let layout = unsafe { layout.as_ref() };
    let (Some(scratch), Some(layout)) = (scratch, layout) else {
        return 0;
    };
    scratch.python.frame = top(scratch, layout).unwrap_or(0);
    if scratch.python.frame == 0 {
        stats::count(Counter::PythonNoState);
    }
    u32::from(scratch.python.frame != 0)
}

#[inline(always)]
fn top(scratch: &mut Scratch, layout: &Layout) -> Option<u64> {
    let thread = thread_pointer()?;
    let mut top = None;
    if layout.current != 0 {
        top = of_state(scratch, layout, word(layout.current)?, thread);
    }
    if top.is_none() {
        top = of_state(scratch, layout, under_key(layout.key, &layout.keys, thread)?, thread);
    }
    let top = top?;
    if layout.state.via == DIRECT || top == 0 {
        Some(top)
    } else {
        word(top.wrapping_add(u64::from(layout.state.via)))
    }
}

/// The thread pointer of the current task, which is what `pthread_self` returns.
#[inline(always)]
fn thread_pointer() -> Option<u64> {
    let field = CONFIG.load().thread_pointer;
    if field.known == 0 {
        return None;
    }
    // SAFETY: the helper has no preconditions.
    let task = unsafe { bpf_get_current_task_btf() } as u64;
    Some(kernel_word(task, field.task_base)).filter(|&base| base != 0)
}

/// What a thread state has as its innermost frame, if it is that of the thread.
#[inline(always)]
fn of_state(scratch: &mut Scratch, layout: &Layout, state: u64, thread: u64) -> Option<u64> {
    if state == 0 || !read(&mut scratch.python.state_words, layout.state.bytes, state) {
        return None;
    }
    let (thread_id, top) = layout.state.read(&scratch.python.state_words);
    (thread_id == thread).then_some(top)
}

/// What the thread has under the interpreter's key; 0 when it has nothing, or there is no such key yet.
#[inline(always)]
fn under_key(key: u64, keys: &KeyLayout, thread: u64) -> Option<u64> {
    let place = keys.place(word(key)?)?;
    let block = word(thread.wrapping_add(place.block))?;
    if block == 0 {
        return None;
    }
    word(block.wrapping_add(place.value))
}
