//! What is in flight on the current thread.
//!
//! Only the outermost allocator call of a thread counts, so only that one is kept. A call nested in it runs on the
//! same stack further down: its stack pointer is lower. The stack pointer is equal in one case, a tail call from one
//! hook into another (`reallocarray` into `realloc`): then the hooks differ. In any other case the call on record
//! never returned (the thread jumped out of it) and is given up. It is given up, too, when its return address is no
//! longer the one that the kernel's return probe has put there: the stack was used for something else since. A call of another
//! window is over as well: its return may not have been looked at.

use aya_ebpf::{bindings::BPF_NOEXIST, helpers::bpf_probe_read_user};
use memtrace_common::{
    Counter, Op,
    check::Check,
    state::{AT_SITE, Call, Freeing, Given, Registers, Syscall, Thread},
    young::Block,
};

use crate::{
    filter::{self, Task},
    maps::THREADS,
    stats,
    unwind::return_probe,
    young,
};

const EMPTY: Thread = Thread {
    call: Call {
        sp: 0,
        size: 0,
        old: 0,
        out: 0,
        stack: 0,
        cookie: 0,
        flags: 0,
        return_address: 0,
        weight: 0,
        window: 0,
    },
    syscall: Syscall {
        address: 0,
        size: 0,
        op: 0,
        event_flags: 0,
        new_size: 0,
    },
    freeing: Freeing {
        address: 0,
        sp: 0,
        cookie: 0,
        left: 0,
    },
    wrapper: Registers { ip: 0, sp: 0, bp: 0 },
    trampoline: 0,
    old: Block::NONE,
    check: Check::begin(0, 0, 0),
    given: Given { address: 0, calls: 0 },
};

/// The state of a thread that was seen before.
#[inline(always)]
pub(crate) fn known(task: Task) -> Option<&'static mut Thread> {
    let thread = THREADS.get_ptr_mut(task.key)?;
    // SAFETY: the entry's key is the current thread, only that thread's programs write to it, and they do not nest;
    // it is removed only when this thread ends.
    Some(unsafe { &mut *thread })
}

/// The state of a thread, made when it is new.
#[inline(always)]
pub(crate) fn thread(task: Task) -> Result<&'static mut Thread, Counter> {
    if let Some(thread) = known(task) {
        return Ok(thread);
    }
    THREADS
        .insert(task.key, EMPTY, u64::from(BPF_NOEXIST))
        .map_err(|_full| Counter::ThreadsFull)?;
    known(task).ok_or(Counter::ThreadsFull)
}

/// The page that probed functions of the thread's process return to (avma), 0 when there is none yet.
#[inline(always)]
pub(crate) fn trampoline(thread: &mut Thread) -> u64 {
    if thread.trampoline == 0 {
        thread.trampoline = return_probe::trampoline();
    }
    thread.trampoline
}

/// Whether the return address on the stack at `sp` is the one that the call on record goes back to: that of the kernel's
/// return probe, or, where returns are seen on instructions, the one that was there at the entry. What cannot be read is
/// taken for it.
#[inline(always)]
fn returns_as_recorded(thread: &mut Thread, sp: u64) -> bool {
    if thread.call.flags & AT_SITE != 0 {
        return true;
    }
    // SAFETY: the helper checks the address and fails on memory that cannot be read.
    let Ok(address) = (unsafe { bpf_probe_read_user(sp as *const u64) }) else {
        return true;
    };
    address == thread.call.return_address || return_probe::replaced(address, trampoline(thread))
}

/// Whether a free may be only passed on: the thread has given the same block to another hook further up the stack, or has
/// jumped here from it, and this may be the other's own work. Notes the free otherwise. It may also be another block at the same
/// address: only the collector, which knows whether the block is live, can tell.
#[inline(always)]
pub(crate) fn passed_on(thread: &mut Thread, address: u64, sp: u64, cookie: u64) -> bool {
    let outer = thread.freeing;
    if outer.address == address && sp <= outer.sp && cookie != outer.cookie {
        return true;
    }
    thread.freeing = Freeing {
        address,
        sp,
        cookie,
        left: 0,
    };
    false
}

/// Whether a call by code in line may have been left to a function: a `realloc` of nothing, which is the same as `malloc`, and may jump there.
#[inline(always)]
const fn is_passed_on(call: &Call) -> bool {
    call.flags & AT_SITE != 0 && call.old == 0 && call.cookie & 0xff == Op::Realloc as u64
}

/// Whether a call that starts with stack pointer `sp` is part of the allocator call on record.
#[inline(always)]
pub(crate) fn nested(thread: &mut Thread, sp: u64, cookie: u64) -> bool {
    thread.given.calls += 1;
    let (outer, outer_cookie) = (thread.call.sp, thread.call.cookie);
    if outer == 0 {
        return false;
    }
    let same_window = filter::mode().is_current(thread.call.window);
    if same_window && (sp < outer || (sp == outer && cookie != outer_cookie)) && returns_as_recorded(thread, outer) {
        return true;
    }
    thread.call.sp = 0;
    young::give_up(thread);
    if same_window && !is_passed_on(&thread.call) {
        stats::count(Counter::Abandoned);
    }
    false
}
