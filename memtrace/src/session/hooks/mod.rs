//! The probes of all targets: planned file by file, attached where each file is mapped.
//!
//! A file that only targets have mapped gets its probes for the whole machine: a child then has them from its first instruction,
//! and nobody else pays. In a file that others share, each target has probes of its own, and a child gets them as soon as its
//! birth is known.

mod analyses;
mod attach;
mod check;
mod held;
mod mutant;
mod own;
mod point;
mod state;
mod two_traps;
mod worker;

use std::{io, sync::Arc, time::Duration};

use rustc_hash::{FxHashMap, FxHashSet};

use self::{analyses::Analyses, check::Checks, held::Held, point::probe_point};
pub(super) use self::{
    mutant::Told,
    point::Mapped,
    state::{Hooked, State},
    two_traps::Switched,
    worker::Hooker,
};
use crate::{
    options::{Options, Unwinding},
    plan::{self, AttachPoint, Kind, PlanError, Tells},
    probe::{self, Links, On, ProbeError, Probes, Scope},
    process::{FileIdentity, Module},
    profile::Allocator,
};

/// For which processes probes are meant, and which of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Policy {
    /// Every process is a target, or others that share a file with one may pay.
    machine_wide: bool,
    /// Children are followed.
    follow: bool,
    only_for: OnlyFor,
}

/// What some probes alone are for, where that is wanted.
#[derive(Clone, Copy, Debug)]
struct OnlyFor {
    /// Callers of mapping calls that there are no unwind tables to find by.
    wrappers: bool,
    /// What becomes of JavaScript's young objects.
    survival: bool,
}

impl Policy {
    /// That of an observation; whether it is of the whole machine, and whether of children.
    pub(super) fn of(options: &Options, machine_wide: bool, follow: bool) -> Self {
        Self {
            machine_wide,
            follow,
            only_for: OnlyFor {
                wrappers: options.unwinding != Unwinding::Auto,
                survival: options.javascript_sites,
            },
        }
    }

    /// Whether a point is put on.
    const fn needs(self, point: &AttachPoint) -> bool {
        match point.kind {
            Kind::Wrapper => self.only_for.wrappers,
            Kind::V8(Tells::Survived) => self.only_for.survival,
            _ => true,
        }
    }
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
    held: Held,
}

impl OfProgram {
    /// For whom its own probes are.
    const fn scope(&self) -> Scope {
        if self.thread == self.pid {
            Scope::Process(self.pid)
        } else {
            Scope::Thread(self.thread)
        }
    }
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
    /// Those in every process.
    held: Held,
    tracepoints: Links,
    /// Whether one probe sees what it should.
    checks: Checks,
    /// Whether no allocation is left to one probe any more.
    two_traps: bool,
    switched: Switched,
    state: State,
    attached: usize,
    /// Which probes on functions are on.
    on: On,
}

impl Hooks {
    pub(super) fn new(
        mut probes: Probes,
        policy: Policy,
        request: plan::Request,
        told: Told,
    ) -> Result<Self, ProbeError> {
        Ok(Self {
            hooked: probes.hooked()?,
            checks: Checks::new(&mut probes)?,
            two_traps: false,
            switched: Switched::default(),
            probes,
            policy,
            analyses: Analyses::new(request, told),
            programs: FxHashMap::default(),
            everywhere: FxHashMap::default(),
            held: Held::default(),
            tracepoints: Links::default(),
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
            .filter(|file| file.has_points())
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
        if by_other_thread {
            self.end_checks(|of| of == Some(old));
        } else {
            self.checks.goes_on_as(old, new);
        }
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
            before.held.make_way();
            self.state.gap(
                new,
                &gap("a thread other than the main one replaced the target's program"),
            );
        } else {
            program.held = before.held;
            program.attached = before.attached;
        }
    }

    /// A program is gone.
    pub(super) fn ended(&mut self, incarnation: u32) {
        self.hooked.forget(incarnation);
        self.checks.ended(incarnation);
        if let Some(program) = self.programs.remove(&incarnation)
            && !program.held.is_empty()
        {
            program.held.close_aside();
        }
    }

    /// The main thread of a process has ended, which its probes were attached through, and others go on: attaches anew through one
    /// of those.
    pub(super) fn main_thread_ended(&mut self, incarnation: u32) {
        self.end_checks(|of| of == Some(incarnation));
        let Some(program) = self.programs.get_mut(&incarnation) else {
            return;
        };
        let thread = crate::target::living_thread(program.pid, program.thread);
        let Some(thread) = thread.filter(|&thread| thread != program.thread) else {
            return;
        };
        program.thread = thread;
        if program.held.is_empty() {
            return;
        }
        std::mem::take(&mut program.held).make_way();
        program.attached.clear();
        self.state.gap(
            incarnation,
            &gap("the thread of the target that the probes were attached through ended"),
        );
        if let Err(error) = self.attach_missing(incarnation) {
            self.state.failed(incarnation, format!("{error:#}"));
        }
    }

    /// How long until it must be looked again what came of checks; `None` when none is on.
    pub(super) fn next_look(&self) -> Option<Duration> {
        self.checks.next_look()
    }

    /// Attaches the tracepoints. The mapping calls come after what allocates: as long as allocator calls are not seen, an
    /// allocator's own mappings would be taken for the program's.
    pub(super) fn attach_tracepoints(&mut self) -> Result<(), ProbeError> {
        let links = self
            .probes
            .attach_tracepoints(!self.policy.only_for.wrappers, self.policy.follow)?;
        self.attached += links.len();
        self.tracepoints.append(links);
        Ok(())
    }

    /// Sets which probes on functions are on.
    ///
    /// # Errors
    /// What the kernel said when it did not take one.
    pub(super) fn set(&mut self, on: On) -> io::Result<()> {
        self.on = on;
        if on != On::All {
            // What one probe does not see while it is off is no mistake of it.
            self.end_checks(|_| true);
        }
        let programs = self.programs.values_mut().map(|program| &mut program.held);
        let held = programs.chain(std::iter::once(&mut self.held));
        self.probes.set(on, held.flat_map(Held::both).collect())
    }

    /// Takes all probes off.
    pub(super) fn detach(mut self) {
        let mut links = std::mem::take(&mut self.tracepoints);
        links.append(self.held.into_links());
        for (_, program) in self.programs.drain() {
            links.append(program.held.into_links());
        }
        links.append(self.checks.into_links());
        links.close();
    }
}

/// What is said when probes were off, for what has happened.
fn gap(happened: &str) -> String {
    format!("{happened}: probes had to be put on anew, and what was allocated and freed meanwhile was not seen")
}
