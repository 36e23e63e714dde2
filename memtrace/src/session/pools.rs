//! Pools of Python's allocator: where they are taken, and which of them are empty again, which no probe tells.

use std::time::{Duration, Instant};

use crate::{
    ledger::Ledger,
    plan::pymalloc::Pools,
    pymalloc::{self, ProcessMemory},
};

/// Least time between two looks at the pools that are known.
const PAUSE: Duration = Duration::from_secs(1);

/// Of all the time, looking takes one part of so many at most: reading a pool's count takes a microsecond.
const SHARE: u32 = 100;

/// Where pools are taken, and what is to be said of the others.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) pools: Vec<Pools>,
    pub(super) notes: Vec<String>,
}

/// In these processes, as far as they run Python.
pub(super) fn seen(pids: impl Iterator<Item = u32>) -> Seen {
    let mut seen = Seen::default();
    for found in pids.filter_map(pymalloc::report::pools) {
        match found {
            Ok(pools) if !seen.pools.contains(&pools) => seen.pools.push(pools),
            Ok(_) => {}
            Err(why) => {
                let note = format!(
                    "growth of Python's heap is not seen by call stack ({why}); memtrace census shows it by type"
                );
                if !seen.notes.contains(&note) {
                    seen.notes.push(note);
                }
            }
        }
    }
    seen
}

/// Looks at the pools that are known, now and then.
#[derive(Debug)]
pub(super) struct Looks {
    next: Instant,
}

impl Default for Looks {
    fn default() -> Self {
        Self { next: Instant::now() }
    }
}

impl Looks {
    /// Looks if it is time.
    pub(super) fn tick(&mut self, ledger: &mut Ledger) {
        if Instant::now() >= self.next {
            self.look(ledger);
        }
    }

    /// Tells the ledger which pools are empty.
    pub(super) fn look(&mut self, ledger: &mut Ledger) {
        let begun = Instant::now();
        let all: Vec<_> = ledger.pools().collect();
        for (pid, incarnation, mut starts) in all {
            // Of one that is gone it is known only what it had.
            let Ok(memory) = ProcessMemory::open(pid) else { continue };
            starts.retain(|&start| pymalloc::is_empty(&memory, start));
            ledger.end_pools(incarnation, &starts);
        }
        let took = begun.elapsed();
        self.next = begun + took + PAUSE.max(SHARE * took);
    }
}
