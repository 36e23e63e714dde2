//! Attaches programs to a target.

use std::{io, num::NonZeroU32, os::fd::AsFd as _};

use super::{
    Links, On, Point, ProbeError, Probes, Scope,
    batch::{Batch, batches},
    counted::{self, Counted},
    load,
    multi::Shared,
    tracefs,
};
use aya::programs::{
    TracePoint, UProbe,
    uprobe::{UProbeAttachLocation, UProbeAttachPoint, UProbeLink, UProbeScope},
};
use rustix::io::Errno;

/// The mapping system calls; one program at the entry of all, one at the exit.
const SYSCALLS: [&str; 4] = ["mmap", "munmap", "mremap", "brk"];

impl Probes {
    /// Attaches to places in files, by their order, and then as they are given; of each order the returns first. What was attached
    /// before a failure stays: `machine` keeps what is for all processes, `own` the rest.
    ///
    /// # Errors
    /// When the kernel refuses, or the process is gone.
    pub fn attach(
        &mut self,
        points: &[(Scope, Point)],
        own: &mut Links,
        machine: &mut Links,
    ) -> Result<(), ProbeError> {
        batches(points).iter().try_for_each(|batch| {
            let links = if batch.scope == Scope::Machine {
                &mut *machine
            } else {
                &mut *own
            };
            self.attach_batch(batch, links)
        })
    }

    /// Takes probes off that are not to be on, and puts those on again that are: first what gives back, then what only takes. What is
    /// taken off is gone when this returns. The probes of a process that is gone stay off.
    ///
    /// # Errors
    /// What the kernel said to the first that it refused; the next are not tried.
    pub fn set(&self, on: On, mut links: Vec<&mut Links>) -> io::Result<()> {
        let mut off = Links::default();
        for links in &mut links {
            off.append(links.pause(on));
        }
        // Before anybody takes them for gone.
        off.close();
        let Ok(multi) = &self.multi else { return Ok(()) };
        for only_takes in [false, true] {
            if on.has(only_takes) {
                // Without those on what gives back, nothing that is taken could be followed to its end.
                links.iter_mut().try_for_each(|links| links.resume(multi, only_takes))?;
            }
        }
        Ok(())
    }

    /// By one link where that can be. A place that the kernel refuses must not take the others with it, and is to be named, so then
    /// each gets a link of its own.
    fn attach_batch(&mut self, batch: &Batch<'_>, links: &mut Links) -> Result<(), ProbeError> {
        if let (Ok(multi), false) = (&self.multi, matches!(batch.scope, Scope::Thread(_))) {
            let again = self.may_pause && !batch.program.stays;
            let shared = Shared::of(batch, again);
            match shared.and_then(|shared| Ok((multi.attach(&shared)?, shared))) {
                Ok((link, shared)) => {
                    links.keep_many(link, shared, again);
                    return Ok(());
                }
                // The process is gone.
                Err(source) if source.raw_os_error() == Some(Errno::SRCH.raw_os_error()) => {
                    let doing = batch.points.first().map_or_else(String::new, |point| point.attaching());
                    return Err(ProbeError::Kernel {
                        doing,
                        source: Box::new(source),
                    });
                }
                Err(error) => log::info!(
                    "{} at {} places of {} by single links: {error}",
                    batch.program.name,
                    batch.points.len(),
                    batch.file.display()
                ),
            }
        }
        let program = batch.program.name;
        for point in &batch.points {
            if point.semaphore == 0 {
                links.uprobes.push(self.attach_uprobe(program, batch.scope, point)?);
            } else {
                links.counted.push(self.attach_counted(program, batch.scope, point)?);
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

    /// A program for single links, which is loaded when one is first wanted.
    fn uprobe(&mut self, name: &str) -> Result<&mut UProbe, ProbeError> {
        let program = self.ebpf.program_mut(name).ok_or_else(|| missing(name))?;
        if program.fd().is_err() {
            load::load_program(name, program)?;
        }
        program.try_into().ok().ok_or_else(|| missing(name))
    }

    fn attach_uprobe(&mut self, program: &str, scope: Scope, point: &Point) -> Result<UProbeLink, ProbeError> {
        let scope = match scope {
            Scope::Machine => UProbeScope::AllProcesses,
            Scope::Process(thread) | Scope::Thread(thread) => {
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

fn missing(program: &str) -> ProbeError {
    ProbeError::Object {
        what: format!("uprobe {program}"),
    }
}
