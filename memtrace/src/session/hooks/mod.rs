//! The probes of all targets: planned file by file, attached where each file is mapped.
//!
//! A file that only targets have mapped gets its probes for the whole machine: a child then has them from its first instruction,
//! and nobody else pays. In a file that others share, each target has probes of its own, and a child gets them as soon as its
//! birth is known.

mod analyses;
mod own;
mod point;
mod state;
mod worker;

use std::{io, sync::Arc};

use rustc_hash::{FxHashMap, FxHashSet};

use self::{analyses::Analyses, point::probe_point};
pub(super) use self::{
    point::Mapped,
    state::{Hooked, State},
    worker::Hooker,
};
use crate::{
    clock::now_ns,
    plan::{self, AttachPoint, Kind, PlanError},
    probe::{self, Links, On, ProbeError, Probes, Scope},
    process::{FileIdentity, Module, mapped_by_others},
    profile::Allocator,
};

/// For which processes probes are meant.
#[derive(Clone, Copy, Debug)]
pub(super) struct Policy {
    /// Every process is a target, or others that share a file with one may pay.
    pub(super) machine_wide: bool,
    /// Children are followed.
    pub(super) follow: bool,
    /// Wrappers of mapping calls are needed: there are no unwind tables to find their callers by.
    pub(super) wrappers: bool,
}

/// The probes on functions of one program.
#[derive(Default)]
struct OfProgram {
    pid: u32,
    /// The thread that probes are attached through: the kernel gives them up with it.
    thread: u32,
    began_ns: Option<u64>,
    gone: bool,
    modules: Vec<(u32, Arc<Module>)>,
    /// Files that have their probes in this process.
    attached: FxHashSet<FileIdentity>,
    links: Links,
}

/// Holds the loaded programs and what they are attached to.
pub(super) struct Hooks {
    probes: Probes,
    hooked: probe::Hooked,
    policy: Policy,
    analyses: Analyses,
    programs: FxHashMap<u32, OfProgram>,
    /// Files that have probes: in every process, or in each by itself. It stays at that: a process must not stop twice.
    everywhere: FxHashMap<FileIdentity, bool>,
    links: Links,
    state: State,
    attached: usize,
    /// Which probes on functions are on.
    on: On,
}

impl Hooks {
    pub(super) fn new(mut probes: Probes, policy: Policy, request: plan::Request) -> Result<Self, ProbeError> {
        Ok(Self {
            hooked: probes.hooked()?,
            probes,
            policy,
            analyses: Analyses::new(request),
            programs: FxHashMap::default(),
            everywhere: FxHashMap::default(),
            links: Links::default(),
            state: State::default(),
            attached: 0,
            on: On::All,
        })
    }

    /// What reports say of hooks.
    pub(super) fn state(&self) -> State {
        self.state.clone()
    }

    /// The loaded programs.
    pub(super) const fn probes(&mut self) -> &mut Probes {
        &mut self.probes
    }

    /// Programs that are attached so far.
    pub(super) const fn attached(&self) -> usize {
        self.attached
    }

    /// Attaches what is not attached yet of what a program has mapped: what frees comes first, then what allocates.
    ///
    /// # Errors
    /// A [`PlanError`] when nothing of it can be hooked, or what the kernel said.
    pub(super) fn mapped(&mut self, mapped: Mapped) -> anyhow::Result<()> {
        let Mapped {
            pid,
            incarnation,
            began_ns,
            gone,
            modules,
        } = mapped;
        for (index, module) in &modules {
            self.analyses.make(*index, module);
        }
        let program = self.programs.entry(incarnation).or_insert_with(|| OfProgram {
            pid,
            thread: pid,
            began_ns,
            ..OfProgram::default()
        });
        program.modules = modules;
        program.gone = gone;
        let result = self.attach_missing(incarnation);
        let judged = self.tell(incarnation);
        result?;
        judged?;
        self.tell_kernel(incarnation);
        Ok(())
    }

    /// Tells the BPF side that a program's hooks are on.
    fn tell_kernel(&mut self, incarnation: u32) {
        if self.policy.machine_wide {
            // It knows.
            return;
        }
        let Some(program) = self.programs.get(&incarnation) else {
            return;
        };
        let files = program
            .modules
            .iter()
            .filter_map(|(index, _)| self.analyses.get(*index));
        let everywhere = files
            .filter(|file| !file.points.is_empty())
            .all(|file| self.everywhere.get(&file.identity) == Some(&true));
        self.hooked.set(incarnation, everywhere);
    }

    /// Whether all files of a process were looked into already.
    pub(super) fn knows(&self, mapped: &Mapped) -> bool {
        mapped
            .modules
            .iter()
            .all(|(index, _)| self.analyses.result(*index).is_some())
    }

    /// Attaches to the files of a program that have no probes for it.
    fn attach_missing(&mut self, incarnation: u32) -> anyhow::Result<()> {
        let Some(program) = self.programs.get(&incarnation) else {
            return Ok(());
        };
        let pid = program.pid;
        let own_scope = if program.thread == pid {
            Scope::Process(pid)
        } else {
            Scope::Thread(program.thread)
        };
        let mut wanted = Vec::new();
        for (index, module) in &program.modules {
            let Some(file) = self.analyses.get(*index).filter(|file| !file.points.is_empty()) else {
                continue;
            };
            let known = self.everywhere.get(&file.identity).copied();
            if known == Some(true) || program.attached.contains(&file.identity) {
                continue;
            }
            let scope = if known.unwrap_or_else(|| self.is_for_all(module)) {
                Scope::Machine
            } else if program.gone {
                continue;
            } else {
                own_scope
            };
            wanted.push((file, Arc::clone(module), scope));
        }
        if wanted.is_empty() {
            return Ok(());
        }
        let points = wanted.iter().flat_map(|(file, module, scope)| {
            let needed = |point: &AttachPoint| point.kind != Kind::Wrapper || self.policy.wrappers;
            let points = file.points.iter().filter(move |(point, _)| needed(point));
            points.map(move |(point, number)| anyhow::Ok((*scope, probe_point(point, *number, module)?)))
        });
        let points = points.collect::<anyhow::Result<Vec<_>>>()?;
        let (mut own, mut machine) = (Links::default(), Links::default());
        let result = self.probes.attach(&points, &mut own, &mut machine);
        let by_main_thread = own_scope == Scope::Process(pid) && !own.is_empty();
        if result.is_err() {
            // What is for all is tried again for the next who has the file, from the beginning: half of it would look like leaks.
            machine.close_aside();
            machine = Links::default();
            wanted.retain(|(.., scope)| *scope != Scope::Machine);
        }
        self.attached += own.len() + machine.len();
        for links in [&mut own, &mut machine] {
            links.pause(self.on).close_aside();
        }
        self.links.append(machine);
        for (file, _, scope) in &wanted {
            self.everywhere.insert(file.identity, *scope == Scope::Machine);
        }
        if let Some(program) = self.programs.get_mut(&incarnation) {
            program.links.append(own);
            program.attached.extend(wanted.iter().map(|(file, ..)| file.identity));
            let late = program.began_ns.map(|began_ns| now_ns().saturating_sub(began_ns));
            self.state.late(incarnation, late);
        }
        result?;
        // The kernel puts shared links on a process whose main thread has ended, but they never fire there.
        let living = crate::target::living_thread(pid, pid);
        anyhow::ensure!(
            !by_main_thread || living.is_none_or(|thread| thread == pid),
            "the main thread of process {pid} ended while probes were put on: its calls are not seen"
        );
        Ok(())
    }

    /// Whether a file gets its probes for the whole machine.
    fn is_for_all(&self, module: &Module) -> bool {
        let is_target = |pid: u32| self.programs.values().any(|program| program.pid == pid);
        self.policy.machine_wide || (self.policy.follow && !mapped_by_others(module, is_target))
    }

    /// Keeps what reports say of a program.
    fn tell(&mut self, incarnation: u32) -> Result<(), PlanError> {
        let Some(program) = self.programs.get(&incarnation) else {
            return Ok(());
        };
        let files: Vec<_> = program
            .modules
            .iter()
            .filter_map(|(index, module)| Some((module, self.analyses.result(*index)?)))
            .collect();
        let allocators = files.iter().flat_map(|(module, result)| {
            let found = result.iter().flat_map(|file| &file.analysis.allocators);
            found.map(|found| Allocator {
                name: found.name.clone(),
                path: module.name.clone(),
                hooks: found.hooks.clone(),
            })
        });
        let allocators: Vec<_> = allocators.collect();
        let judged = plan::judge(
            &files
                .iter()
                .map(|(module, result)| (module.name.as_str(), result.map(|file| &file.analysis)))
                .collect::<Vec<_>>(),
        );
        let (unhooked, result) = match judged {
            Ok(notes) => (notes, Ok(())),
            Err(error) => (vec![error.to_string()], Err(error)),
        };
        self.state.hooked(incarnation, allocators, unhooked);
        result
    }

    /// A process was forked: it has its parent's files.
    pub(super) fn forked(&mut self, parent: u32, child: u32, pid: u32, time_ns: u64) {
        let Some(modules) = self.programs.get(&parent).map(|program| program.modules.clone()) else {
            return;
        };
        self.follow(Mapped {
            pid,
            incarnation: child,
            began_ns: Some(time_ns),
            gone: false,
            modules,
        });
    }

    /// Attaches to a process that is followed: what goes wrong is told in the report.
    pub(super) fn follow(&mut self, mapped: Mapped) {
        let (pid, incarnation) = (mapped.pid, mapped.incarnation);
        if let Err(error) = self.mapped(mapped)
            && !error.is::<PlanError>()
            && crate::target::living_thread(pid, pid).is_some()
        {
            self.state.failed(incarnation, format!("{error:#}"));
        }
    }

    /// A process replaced its program: probes stay where they are for the same thread, and hold for the same files.
    pub(super) fn executed(&mut self, old: u32, new: u32, pid: u32, time_ns: u64, by_other_thread: bool) {
        let Some(before) = self.programs.remove(&old) else {
            return;
        };
        let program = self.programs.entry(new).or_insert_with(|| OfProgram {
            pid,
            thread: pid,
            began_ns: Some(time_ns),
            ..OfProgram::default()
        });
        if by_other_thread {
            // The kernel gave them up with the main thread.
            before.links.make_way();
            self.state.gap(
                new,
                &gap("a thread other than the main one replaced the target's program"),
            );
        } else {
            program.links = before.links;
            program.attached = before.attached;
        }
    }

    /// A program is gone.
    pub(super) fn ended(&mut self, incarnation: u32) {
        self.hooked.forget(incarnation);
        if let Some(program) = self.programs.remove(&incarnation)
            && !program.links.is_empty()
        {
            program.links.close_aside();
        }
    }

    /// The main thread of a process has ended, which its probes were attached through, and others go on: attaches anew through one
    /// of those.
    pub(super) fn main_thread_ended(&mut self, incarnation: u32) {
        let Some(program) = self.programs.get_mut(&incarnation) else {
            return;
        };
        let thread = crate::target::living_thread(program.pid, program.thread);
        let Some(thread) = thread.filter(|&thread| thread != program.thread) else {
            return;
        };
        program.thread = thread;
        if program.links.is_empty() {
            return;
        }
        std::mem::take(&mut program.links).make_way();
        program.attached.clear();
        self.state.gap(
            incarnation,
            &gap("the thread of the target that the probes were attached through ended"),
        );
        if let Err(error) = self.attach_missing(incarnation) {
            self.state.failed(incarnation, format!("{error:#}"));
        }
    }

    /// Attaches the tracepoints. The mapping calls come after what allocates: as long as allocator calls are not seen, an
    /// allocator's own mappings would be taken for the program's.
    pub(super) fn attach_tracepoints(&mut self) -> Result<(), ProbeError> {
        let links = self
            .probes
            .attach_tracepoints(!self.policy.wrappers, self.policy.follow)?;
        self.attached += links.len();
        self.links.append(links);
        Ok(())
    }

    /// Sets which probes on functions are on.
    ///
    /// # Errors
    /// What the kernel said when it did not take one.
    pub(super) fn set(&mut self, on: On) -> io::Result<()> {
        self.on = on;
        let programs = self.programs.values_mut().map(|program| &mut program.links);
        let links = programs.chain(std::iter::once(&mut self.links));
        self.probes.set(on, links.collect())
    }

    /// Takes all probes off.
    pub(super) fn detach(mut self) {
        let mut links = std::mem::take(&mut self.links);
        for (_, program) in self.programs.drain() {
            links.append(program.links);
        }
        links.close();
    }
}

/// What is said when probes were off, for what has happened.
fn gap(happened: &str) -> String {
    format!("{happened}: probes had to be put on anew, and what was allocated and freed meanwhile was not seen")
}
