//! The ledger at a moment, as a value of its own.

use std::time::Duration;

use memtrace_common::{Op, op::Class};
use rustc_hash::FxHashMap;

use super::{CallStack, Ledger, Tally};
use crate::{
    process::Location,
    profile::{Amount, Totals},
};

/// One site.
#[derive(Clone, Debug)]
pub struct SiteFacts {
    /// The operation.
    pub op: Op,
    /// The call stack, leaf first, as an index into [`Snapshot::stacks`].
    pub stack: Option<usize>,
    /// Ever allocated.
    pub allocated: Amount,
    /// Not yet freed.
    pub live: Amount,
    /// Live and at least as old as asked for.
    pub aged: Amount,
    /// Age of the oldest live block or mapping.
    pub oldest: Option<Duration>,
    /// Live bytes at the moments of the observation.
    pub history: Vec<(Duration, u64)>,
}

/// The ledger at a moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// All sites.
    pub sites: Vec<SiteFacts>,
    /// The stacks that sites refer to.
    pub stacks: Vec<CallStack>,
    /// Sums over all sites.
    pub totals: Totals,
    /// What could not be paired.
    pub tally: Tally,
    /// How many stacks are kept.
    pub kept_stacks: u64,
    /// Stacks that were not kept.
    pub stack_overflow: u64,
    /// Stacks that met under one identity.
    pub stack_collisions: u64,
}

/// What the blocks and ranges of a site say about its age.
#[derive(Clone, Copy, Debug, Default)]
struct Ages {
    aged: Amount,
    /// Nanoseconds.
    oldest: u64,
}

impl Snapshot {
    /// Where the frames of all stacks lie; what several stacks share comes again.
    pub fn locations(&self) -> impl Iterator<Item = Location> {
        self.stacks.iter().flat_map(|stack| stack.locations.iter().copied())
    }
}

impl Ledger {
    /// Takes a snapshot at `now_ns`; blocks of at least `min_age` count as aged, and histories start at `start_ns`. Looks at
    /// every live block.
    pub fn snapshot(&self, start_ns: u64, now_ns: u64, min_age: Duration) -> Snapshot {
        let mut rows = Rows::default();
        let ages = self.ages(now_ns, u64::try_from(min_age.as_nanos()).unwrap_or(u64::MAX));
        let moments = self.moments.times();
        let since_start = |time_ns: u64| Duration::from_nanos(time_ns.saturating_sub(start_ns));
        for ((key, sums, history), ages) in self.sites.iter().zip(ages) {
            let stack = rows.stack(key.stack, self.stacks.get(key.stack));
            rows.add(SiteFacts {
                op: key.op,
                stack,
                allocated: sums.allocated,
                live: sums.live,
                aged: ages.aged,
                oldest: (sums.live.count > 0).then(|| Duration::from_nanos(ages.oldest)),
                history: moments
                    .iter()
                    .zip(history.series(moments.len()))
                    .map(|(&time_ns, bytes)| (since_start(time_ns), bytes))
                    .collect(),
            });
        }
        Snapshot {
            totals: self.totals(),
            sites: rows.sites,
            stacks: rows.stacks,
            tally: self.tally,
            kept_stacks: self.stacks.len() as u64,
            stack_overflow: self.stacks.overflow,
            stack_collisions: self.stacks.collisions,
        }
    }

    /// The ages at each site.
    fn ages(&self, now_ns: u64, min_age_ns: u64) -> Vec<Ages> {
        let mut ages = vec![Ages::default(); self.sites.len()];
        let mut note = |site: u32, bytes: u64, time_ns: u64| {
            let ages = &mut ages[site as usize];
            let age = now_ns.saturating_sub(time_ns);
            ages.oldest = age.max(ages.oldest);
            if age >= min_age_ns {
                ages.aged.add(Amount { bytes, count: 1 });
            }
        };
        for process in &self.processes {
            for block in process.live.iter() {
                note(block.site, block.size, block.time_ns);
            }
            for region in process.regions.iter() {
                note(region.site, region.bytes(), region.time_ns);
            }
        }
        ages
    }

    fn totals(&self) -> Totals {
        let mut totals = Totals {
            peak_live_bytes: self.sites.peak_bytes,
            ..Totals::default()
        };
        let mut classes: Vec<(Class, Amount)> = Class::ALL.iter().map(|&class| (class, Amount::default())).collect();
        for (key, sums, _) in self.sites.iter() {
            let class = key.op.class();
            if let Some((_, amount)) = classes.iter_mut().find(|(of, _)| *of == class) {
                amount.add(sums.live);
            }
            if class.is_memory() {
                totals.live.add(sums.live);
                totals.allocated.add(sums.allocated);
            }
        }
        totals.live_by_class = classes;
        totals
    }
}

/// The rows of a snapshot under construction.
#[derive(Default)]
struct Rows {
    sites: Vec<SiteFacts>,
    stacks: Vec<CallStack>,
    by_identity: FxHashMap<u64, usize>,
    by_content: FxHashMap<(Box<[Location]>, bool), usize>,
    /// The row of each operation and stack.
    by_key: FxHashMap<(Op, Option<usize>), usize>,
}

impl Rows {
    /// The index of a stack, if it is kept. Stacks of several identities are one when their frames lie at the same places:
    /// a program that loads a library again has it at other addresses.
    fn stack(&mut self, id: u64, stack: Option<&CallStack>) -> Option<usize> {
        let stack = stack?;
        let (stacks, by_content) = (&mut self.stacks, &mut self.by_content);
        Some(*self.by_identity.entry(id).or_insert_with(|| {
            *by_content
                .entry((stack.locations.clone(), stack.whole))
                .or_insert_with(|| {
                    stacks.push(stack.clone());
                    stacks.len() - 1
                })
        }))
    }

    /// Adds a row, or to the row of the same operation and stack. Sites whose stacks are not kept are one for each
    /// operation: nothing tells them apart.
    fn add(&mut self, site: SiteFacts) {
        let key = (site.op, site.stack);
        if let Some(&row) = self.by_key.get(&key) {
            self.sites[row].absorb(site);
            return;
        }
        self.by_key.insert(key, self.sites.len());
        self.sites.push(site);
    }
}

impl SiteFacts {
    /// Adds what belongs to another site. Both histories have the same moments.
    fn absorb(&mut self, other: Self) {
        self.allocated.add(other.allocated);
        self.live.add(other.live);
        self.aged.add(other.aged);
        self.oldest = self.oldest.max(other.oldest);
        for ((_, bytes), (_, more)) in self.history.iter_mut().zip(other.history) {
            *bytes = bytes.wrapping_add(more);
        }
    }
}

impl Amount {
    /// Adds another amount. Wraps around like the sums of the ledger, which a hostile target may have driven anywhere.
    pub fn add(&mut self, other: Self) {
        self.bytes = self.bytes.wrapping_add(other.bytes);
        self.count += other.count;
    }
}
