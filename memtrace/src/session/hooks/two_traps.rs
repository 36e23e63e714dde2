//! Two probes in the place of one, where one was found not to see allocations as they are.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use super::{Hooks, held::Held};
use crate::probe::Scope;

/// What a reader of the report must know of it.
const NOTE: &str = "one trap did not see the allocations of this program as they were, so that two traps see each since: probes were put \
                    on anew, what was allocated meanwhile was not seen, and sums from before are in doubt";

/// Tells whoever runs the loop that two probes have taken the place of one. Shared by clones.
#[derive(Clone, Debug, Default)]
pub(in crate::session) struct Switched(Arc<AtomicBool>);

impl Switched {
    fn tell(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether that has happened since this was asked for last.
    pub(in crate::session) fn take(&self) -> bool {
        self.0.swap(false, Ordering::Acquire)
    }
}

impl Hooks {
    /// From now on every allocation is seen at entry and return. Frees are seen all the time.
    pub(super) fn give_up_one_trap(&mut self) {
        if std::mem::replace(&mut self.two_traps, true) {
            return;
        }
        // They would only find the same.
        self.end_checks(|_| true);
        let mut machine = std::mem::take(&mut self.held);
        let of_all = self.replace(&mut machine, Scope::Machine);
        self.held = machine;
        let incarnations: Vec<u32> = self.programs.keys().copied().collect();
        for incarnation in incarnations {
            let concerned = self.is_concerned(incarnation);
            let Some(program) = self.programs.get_mut(&incarnation) else {
                continue;
            };
            let scope = program.scope();
            let mut own = std::mem::take(&mut program.held);
            let of_it = self.replace(&mut own, scope);
            if let Some(program) = self.programs.get_mut(&incarnation) {
                program.held = own;
            }
            if concerned {
                self.state.gap(incarnation, NOTE);
                for error in [of_all.as_ref(), of_it.as_ref()].into_iter().filter_map(Result::err) {
                    self.state.failed(incarnation, format!("{error:#}"));
                }
            }
        }
        self.switched.tell();
    }

    /// What tells of that.
    pub(in crate::session) fn switched(&self) -> Switched {
        self.switched.clone()
    }

    /// Whether one probe sees allocations of a program.
    fn is_concerned(&self, incarnation: u32) -> bool {
        let Some(program) = self.programs.get(&incarnation) else {
            return false;
        };
        let mut files = program
            .modules
            .iter()
            .filter_map(|(index, _)| self.analyses.get(*index));
        files.any(|file| !file.one_trap.is_empty())
    }

    /// Takes off what sees allocations by one probe, and then puts on what sees them by two: a call that both saw would be two.
    fn replace(&mut self, held: &mut Held, scope: Scope) -> anyhow::Result<()> {
        std::mem::take(&mut held.one_trap).close();
        for (file, module) in &held.files {
            let links = self.attach_points(&file.pairs, module, scope)?;
            self.attached += links.len();
            held.one_trap.append(links);
        }
        held.one_trap.pause(self.on).close_aside();
        Ok(())
    }
}
