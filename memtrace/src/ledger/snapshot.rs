//! The ledger at a moment, as a value of its own.

use std::time::Duration;

use memtrace_common::{Op, op::Class};

use super::{Ledger, Tally};
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
    /// The stacks that sites refer to, leaf first.
    pub stacks: Vec<Box<[Location]>>,
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

impl Ledger {
    /// Takes a snapshot at `now_ns`; blocks of at least `min_age` count as aged, and histories start at `start_ns`.
    pub fn snapshot(&self, start_ns: u64, now_ns: u64, min_age: Duration) -> Snapshot {
        let min_age_ns = u64::try_from(min_age.as_nanos()).unwrap_or(u64::MAX);
        let mut aged = vec![(Amount::default(), 0_u64); self.sites.iter().count()];
        let mut note = |site: u32, bytes: u64, time_ns: u64| {
            let (amount, oldest) = &mut aged[site as usize];
            let age = now_ns.saturating_sub(time_ns);
            *oldest = age.max(*oldest);
            if age >= min_age_ns {
                amount.bytes += bytes;
                amount.count += 1;
            }
        };
        for process in &self.processes {
            process
                .live
                .iter()
                .for_each(|block| note(block.site, block.size, block.time_ns));
            process
                .regions
                .iter()
                .for_each(|region| note(region.site, region.bytes(), region.time_ns));
        }
        let mut stacks = Vec::new();
        let mut known = rustc_hash::FxHashMap::default();
        let moments = self.moments.times();
        let sites = self.sites.iter().zip(aged).map(|(site, (aged, oldest))| SiteFacts {
            op: site.op,
            stack: self.stacks.get(site.stack).map(|locations| {
                *known.entry(site.stack).or_insert_with(|| {
                    stacks.push(locations.into());
                    stacks.len() - 1
                })
            }),
            allocated: site.allocated,
            live: site.live,
            aged,
            oldest: (site.live.count > 0).then(|| Duration::from_nanos(oldest)),
            history: moments
                .iter()
                .zip(site.history.series(moments.len()))
                .map(|(&time, bytes)| (Duration::from_nanos(time.saturating_sub(start_ns)), bytes))
                .collect(),
        });
        let sites: Vec<_> = sites.collect();
        Snapshot {
            totals: self.totals(),
            sites,
            stacks,
            tally: self.tally,
            kept_stacks: self.stacks.len() as u64,
            stack_overflow: self.stacks.overflow,
            stack_collisions: self.stacks.collisions,
        }
    }

    fn totals(&self) -> Totals {
        let mut totals = Totals {
            peak_live_bytes: self.sites.peak_bytes,
            ..Totals::default()
        };
        let mut classes: Vec<(Class, Amount)> = Class::ALL.iter().map(|&class| (class, Amount::default())).collect();
        for site in self.sites.iter() {
            let class = site.op.class();
            if let Some((_, amount)) = classes.iter_mut().find(|(of, _)| *of == class) {
                amount.add(site.live);
            }
            if class.is_memory() {
                totals.live.add(site.live);
                totals.allocated.add(site.allocated);
            }
        }
        totals.live_by_class = classes;
        totals
    }
}

impl Amount {
    /// Adds another amount.
    pub fn add(&mut self, other: Self) {
        self.bytes += other.bytes;
        self.count += other.count;
    }
}
