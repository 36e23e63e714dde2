//! Attaches programs to a target and takes them off again.

use std::{num::NonZeroU32, os::fd::AsFd as _, path::PathBuf, thread};

use super::{
    ProbeError, Probes,
    counted::{self, Counted},
    tracefs,
};
use aya::programs::{
    TracePoint, UProbe,
    trace_point::TracePointLink,
    uprobe::{UProbeAttachLocation, UProbeAttachPoint, UProbeLink, UProbeScope},
};

/// Threads that close links at most.
const CLOSERS: usize = 64;

/// What a function does, which decides the programs it gets.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Role {
    /// Only frees: entry.
    Free,
    /// The C library's wrapper of a mapping system call: entry.
    Wrapper,
    /// Allocates, and may free: entry and return.
    Allocate,
    /// The same, whose returns are seen by probes on instructions: entry.
    AllocateOnly,
    /// An instruction by which such a function returns.
    Leave,
    /// A static probe that tells of an allocation.
    StaticAlloc,
    /// A static probe that tells of a free.
    StaticFree,
}

/// One place to attach to.
#[derive(Clone, Debug)]
pub struct Point {
    /// Name for messages.
    pub name: String,
    /// A path through which the kernel finds the very file that the target has mapped.
    pub file: PathBuf,
    /// Offset in that file.
    pub offset: u64,
    /// What is there.
    pub role: Role,
    /// What its probes are told.
    pub cookie: u64,
    /// Offset in the file of the counter by which a static probe is switched on; 0 for none.
    pub semaphore: u64,
}

impl Point {
    /// For messages.
    fn attaching(&self) -> String {
        format!("attach to {} ({}+{:#x})", self.name, self.file.display(), self.offset)
    }
}

/// Where probes fire.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Scope {
    /// In the process of this thread, as long as the thread lives.
    Process(u32),
    /// In every process that has the file mapped, or will have.
    Machine,
}

/// The mapping system calls; one program at the entry of all, one at the exit.
const SYSCALLS: [&str; 4] = ["mmap", "munmap", "mremap", "brk"];

/// What keeps programs attached. Dropping it detaches them, one after the other.
#[derive(Default)]
pub struct Links {
    uprobes: Vec<UProbeLink>,
    tracepoints: Vec<TracePointLink>,
    counted: Vec<Counted>,
}

impl Links {
    /// How many programs are attached.
    pub const fn len(&self) -> usize {
        self.uprobes.len() + self.tracepoints.len() + self.counted.len()
    }

    /// Whether nothing is attached.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Keeps others' links too.
    pub fn append(&mut self, mut others: Self) {
        self.uprobes.append(&mut others.uprobes);
        self.tracepoints.append(&mut others.tracepoints);
        self.counted.append(&mut others.counted);
    }

    /// Each link waits in the kernel for all processors to leave the program, so they are closed side by side: that wait is
    /// then shared.
    pub fn close(self) {
        drop(self.counted);
        let each = |count: usize| count.div_ceil(CLOSERS).max(1);
        let (uprobes, tracepoints) = (each(self.uprobes.len()), each(self.tracepoints.len()));
        let (mut uprobe_links, mut tracepoint_links) = (self.uprobes, self.tracepoints);
        thread::scope(|scope| {
            while !uprobe_links.is_empty() {
                let some = uprobe_links.split_off(uprobe_links.len().saturating_sub(uprobes));
                scope.spawn(move || drop(some));
            }
            while !tracepoint_links.is_empty() {
                let some = tracepoint_links.split_off(tracepoint_links.len().saturating_sub(tracepoints));
                scope.spawn(move || drop(some));
            }
        });
    }

    /// Closes them aside, because each waits in the kernel.
    pub fn close_aside(self) {
        // Where no thread can be had they are dropped with the closure.
        if let Err(error) = thread::Builder::new().spawn(move || self.close()) {
            log::debug!("probes were taken off without help: {error}");
        }
    }
}

impl Probes {
    /// Attaches to a place in a file.
    ///
    /// The return is attached before the entry: a return without entry is only counted, an entry without return
    /// would look like a call that never ends.
    ///
    /// # Errors
    /// When the kernel refuses, or the process is gone.
    pub fn attach(&mut self, scope: Scope, point: &Point, links: &mut Links) -> Result<(), ProbeError> {
        let programs: &[&str] = match point.role {
            Role::Free => &["free_enter"],
            Role::Wrapper => &["wrapper_enter"],
            Role::Allocate => &["alloc_exit", "alloc_enter"],
            Role::AllocateOnly => &["alloc_enter"],
            Role::Leave => &["alloc_leave"],
            Role::StaticAlloc => &["static_alloc"],
            Role::StaticFree => &["static_free"],
        };
        for name in programs {
            if point.semaphore == 0 {
                links.uprobes.push(self.attach_uprobe(name, scope, point)?);
            } else {
                links.counted.push(self.attach_counted(name, scope, point)?);
            }
        }
        Ok(())
    }

    fn attach_counted(&mut self, program: &str, scope: Scope, point: &Point) -> Result<Counted, ProbeError> {
        let probe = self.uprobe(program)?;
        let fd = probe.fd().map_err(|source| ProbeError::new(program, source))?;
        counted::attach(fd.as_fd(), scope, point).map_err(|source| ProbeError::Kernel {
            doing: point.attaching(),
            source: Box::new(source),
        })
    }

    fn uprobe(&mut self, program: &str) -> Result<&mut UProbe, ProbeError> {
        self.ebpf
            .program_mut(program)
            .and_then(|program| program.try_into().ok())
            .ok_or_else(|| ProbeError::Object {
                what: format!("uprobe {program}"),
            })
    }

    fn attach_uprobe(&mut self, program: &str, scope: Scope, point: &Point) -> Result<UProbeLink, ProbeError> {
        let scope = match scope {
            Scope::Machine => UProbeScope::AllProcesses,
            Scope::Process(thread) => {
                UProbeScope::OneProcess(NonZeroU32::new(thread).ok_or_else(|| ProbeError::Object {
                    what: "use for process 0".into(),
                })?)
            }
        };
        let probe = self.uprobe(program)?;
        let at = UProbeAttachPoint {
            location: UProbeAttachLocation::AbsoluteOffset(point.offset),
            cookie: Some(point.cookie),
        };
        probe
            .attach(at, &point.file, scope)
            .and_then(|id| probe.take_link(id))
            .map_err(|source| ProbeError::new(point.attaching(), source))
    }

    /// Attaches the tracepoints: mapping system calls, `exec`, end of a thread. They fire for the whole machine and
    /// return at once for processes that are not traced. `new_code` adds those that tell of memory that becomes executable,
    /// `follow` those that tell of children.
    ///
    /// # Errors
    /// When tracefs cannot be had or the kernel refuses.
    pub fn attach_tracepoints(&mut self, new_code: bool, follow: bool) -> Result<Links, ProbeError> {
        let mut links = Links::default();
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
        if follow {
            wanted.push(("new_task", "task", "task_newtask".to_owned()));
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
                links.tracepoints.push(link);
            }
            Ok(links)
        })
    }
}
