//! Processes that replace their program, threads that end.

use aya_ebpf::{bindings::BPF_EXIST, programs::TracePointContext};
use memtrace_common::{
    Counter,
    event::{Kind, flag},
    state::Process,
};

use crate::{
    emit,
    filter::{self, Task},
    maps::{PROCESSES, THREADS},
    stats,
};

/// Where the record of `sched_process_exec` holds the number of the thread, now and before (`include/trace/events/sched.h`).
const NUMBER: usize = 12;
const OLD_NUMBER: usize = 16;

/// A traced process has a new program, new memory and one thread: nothing of the old is in flight any more.
#[inline(always)]
pub(crate) fn exec(ctx: &TracePointContext) -> u32 {
    let Some(task) = filter::current() else { return 0 };
    let incarnation = task.incarnation.wrapping_add(1);
    let process = Process {
        incarnation,
        slot: task.slot,
    };
    if PROCESSES.insert(task.pid(), process, u64::from(BPF_EXIST)).is_err() {
        return 0;
    }
    let _unknown = THREADS.remove(task.key);
    // SAFETY: the record holds a number there.
    let number = unsafe { ctx.read_at::<u32>(NUMBER) };
    // SAFETY: the same.
    let flags = if number == unsafe { ctx.read_at::<u32>(OLD_NUMBER) } {
        0
    } else {
        flag::OTHER_THREAD
    };
    if !emit::urgent(emit::header(Kind::Exec, None, flags, Task { incarnation, ..task })) {
        stats::count(Counter::LostOther);
    }
    0
}

/// A thread that dies inside the allocator leaves nothing behind.
#[inline(always)]
pub(crate) fn thread_exit() -> u32 {
    if let Some(key) = filter::key() {
        let _unknown = THREADS.remove(key);
    }
    0
}
