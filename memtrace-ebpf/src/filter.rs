//! Who is traced.

use aya_ebpf::helpers::bpf_get_current_pid_tgid;

use crate::maps::PROCESSES;

/// The current task, when its process is traced.
#[derive(Clone, Copy)]
pub(crate) struct Task {
    /// Pid in the high, tid in the low half, as the kernel gives it.
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

/// The current task, or `None` when its process is not traced: also a `vfork`ed child, which shares the target's
/// memory and breakpoints until it executes another program.
#[inline(always)]
pub(crate) fn current() -> Option<Task> {
    let key = bpf_get_current_pid_tgid();
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
