//! Who is traced.

use aya_ebpf::{
    bindings::bpf_pidns_info,
    helpers::{bpf_get_current_pid_tgid, generated::bpf_get_ns_current_pid_tgid},
};

use crate::maps::{CONFIG, PROCESSES};

/// The current task, when its process is traced.
#[derive(Clone, Copy)]
pub(crate) struct Task {
    /// See [`key`].
    pub(crate) key: u64,
    /// Incarnation of the process.
    pub(crate) incarnation: u32,
    /// Which space is the process's.
    pub(crate) slot: u32,
}

impl Task {
    /// The process id (tgid).
    #[inline(always)]
    pub(crate) const fn pid(self) -> u32 {
        (self.key >> 32) as u32
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

/// The current task, or `None` when its process is not traced: also a `vfork`ed child, which shares the target's
/// memory and breakpoints until it executes another program.
#[inline(always)]
pub(crate) fn current() -> Option<Task> {
    let key = key()?;
    let pid = (key >> 32) as u32;
    // SAFETY: the map is preallocated and its values are only replaced whole by the loader and by `exec` of the
    // process itself; a stale value is an older incarnation of this same process.
    let process = unsafe { PROCESSES.get(pid) }?;
    Some(Task {
        key,
        incarnation: process.incarnation,
        slot: process.slot,
    })
}
