//! What reports say of the hooks of each program: written by whoever attaches, read by whoever reports.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rustc_hash::FxHashMap;

use crate::profile::Allocator;

/// The hooks of a program.
#[derive(Clone, Debug, Default)]
pub(in crate::session) struct Hooked {
    /// Allocators that are hooked.
    pub(in crate::session) allocators: Vec<Allocator>,
    /// What is not, and what else a reader must know, a sentence each.
    pub(in crate::session) unhooked: Vec<String>,
    /// How long it ran before its probes were on; `None` when they were there from its beginning, or when that was not seen.
    pub(in crate::session) late: Option<Duration>,
    /// Times at which probes had to be put on anew.
    pub(in crate::session) gaps: u64,
    /// What went wrong.
    failures: Vec<String>,
}

/// Programs that are said something of before it is looked which of them are still wanted.
const MANY: usize = 16_384;

/// Shared by clones.
#[derive(Clone, Debug, Default)]
pub(in crate::session) struct State(Arc<Mutex<FxHashMap<u32, Hooked>>>);

impl State {
    fn all(&self) -> MutexGuard<'_, FxHashMap<u32, Hooked>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The hooks of a program.
    pub(in crate::session) fn of(&self, incarnation: u32) -> Hooked {
        let mut hooked = self.all().get(&incarnation).cloned().unwrap_or_default();
        hooked.unhooked.append(&mut hooked.failures);
        hooked
    }

    /// Whether any allocator of a program is hooked.
    pub(in crate::session) fn hooks_any(&self, incarnation: u32) -> bool {
        let all = self.all();
        all.get(&incarnation)
            .is_some_and(|hooked| !hooked.allocators.is_empty())
    }

    /// Gives up what is said of programs that no report will list, once there are many.
    pub(in crate::session) fn forget_all_but(&self, wanted: impl Fn(u32) -> bool) {
        let mut all = self.all();
        if all.len() > MANY {
            all.retain(|&incarnation, _| wanted(incarnation));
        }
    }

    pub(super) fn hooked(&self, incarnation: u32, allocators: Vec<Allocator>, unhooked: Vec<String>) {
        let mut all = self.all();
        let hooked = all.entry(incarnation).or_default();
        hooked.allocators = allocators;
        hooked.unhooked = unhooked;
    }

    pub(super) fn late(&self, incarnation: u32, late_ns: Option<u64>) {
        let mut all = self.all();
        let hooked = all.entry(incarnation).or_default();
        hooked.late = late_ns.map(Duration::from_nanos).max(hooked.late);
    }

    pub(super) fn failed(&self, incarnation: u32, why: String) {
        let mut all = self.all();
        let failures = &mut all.entry(incarnation).or_default().failures;
        if !failures.contains(&why) {
            failures.push(why);
        }
    }

    pub(super) fn gap(&self, incarnation: u32, why: &str) {
        self.failed(incarnation, why.to_owned());
        if let Some(hooked) = self.all().get_mut(&incarnation) {
            hooked.gaps += 1;
        }
    }
}
