//! Attaches to the files of a program that have no probes for it.

use std::sync::Arc;

use super::{Hooks, analyses::Analysed, held::Held, probe_point};
use crate::{
    clock::now_ns,
    plan::AttachPoint,
    probe::{Links, Point, Scope},
    process::{Module, mapped_by_others},
};

/// A file that is to get probes, and for whom.
struct Wanted {
    file: Arc<Analysed>,
    module: Arc<Module>,
    scope: Scope,
}

impl Hooks {
    pub(super) fn attach_missing(&mut self, incarnation: u32) -> anyhow::Result<()> {
        let Some(program) = self.programs.get(&incarnation) else {
            return Ok(());
        };
        let pid = program.pid;
        let own_scope = program.scope();
        let mut wanted = self.wanted(incarnation);
        if wanted.is_empty() {
            return Ok(());
        }
        let (mut own, mut machine) = (Held::default(), Held::default());
        let result = self.attach_all(&wanted, &mut own, &mut machine);
        let by_main_thread = own_scope == Scope::Process(pid) && !own.is_empty();
        if result.is_err() {
            // What is for all is tried again for the next who has the file, from the beginning: half of it would look like leaks.
            machine.close_aside();
            machine = Held::default();
            wanted.retain(|wanted| wanted.scope != Scope::Machine);
        }
        self.attached += own.len() + machine.len();
        for held in [&mut own, &mut machine] {
            held.pause(self.on);
        }
        self.held.append(machine);
        for Wanted { file, scope, .. } in &wanted {
            self.everywhere.insert(file.identity, *scope == Scope::Machine);
        }
        if let Some(program) = self.programs.get_mut(&incarnation) {
            program.held.append(own);
            program
                .attached
                .extend(wanted.iter().map(|wanted| wanted.file.identity));
            let late = program.began_ns.map(|began_ns| now_ns().saturating_sub(began_ns));
            self.state.late(incarnation, late);
        }
        result?;
        for Wanted { file, module, scope } in &wanted {
            self.check(file, module, *scope, incarnation);
        }
        // The kernel puts shared links on a process whose main thread has ended, but they never fire there.
        let living = crate::target::living_thread(pid, pid);
        anyhow::ensure!(
            !by_main_thread || living.is_none_or(|thread| thread == pid),
            "the main thread of process {pid} ended while probes were put on: its calls are not seen"
        );
        Ok(())
    }

    /// The files of a program that have no probes for it.
    fn wanted(&self, incarnation: u32) -> Vec<Wanted> {
        let Some(program) = self.programs.get(&incarnation) else {
            return Vec::new();
        };
        let mut wanted = Vec::new();
        for (index, module) in &program.modules {
            let Some(file) = self.analyses.get(*index).filter(|file| file.has_points()) else {
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
                program.scope()
            };
            let module = Arc::clone(module);
            wanted.push(Wanted { file, module, scope });
        }
        wanted
    }

    /// Whether a file gets its probes for the whole machine.
    fn is_for_all(&self, module: &Module) -> bool {
        let is_target = |pid: u32| self.programs.values().any(|program| program.pid == pid);
        self.policy.machine_wide || (self.policy.follow && !mapped_by_others(module, is_target))
    }

    /// First all that frees, in all files, then what allocates; of that, what may have to be replaced later has links of its own.
    fn attach_all(&mut self, wanted: &[Wanted], own: &mut Held, machine: &mut Held) -> anyhow::Result<()> {
        let needed = |point: &AttachPoint| self.policy.needs(point);
        let mut rest = Vec::new();
        let mut one_trap = Vec::new();
        for Wanted { file, module, scope } in wanted {
            let one = if self.two_traps { &file.pairs } else { &file.one_trap };
            if !one.is_empty() {
                let held = if *scope == Scope::Machine {
                    &mut *machine
                } else {
                    &mut *own
                };
                held.files.push((Arc::clone(file), Arc::clone(module)));
            }
            rest.extend(points(&file.points, module, *scope, needed)?);
            one_trap.extend(points(one, module, *scope, needed)?);
        }
        self.probes.attach(&rest, &mut own.rest, &mut machine.rest)?;
        self.probes
            .attach(&one_trap, &mut own.one_trap, &mut machine.one_trap)?;
        Ok(())
    }

    /// Puts the points of a file on, for whoever a scope says.
    pub(super) fn attach_points(
        &mut self,
        planned: &[(AttachPoint, u16)],
        module: &Module,
        scope: Scope,
    ) -> anyhow::Result<Links> {
        let points = points(planned, module, scope, |_| true)?;
        let (mut own, mut machine) = (Links::default(), Links::default());
        let result = self.probes.attach(&points, &mut own, &mut machine);
        own.append(machine);
        if let Err(error) = result {
            own.close();
            return Err(error.into());
        }
        Ok(own)
    }
}

/// Points of a file, for whoever attaches.
fn points(
    planned: &[(AttachPoint, u16)],
    module: &Module,
    scope: Scope,
    needed: impl Fn(&AttachPoint) -> bool,
) -> anyhow::Result<Vec<(Scope, Point)>> {
    let needed = planned.iter().filter(|(point, _)| needed(point));
    needed
        .map(|(point, number)| anyhow::Ok((scope, probe_point(point, *number, module)?)))
        .collect()
}
