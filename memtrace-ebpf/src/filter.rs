//! Who is traced.

use aya_ebpf::{
    bindings::bpf_pidns_info,
    helpers::{bpf_get_current_pid_tgid, generated::bpf_get_ns_current_pid_tgid},
};
use memtrace_common::{
    config::Join,
    state::{Mode, Process},
};

use crate::{
    lifecycle,
    maps::{CONFIG, MODE, PROCESSES},
};

/// The current task, when its process is traced.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Task {
    /// See [`key`].
    pub(crate) key: u64,
    /// The process whose memory it has.
    pub(crate) pid: u32,
    /// Incarnation of that process.
    pub(crate) incarnation: u32,
    /// Where its space is found.
    pub(crate) space: u32,
    /// Where its interpreter is found.
    pub(crate) program: u32,
}

impl Task {
    /// The current task, of a process that is traced.
    #[inline(always)]
    pub(crate) const fn of(key: u64, process: &Process) -> Self {
        Self {
            key,
            pid: process.pid,
            incarnation: process.incarnation,
            space: process.space,
            program: process.program,
        }
    }

    /// The thread id.
    #[inline(always)]
    pub(crate) const fn tid(self) -> u32 {
        self.key as u32
    }
}

/// The current task's pid in the high, its tid in the low half, as memtrace sees them; `None` for a task in another PID
/// namespace than the target, when memtrace is not in the first one, where all tasks have a number.
#[inline(always)]
pub(crate) fn key() -> Option<u64> {
    let namespace = CONFIG.load().pid_namespace;
    if namespace.inode == 0 {
        return Some(bpf_get_current_pid_tgid());
    }
    let mut numbers = bpf_pidns_info { pid: 0, tgid: 0 };
    // SAFETY: the helper writes as many bytes as it is told, which are those of `numbers`.
    let failed = unsafe {
        bpf_get_ns_current_pid_tgid(
            namespace.device,
            namespace.inode,
            &raw mut numbers,
            size_of::<bpf_pidns_info>() as u32,
        )
    };
    (failed == 0).then_some(u64::from(numbers.tgid) << 32 | u64::from(numbers.pid))
}

/// What is known of a process.
#[inline(always)]
pub(crate) fn process(pid: u32) -> Option<Process> {
    // SAFETY: the map is preallocated and its values are only replaced whole; a stale value is an older one of this same
    // process.
    unsafe { PROCESSES.get(pid) }.copied()
}

/// What is to be done.
#[inline(always)]
pub(crate) fn mode() -> &'static Mode {
    const NOTHING: Mode = Mode { over: 1, ..Mode::ALL };
    // The map has a first value.
    MODE.get(0).unwrap_or(&NOTHING)
}

/// The current task, or `None` when its process is not traced.
#[inline(always)]
pub(crate) fn current() -> Option<Task> {
    if mode().over != 0 {
        return None;
    }
    let key = key()?;
    match process((key >> 32) as u32) {
        Some(process) if process.incarnation != 0 => Some(Task::of(key, &process)),
        None if CONFIG.load().join == Join::All as u32 => lifecycle::join(key),
        _ => None,
    }
}
