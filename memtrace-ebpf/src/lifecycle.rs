//! Processes that come, are forked, replace their program, and end.

use aya_ebpf::{
    bindings::{BPF_ANY, BPF_NOEXIST},
    helpers::{bpf_get_current_comm, bpf_get_current_task_btf},
    programs::TracePointContext,
};
use memtrace_common::{
    Counter,
    config::Join,
    event::{Fork, Kind, Program, flag},
    limits::COMMAND_BYTES,
    state::{Process, hooked},
};

use crate::{
    code, emit,
    filter::{self, Task},
    image,
    maps::{CONFIG, HOOKED, INCARNATION, PROCESSES, THREADS},
    stats, sweep,
    unwind::return_probe::kernel_word,
    young,
};

/// Where the record of `sched_process_exec` holds the number of the thread, now and before (`include/trace/events/sched.h`).
const NUMBER: usize = 12;
const OLD_NUMBER: usize = 16;

/// Where the record of `task_newtask` holds the new thread's number and how it was made (`include/trace/events/task.h`).
const NEW_NUMBER: usize = 8;
const CLONE_FLAGS: usize = 32;

// include/uapi/linux/sched.h
const CLONE_VM: u64 = 0x100;
const CLONE_THREAD: u64 = 0x1_0000;

/// How often a number is tried that another processor has taken meanwhile.
const TRIES: u32 = 8;

/// A number that no other living program has; 0 when there is none.
///
/// There is no atomic addition in Rust for this target, so two processors may count to the same number. Who is first to put it
/// into the map of changes has it.
///
/// A global function: the kernel verifies it once, by itself.
#[unsafe(no_mangle)]
pub extern "C" fn memtrace_next_incarnation() -> u32 {
    let Some(last) = INCARNATION.get_ptr_mut(0) else {
        return 0;
    };
    let mut tries = 0;
    while tries < TRIES {
        // SAFETY: the value lives as long as the map; volatile because others write to it.
        let number = unsafe { core::ptr::read_volatile(last) }.wrapping_add(1);
        // SAFETY: the same.
        unsafe { core::ptr::write_volatile(last, number) };
        if number != 0 && code::reserve(number) {
            return number;
        }
        tries += 1;
    }
    stats::count(Counter::ProcessesFull);
    0
}

/// Whether the hooks of a program are on.
#[inline(always)]
pub(crate) fn is_hooked(task: Task) -> bool {
    // SAFETY: a word is read whole.
    let known = unsafe { HOOKED.get(task.incarnation) };
    CONFIG.load().everywhere != 0 || known.is_some_and(|known| *known & hooked::YES != 0)
}

/// A program that comes from another has its hooks, when they are everywhere.
#[inline(always)]
fn pass_hooks_on(from: u32, to: u32) {
    // SAFETY: as above.
    if let Some(&known) = unsafe { HOOKED.get(from) }
        && known & hooked::EVERYWHERE != 0
    {
        // Without room, the program's hooks come late.
        let _full = HOOKED.insert(to, known, u64::from(BPF_ANY));
    }
}

/// Puts a process into the map.
#[inline(always)]
fn add(pid: u32, process: Process, flags: u32) -> bool {
    let added = PROCESSES.insert(pid, process, u64::from(flags)).is_ok();
    if !added {
        stats::count(Counter::ProcessesFull);
    }
    added
}

/// The process with its own memory, new.
#[inline(always)]
const fn own(pid: u32, incarnation: u32) -> Process {
    Process {
        incarnation,
        space: incarnation,
        pid,
        program: incarnation,
    }
}

/// The current process joins: its first call was seen.
#[inline(always)]
pub(crate) fn join(key: u64) -> Option<Task> {
    if memtrace_join(key) == 0 {
        return None;
    }
    let process = filter::process((key >> 32) as u32)?;
    Some(Task::of(key, &process))
}

/// Puts the current process into the map; 0 when it is not to be traced. A global function, as above.
#[unsafe(no_mangle)]
pub extern "C" fn memtrace_join(key: u64) -> u32 {
    let pid = (key >> 32) as u32;
    let incarnation = memtrace_next_incarnation();
    if incarnation == 0 {
        return 0;
    }
    let process = own(pid, incarnation);
    // Another of its threads may have been faster.
    if PROCESSES.insert(pid, process, u64::from(BPF_NOEXIST)).is_err() {
        let Some(process) = filter::process(pid) else {
            stats::count(Counter::ProcessesFull);
            return 0;
        };
        return process.incarnation;
    }
    begin(Kind::Join, 0, Task::of(key, &process));
    incarnation
}

/// Sends that a program begins, or is seen for the first time.
#[inline(always)]
fn begin(kind: Kind, flags: u16, task: Task) {
    let record = Program {
        header: emit::header(kind, None, flags, task),
        command: command(),
    };
    if !emit::urgent(record) {
        stats::count(Counter::LostOther);
    }
}

/// The current thread's name.
#[inline(always)]
fn command() -> [u8; COMMAND_BYTES] {
    bpf_get_current_comm().unwrap_or([0; COMMAND_BYTES])
}

/// A thread or a process was made by the current one.
#[inline(always)]
pub(crate) fn new_task(ctx: &TracePointContext) -> u32 {
    let config = CONFIG.load();
    // In another namespace than the first, the record has not the number that the child is known by.
    if config.follow == 0 || config.pid_namespace.inode != 0 {
        return 0;
    }
    // SAFETY: the record holds the flags there.
    let flags = unsafe { ctx.read_at::<u64>(CLONE_FLAGS) }.unwrap_or(CLONE_THREAD);
    if flags & CLONE_THREAD != 0 {
        return 0;
    }
    // SAFETY: the record holds the number there.
    let Ok(child) = (unsafe { ctx.read_at::<u32>(NEW_NUMBER) }) else {
        return 0;
    };
    let Some(key) = filter::key() else { return 0 };
    let Some(parent) = filter::process((key >> 32) as u32) else {
        return 0;
    };
    if parent.incarnation == 0 || flags & CLONE_VM != 0 {
        // What is never traced has children that never are; and after `vfork` the parent's memory is the child's.
        add(child, parent, BPF_ANY);
        return 0;
    }
    let incarnation = memtrace_next_incarnation();
    let process = Process {
        space: parent.space,
        program: parent.program,
        ..own(child, incarnation)
    };
    if incarnation == 0 || !add(child, process, BPF_ANY) {
        return 0;
    }
    pass_hooks_on(parent.incarnation, incarnation);
    // What the child has a copy of.
    if !sweep::before(parent.incarnation, false) {
        stats::count(Counter::LostOther);
    }
    let record = Fork {
        header: emit::header(Kind::Fork, None, 0, Task::of(key, &parent)),
        child,
        child_incarnation: incarnation,
    };
    if !emit::urgent(record) {
        stats::count(Counter::LostOther);
    }
    0
}

/// A traced process has a new program, new memory and one thread: nothing of the old is in flight any more.
#[inline(always)]
pub(crate) fn exec(ctx: &TracePointContext) -> u32 {
    let Some(key) = filter::key() else { return 0 };
    let pid = (key >> 32) as u32;
    let known = filter::process(pid);
    if known.is_some_and(|process| process.incarnation == 0) || (known.is_none() && !joins()) {
        return 0;
    }
    let incarnation = memtrace_next_incarnation();
    let process = own(pid, incarnation);
    if incarnation == 0 || !add(pid, process, BPF_ANY) {
        return 0;
    }
    forget_thread(key);
    // SAFETY: the record holds a number there.
    let number = unsafe { ctx.read_at::<u32>(NUMBER) }.unwrap_or(0);
    // SAFETY: the same.
    let old_number = unsafe { ctx.read_at::<u32>(OLD_NUMBER) }.unwrap_or(0);
    let mut flags = 0;
    if number != old_number {
        flags = flag::OTHER_THREAD;
        // In the first namespace, the thread was known by this.
        forget_thread(u64::from(pid) << 32 | u64::from(old_number));
    }
    if known.is_none() {
        flags |= flag::JOINED;
    }
    if let Some(known) = known {
        pass_hooks_on(known.incarnation, incarnation);
        // After `vfork` the memory is the parent's, which goes on.
        if known.pid == pid && !sweep::before(known.incarnation, true) {
            stats::count(Counter::LostOther);
        }
    }
    let task = Task::of(key, &process);
    begin(Kind::Exec, flags, task);
    image::executable(task);
    0
}

/// Whether the program that has just begun is one to be traced.
#[inline(always)]
fn joins() -> bool {
    let config = CONFIG.load();
    config.join == Join::All as u32 || (config.join == Join::Command as u32 && command() == config.command)
}

/// A thread is no more; nor is what a call of it held.
#[inline(always)]
fn forget_thread(key: u64) {
    if let Some(thread) = THREADS.get_ptr_mut(key) {
        // SAFETY: the entry is of a thread that runs no other program now, and is removed below.
        let thread = unsafe { &mut *thread };
        if thread.call.sp != 0 {
            young::give_up(thread);
        }
    }
    let _unknown = THREADS.remove(key);
}

/// A thread that dies inside the allocator leaves nothing behind, nor does a process.
#[inline(always)]
pub(crate) fn thread_exit() -> u32 {
    let Some(key) = filter::key() else { return 0 };
    forget_thread(key);
    let pid = (key >> 32) as u32;
    let Some(process) = filter::process(pid) else { return 0 };
    let flags = if is_last_thread(key) {
        let _gone = PROCESSES.remove(pid);
        0
    } else if pid == key as u32 {
        flag::MAIN_THREAD
    } else {
        return 0;
    };
    // After `vfork` the memory is the parent's.
    if process.incarnation == 0 || process.pid != pid {
        return 0;
    }
    // Without all that it had, its end is not told: the collector finds it out, and asks for the rest before.
    let told = (flags != 0 || sweep::before(process.incarnation, true))
        && emit::urgent(emit::header(Kind::Exit, None, flags, Task::of(key, &process)));
    if !told {
        stats::count(Counter::LostOther);
    }
    0
}

/// Whether the current thread, which ends, is the last of its process.
#[inline(always)]
fn is_last_thread(key: u64) -> bool {
    let threads = CONFIG.load().threads;
    if threads.known == 0 {
        return (key >> 32) as u32 == key as u32;
    }
    // SAFETY: the helper has no preconditions.
    let task = unsafe { bpf_get_current_task_btf() } as u64;
    // Counted down before the tracepoint (`do_exit`, kernel/exit.c). An `int`: the rest of the word is another field.
    kernel_word(kernel_word(task, threads.task_signal), threads.signal_live) as u32 == 0
}
