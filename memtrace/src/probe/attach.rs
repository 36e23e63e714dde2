//! Attaches programs to a target and takes them off again.

use std::{num::NonZeroU32, path::PathBuf, thread};

use aya::programs::{
    TracePoint, UProbe,
    trace_point::TracePointLink,
    uprobe::{UProbeAttachLocation, UProbeAttachPoint, UProbeLink, UProbeScope},
};
use memtrace_common::Cookie;

use super::{ProbeError, Probes, tracefs};

/// What a function does, which decides the programs it gets.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Role {
    /// Only frees: entry.
    Free,
    /// The C library's wrapper of a mapping system call: entry.
    Wrapper,
    /// Allocates, and may free: entry and return.
    Allocate,
}

/// One function to attach to.
#[derive(Clone, Debug)]
pub struct Point {
    /// Name for messages.
    pub name: String,
    /// A path through which the kernel finds the very file that the target has mapped.
    pub file: PathBuf,
    /// Offset of the function in that file.
    pub offset: u64,
    /// What the function does.
    pub role: Role,
    /// What its probes are told.
    pub cookie: u64,
}

impl Point {
    /// The cookie of an allocator's function.
    pub const fn cookie(cookie: Cookie) -> u64 {
        cookie.pack()
    }
}

/// The mapping system calls; one program at the entry of all, one at the exit.
const SYSCALLS: [&str; 4] = ["mmap", "munmap", "mremap", "brk"];

/// What keeps programs attached. Dropping a link detaches it.
#[derive(Default)]
pub(super) struct Links {
    uprobes: Vec<UProbeLink>,
    tracepoints: Vec<TracePointLink>,
}

impl Links {
    /// Each link waits in the kernel for all processors to leave the program, so they are closed side by side: that wait is
    /// then shared.
    fn close(self) {
        thread::scope(|scope| {
            for link in self.uprobes {
                scope.spawn(move || drop(link));
            }
            for link in self.tracepoints {
                scope.spawn(move || drop(link));
            }
        });
    }
}

impl Probes {
    /// Attaches to a function of process `pid`, in all its threads.
    ///
    /// The return is attached before the entry: a return without entry is only counted, an entry without return
    /// would look like a call that never ends.
    ///
    /// # Errors
    /// When the kernel refuses, or the process is gone.
    pub fn attach(&mut self, pid: u32, point: &Point) -> Result<(), ProbeError> {
        let programs: &[&str] = match point.role {
            Role::Free => &["free_enter"],
            Role::Wrapper => &["wrapper_enter"],
            Role::Allocate => &["alloc_exit", "alloc_enter"],
        };
        for name in programs {
            self.attach_uprobe(name, pid, point)?;
        }
        Ok(())
    }

    fn attach_uprobe(&mut self, program: &str, pid: u32, point: &Point) -> Result<(), ProbeError> {
        let pid = NonZeroU32::new(pid).ok_or_else(|| ProbeError::Object {
            what: "use for process 0".into(),
        })?;
        let probe: &mut UProbe = self
            .ebpf
            .program_mut(program)
            .and_then(|program| program.try_into().ok())
            .ok_or_else(|| ProbeError::Object {
                what: format!("uprobe {program}"),
            })?;
        let at = UProbeAttachPoint {
            location: UProbeAttachLocation::AbsoluteOffset(point.offset),
            cookie: Some(point.cookie),
        };
        let doing = || {
            format!(
                "attach to {} ({}+{:#x})",
                point.name,
                point.file.display(),
                point.offset
            )
        };
        let link = probe
            .attach(at, &point.file, UProbeScope::OneProcess(pid))
            .and_then(|id| probe.take_link(id))
            .map_err(|source| ProbeError::new(doing(), source))?;
        self.links.uprobes.push(link);
        Ok(())
    }

    /// Attaches the tracepoints: mapping system calls, `exec`, end of a thread. They fire for the whole machine and
    /// return at once for processes that are not traced. `new_code` adds those that tell of memory that becomes executable.
    ///
    /// # Errors
    /// When tracefs cannot be had or the kernel refuses.
    pub fn attach_tracepoints(&mut self, new_code: bool) -> Result<(), ProbeError> {
        let mut wanted = vec![
            ("process_exec", "sched", "sched_process_exec".to_owned()),
            ("thread_exit", "sched", "sched_process_exit".to_owned()),
        ];
        for call in SYSCALLS {
            wanted.push(("mapping_exit", "syscalls", format!("sys_exit_{call}")));
            wanted.push(("mapping_enter", "syscalls", format!("sys_enter_{call}")));
        }
        if new_code {
            for call in ["mprotect", "pkey_mprotect"] {
                wanted.push(("protect_exit", "syscalls", format!("sys_exit_{call}")));
            }
        }
        tracefs::with(|| {
            for (program, category, name) in &wanted {
                let probe: &mut TracePoint = self
                    .ebpf
                    .program_mut(program)
                    .and_then(|program| program.try_into().ok())
                    .ok_or_else(|| ProbeError::Object {
                        what: format!("tracepoint program {program}"),
                    })?;
                let link = probe
                    .attach(category, name)
                    .and_then(|id| probe.take_link(id))
                    .map_err(|source| ProbeError::new(format!("attach to tracepoint {category}:{name}"), source))?;
                self.links.tracepoints.push(link);
            }
            Ok(())
        })
    }

    /// How many programs are attached.
    pub fn attached(&self) -> usize {
        self.links.uprobes.len() + self.links.tracepoints.len()
    }

    /// Gives up the probes on functions: the thread that they were attached through is gone, and with it what they did. Aside,
    /// because each waits in the kernel.
    pub fn abandon_functions(&mut self) {
        let abandoned = Links {
            uprobes: std::mem::take(&mut self.links.uprobes),
            tracepoints: Vec::new(),
        };
        // Where no thread can be had they are dropped with the closure.
        if let Err(error) = thread::Builder::new().spawn(move || abandoned.close()) {
            log::debug!("probes were taken off without help: {error}");
        }
    }

    /// Takes everything off.
    pub fn detach(&mut self) {
        std::mem::take(&mut self.links).close();
    }
}
