//! What was known at a moment, from the events themselves.

use std::{
    cmp::Reverse,
    io::{Read, Seek},
    time::Duration,
};

use anyhow::{Context as _, bail};
use rustc_hash::FxHashMap;

use super::{
    Moment, Part, Reading, failed,
    replay::{Replayed, Told, replay},
};
use crate::ledger::{Snapshot, Tally};

/// What was found of a part of a recording.
pub(super) struct Found {
    /// At its end.
    pub(super) now: Snapshot,
    /// At its beginning, if that is not the recording's and anything was known then.
    pub(super) before: Option<Snapshot>,
    /// Records up to its end.
    pub(super) events: u64,
    /// Those of them that were not understood.
    pub(super) malformed: u64,
}

impl<R: Read + Seek> Reading<R> {
    /// Looks at every event. Blocks are old from `min_age` on.
    pub(super) fn exactly(
        &mut self,
        part: &Part,
        to_ns: u64,
        from_ns: Option<u64>,
        min_age: Duration,
    ) -> anyhow::Result<Found> {
        let mut told = Told {
            thread: part.thread,
            ..Told::default()
        };
        let before = match from_ns {
            Some(from_ns) => {
                let until_ns = Some(from_ns);
                let earlier = self.replay(Told { until_ns, ..told })?;
                Some(self.snapshot(&earlier, from_ns, part, min_age))
            }
            None => None,
        };
        if part.to == Moment::Peak {
            told.events = Some(self.replay(told)?.peak_after);
        } else {
            told.until_ns = Some(to_ns);
        }
        let replayed = self.replay(told)?;
        if let Some(thread) = part.thread {
            self.knows(thread, &replayed.threads)?;
        }
        let now_ns = told.until_ns.unwrap_or(replayed.last_ns);
        Ok(Found {
            now: self.snapshot(&replayed, now_ns, part, min_age),
            before,
            events: replayed.events,
            malformed: replayed.malformed,
        })
    }

    fn replay(&mut self, told: Told) -> anyhow::Result<Replayed> {
        replay(&mut self.session, told).with_context(|| failed(&self.path))
    }

    fn snapshot(&self, replayed: &Replayed, now_ns: u64, part: &Part, min_age: Duration) -> Snapshot {
        let start_ns = self.session.outline.start.started_ns;
        let mut snapshot = replayed.ledger.snapshot(start_ns, now_ns, min_age);
        if part.thread.is_some() {
            // What other threads allocated was left out on purpose.
            snapshot.tally = Tally::default();
        }
        snapshot
    }

    /// Refuses a thread that has no event.
    fn knows(&self, thread: u32, threads: &FxHashMap<u32, u64>) -> anyhow::Result<()> {
        if threads.contains_key(&thread) {
            return Ok(());
        }
        let mut known: Vec<_> = threads.iter().collect();
        known.sort_unstable_by_key(|&(thread, events)| (Reverse(events), thread));
        let known: Vec<String> = known.iter().take(8).map(|(thread, _)| thread.to_string()).collect();
        bail!(
            "thread {thread} has no event in this part of {}; those with the most are {}",
            self.path.display(),
            known.join(", ")
        );
    }
}
