//! What is said of an observation: at its beginning, when something happens, and in the report.

use std::time::Duration;

use tokio::task::JoinHandle;

use super::{Hooks, Tracer};
use crate::{
    message,
    options::Options,
    plan,
    probe::{ProbeError, Probes},
    profile::Allocator,
    session::javascript::Watching,
};

impl Tracer {
    /// Says that observation has begun of `what`, in which these are hooked.
    pub(in crate::session) fn announce(&self, what: &str, allocators: &[Allocator]) {
        let probes = self.hooks.as_ref().map_or(0, Hooks::attached);
        let mut names: Vec<_> = allocators
            .iter()
            .map(|found| format!("{} ({})", found.name, found.path))
            .collect();
        names.dedup();
        let on = match names.len() {
            0 => String::new(),
            1..=4 => format!(" on {}", names.join(", ")),
            all => format!(" on {} and {} more", names[..4].join(", "), all - 4),
        };
        message::say(&format!(
            "attached to {what}: {probes} probes{on} in {} ms; Ctrl-C ends and reports",
            self.started.elapsed().as_millis()
        ));
    }

    /// What the reader of a report must know.
    pub(in crate::session) fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Keeps what the reader of a report must know, once.
    pub(in crate::session) fn note(&mut self, note: String) {
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// What must be said of samples of where JavaScript allocates, if they are wanted: `any` if there is one.
    pub(in crate::session) fn unwatched(&self, any: bool) -> Option<String> {
        let watching = self.watching.as_ref()?;
        let nothing = || {
            "--javascript-sites: there is no sample: JavaScript has allocated too little, or its frames are not known"
                .to_owned()
        };
        watching.problem().or_else(|| (!any).then(nothing))
    }

    /// Heeds that two probes have taken the place of one.
    ///
    /// # Errors
    /// When the kernel does not take it that calls in flight were not seen to end.
    pub(in crate::session) fn heed_two_traps(&mut self) -> Result<(), ProbeError> {
        if self.switched.take() {
            self.modes.give_up_calls()?;
            message::say(
                "one trap did not see allocations as they were: two traps see each from now on, and sums from before are in doubt",
            );
        }
        Ok(())
    }

    /// Shows the BPF side's diagnostics as they come, when asked for.
    pub(in crate::session) fn diagnostics(&mut self, options: &Options) -> anyhow::Result<Option<JoinHandle<()>>> {
        if !options.diagnostics {
            return Ok(None);
        }
        let mut logger = self.hooks()?.probes().diagnostics()?;
        Ok(Some(tokio::spawn(async move {
            loop {
                logger.flush();
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        })))
    }
}

/// A target that has ended meanwhile explains any failure better than the kernel's answer.
pub(super) fn explain(pid: u32, error: anyhow::Error) -> anyhow::Error {
    if error.is::<plan::PlanError>() {
        return error;
    }
    match crate::target::check(pid) {
        Err(gone) => anyhow::Error::new(gone).context("the target ended while memtrace was attaching to it"),
        Ok(_) => error,
    }
}

/// Begins to set watchpoints where JavaScript allocates, if that is wanted; or notes why not.
pub(super) fn watching(probes: &mut Probes, options: &Options, notes: &mut Vec<String>) -> Option<Watching> {
    if !options.javascript_sites {
        return None;
    }
    let started = probes
        .watchpoints()
        .map_err(anyhow::Error::new)
        .and_then(|watchpoints| Ok(Watching::start(watchpoints)?));
    started
        .map_err(|error| {
            notes.push(format!(
                "--javascript-sites: where JavaScript allocates is not sampled, how much is told all the same: {error:#}"
            ));
        })
        .ok()
}

/// What is to be said from the beginning; `in_namespace` when children should be followed whose numbers are not told.
pub(super) fn first_notes(in_namespace: bool, options: &Options) -> Vec<String> {
    let mut notes = Vec::new();
    if in_namespace {
        notes.push(
            "children are not followed: memtrace runs in a PID namespace of its own (a container), where the kernel does not \
             tell their numbers"
                .to_owned(),
        );
    }
    if options.once_mutant.is_some() {
        notes.push(
            "--once-mutant: probes were told wrong places on purpose, and sums are wrong until that is found"
                .to_owned(),
        );
    }
    notes
}
