//! The processes that an observation has seen.

use std::{cmp::Reverse, time::Duration};

use serde::{Deserialize, Serialize};

use super::{Allocator, Amount, Profile, Resident};

/// A process that was observed. Its sums are of memory only, like [`super::Totals`].
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Process {
    /// Process id.
    pub pid: u32,
    /// Name of its main thread (`comm`).
    pub command: String,
    /// Path of its executable as it sees it.
    pub executable: String,
    /// Runtime and id of the container that it is in: `docker 0123456789ab`.
    pub container: Option<String>,
    /// Process id of its parent, when it was forked while that was observed.
    pub parent: Option<u32>,
    /// What is hooked in it.
    pub allocators: Vec<Allocator>,
    /// What is not, although it may hand out memory; a sentence each.
    pub unhooked: Vec<String>,
    /// Not yet freed; nothing once it has ended, unless all targets have.
    pub live: Amount,
    /// Ever allocated.
    pub allocated: Amount,
    /// Live when it ended.
    pub at_exit: Amount,
    /// Its largest live bytes at any moment.
    pub peak_live_bytes: u64,
    /// Blocks that its parent had allocated before it was forked and that it has not freed. They are shared with the parent and
    /// part of no other sum.
    pub inherited: Amount,
    /// Whether `inherited` is not known: the parent had more blocks than are copied.
    pub inherited_unknown: bool,
    /// When it began, since the start of the observation; `None` for one that was there before.
    pub began: Option<Duration>,
    /// When it ended, since the start of the observation; `None` while it lives.
    pub ended: Option<Duration>,
    /// How long it ran before its probes were on, for one that joined late: what it allocated in that time is not known.
    pub late: Option<Duration>,
    /// Its allocations that there was no room for.
    pub not_kept: u64,
    /// Its resident memory, or `None` when it could not be read or it was not among the largest.
    #[serde(default)]
    pub resident: Option<Resident>,
}

/// Processes that have the same hooks.
#[derive(Debug)]
pub struct SameHooks<'profile> {
    /// The processes, in the profile's order; never none.
    pub processes: Vec<&'profile Process>,
    /// What is hooked in them.
    pub allocators: &'profile [Allocator],
    /// What is not.
    pub unhooked: &'profile [String],
}

/// Most live bytes first, then most left at the end, then most allocated; the number makes the order fixed.
pub(super) fn sort(processes: &mut [Process]) {
    processes.sort_by_key(|process| {
        (
            Reverse(process.live.bytes),
            Reverse(process.at_exit.bytes),
            Reverse(process.allocated.bytes),
            process.pid,
            process.began,
        )
    });
}

impl Profile {
    /// How many processes were observed, those included that are not listed.
    pub fn process_count(&self) -> u64 {
        let known = (self.processes.len() as u64).saturating_add(self.processes_dropped);
        known.max(self.health.process_count)
    }

    /// Whether more than one process was observed: then reports say which.
    pub fn is_of_many(&self) -> bool {
        self.process_count() > 1
    }

    /// How many of the processes have not ended. Those that are not listed all have.
    pub fn living(&self) -> u64 {
        self.processes.iter().filter(|process| process.ended.is_none()).count() as u64
    }

    /// The listed processes by what is hooked in them; most processes first.
    pub fn by_hooks(&self) -> Vec<SameHooks<'_>> {
        let mut found: Vec<SameHooks<'_>> = Vec::new();
        for process in &self.processes {
            let same = found
                .iter_mut()
                .find(|one| one.allocators == process.allocators && one.unhooked == process.unhooked);
            match same {
                Some(same) => same.processes.push(process),
                None => found.push(SameHooks {
                    processes: vec![process],
                    allocators: &process.allocators,
                    unhooked: &process.unhooked,
                }),
            }
        }
        // The sort is stable: among equals the one with the first process is first.
        found.sort_by_key(|same| Reverse(same.processes.len()));
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::fixture;

    fn process(pid: u32, live: u64) -> Process {
        Process {
            pid,
            live: Amount { bytes: live, count: 1 },
            ..Process::default()
        }
    }

    #[test]
    fn processes_are_ordered_and_counted() {
        let mut profile = fixture::profile([]);
        profile.processes = vec![process(1, 5), process(2, 9), process(4, 5), process(3, 5)];
        profile.processes[0].allocated.bytes = 1;
        profile.processes[3].ended = Some(Duration::ZERO);
        profile.processes_dropped = 2;
        let profile = profile.finished();
        let order: Vec<_> = profile.processes.iter().map(|process| process.pid).collect();
        assert_eq!(order, [2, 1, 3, 4]);
        assert_eq!((profile.process_count(), profile.living()), (6, 3));
        assert!(profile.is_of_many());
    }

    #[test]
    fn one_process_is_not_many() {
        let mut profile = fixture::profile([]);
        assert!(!profile.is_of_many());
        profile.processes.push(process(1, 1));
        assert!(!profile.is_of_many());
        profile.health.process_count = 2;
        assert!(profile.is_of_many());
    }

    #[test]
    fn equal_hooks_are_told_once() {
        let mut profile = fixture::profile([]);
        let hooked = |pid| Process {
            allocators: profile.target.allocators.clone(),
            ..process(pid, 0)
        };
        profile.processes = vec![process(1, 0), hooked(2), hooked(3)];
        let found: Vec<Vec<_>> = profile
            .by_hooks()
            .iter()
            .map(|same| same.processes.iter().map(|process| process.pid).collect())
            .collect();
        assert_eq!(found, [vec![2, 3], vec![1]]);
    }
}
