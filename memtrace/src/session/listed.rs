//! The processes of an observation, as reports and recordings list them.

use super::{collector::Collector, description::Description, hooks::Hooked, report::since, tracer::Tracer};
use crate::{ledger::ProcessFacts, profile};

/// Processes with who they are.
pub(super) struct Listed {
    /// Their sums.
    pub(super) facts: Vec<ProcessFacts>,
    /// Who they are and what is hooked in them, in the same order, without sums.
    pub(super) who: Vec<profile::Process>,
    /// Programs whose process goes on with another one: they are in neither.
    pub(super) replaced: Vec<u32>,
    /// Times at which probes had to be put on anew.
    pub(super) gaps: u64,
}

/// Lists processes.
pub(super) fn listed(facts: Vec<ProcessFacts>, collector: &Collector, tracer: &Tracer) -> Listed {
    let mut listed = Listed {
        facts: Vec::with_capacity(facts.len()),
        who: Vec::with_capacity(facts.len()),
        replaced: Vec::new(),
        gaps: 0,
    };
    for facts in facts {
        let description = collector.processes.description(facts.incarnation).cloned();
        if description.as_ref().is_some_and(|description| description.replaced) {
            listed.replaced.push(facts.incarnation);
            continue;
        }
        let description = description.unwrap_or_else(|| Description {
            pid: facts.pid,
            ..Description::default()
        });
        let mut hooked = tracer.state().of(facts.incarnation);
        if facts.ended_ns.is_some() && hooked.allocators.is_empty() {
            // It was gone before it could be looked at.
            hooked.unhooked.clear();
        }
        listed.gaps += hooked.gaps;
        listed.who.push(described(description, hooked, tracer.started_ns()));
        listed.facts.push(facts);
    }
    listed
}

/// A process as reports show it, without its sums.
fn described(who: Description, hooked: Hooked, started_ns: u64) -> profile::Process {
    profile::Process {
        pid: who.pid,
        command: who.command,
        executable: without_mark(&who.executable),
        container: who.container,
        parent: who.parent,
        allocators: hooked.allocators,
        unhooked: hooked.unhooked,
        began: who.began_ns.map(|began_ns| since(started_ns, began_ns)),
        late: hooked.late,
        ..profile::Process::default()
    }
}

/// A path without the kernel's mark for an unlinked file, which is not part of its name.
pub(super) fn without_mark(path: &str) -> String {
    path.strip_suffix(" (deleted)").unwrap_or(path).to_owned()
}
