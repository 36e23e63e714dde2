//! The ledger at a moment, as a value of its own.

use std::time::Duration;

use memtrace_common::{Op, op::Class};
use serde::{Deserialize, Serialize};

use super::{
    CallStack, JsHeaps, JsShortages, JsSiteFacts, Ledger, SiteSums, Tally, age::AgeClasses, process::Process,
    sites::Left,
};
use crate::{
    process::Location,
    profile::{Amount, History, Moment, Spread, Totals},
};

/// One site.
#[derive(Clone, Debug)]
pub struct SiteFacts {
    /// The operation.
    pub op: Op,
    /// The call stack, leaf first, as an index into [`Snapshot::stacks`].
    pub stack: Option<usize>,
    /// The group of its processes.
    pub group: u32,
    /// Ever allocated.
    pub allocated: Amount,
    /// Not yet freed. When all processes have ended, with what each left.
    pub live: Amount,
    /// Live and at least as old as asked for. Of what ended processes left it is known only whether all of it is.
    pub aged: Amount,
    /// Variance of the estimate of live bytes, by the weights of the live blocks; `None` when ended processes have left some, whose
    /// weights are not kept.
    pub live_variance: Option<f64>,
    /// Age of the oldest live block or mapping.
    pub oldest: Option<Duration>,
    /// What is live by the class of its age: (least age, how much). What ended processes left while others lived is in none.
    pub ages: Vec<(Duration, Amount)>,
    /// Live when its process ended, while others were alive or came later.
    pub at_exit: Amount,
    /// Live when frees stopped being seen: whether it was freed since is not known.
    pub unknown: Amount,
    /// Age that the oldest of these would have.
    pub exit_oldest: Option<Duration>,
    /// Live when the most memory was, where that is known.
    pub at_peak: Option<Amount>,
    /// How the allocations are spread.
    pub spread: Spread,
    /// Live bytes at the moments of the observation.
    pub history: History,
}

/// One program of one process. Amounts are of memory: heap and mapped.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ProcessFacts {
    /// Process id.
    pub pid: u32,
    /// What tells it from all others.
    pub incarnation: u32,
    /// Its group: the one it had last.
    pub group: u32,
    /// The incarnation that its process was forked from, if that was seen.
    pub parent: Option<u32>,
    /// Not yet freed. Of one that has ended it is what it left, if no other was alive then or since.
    pub live: Amount,
    /// Ever allocated.
    pub allocated: Amount,
    /// The largest live bytes at any moment.
    pub peak_live_bytes: u64,
    /// Live when it ended, if others were alive then or since. Nothing for one that was replaced by `exec`.
    pub at_exit: Amount,
    /// Of what it had a copy when it was forked, and has not given back.
    pub inherited: Amount,
    /// Whether that is not known.
    pub inherited_unknown: bool,
    /// Kernel time in nanoseconds at which it was heard of first, 0 if that is not known.
    pub started_ns: u64,
    /// Kernel time in nanoseconds at which it ended or replaced its program.
    pub ended_ns: Option<u64>,
    /// Blocks that were not kept because too many others were live.
    pub not_kept: u64,
}

/// Sums over processes that are not listed.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct ProcessesDropped {
    /// How many they are.
    pub count: u64,
    /// What they ever allocated.
    pub allocated: Amount,
    /// What was live when they ended.
    pub at_exit: Amount,
    /// The largest peak of one of them.
    pub peak_live_bytes: u64,
    /// Blocks that were not kept.
    pub not_kept: u64,
}

/// The ledger at a moment.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// All sites.
    pub sites: Vec<SiteFacts>,
    /// The stacks that sites refer to.
    pub stacks: Vec<CallStack>,
    /// Sums over all sites. The peak is of what was live at once, so it can be less than what is live when all processes have
    /// ended, which is what each left.
    pub totals: Totals,
    /// The same at the moments of the histories.
    pub timeline: Vec<Moment>,
    /// The programs of all processes, in the order in which they began.
    pub processes: Vec<ProcessFacts>,
    /// Those that have ended and are not listed.
    pub processes_dropped: ProcessesDropped,
    /// How many processes are alive.
    pub alive: usize,
    /// What could not be paired.
    pub tally: Tally,
    /// How many stacks are kept.
    pub kept_stacks: u64,
    /// Stacks that were not kept.
    pub stack_overflow: u64,
    /// Stacks that met under one identity.
    pub stack_collisions: u64,
    /// Heaps of JavaScript.
    pub js_heaps: JsHeaps,
    /// When V8 ran short of memory; stacks are indices into [`Snapshot::stacks`].
    pub js_shortages: JsShortages,
    /// Where their objects were allocated, as far as that was sampled.
    pub js_sites: Vec<JsSiteFacts>,
}

/// What the blocks and ranges of a site say about its age.
#[derive(Clone, Debug, Default)]
struct Ages {
    classes: AgeClasses,
    aged: Amount,
    variance: f64,
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
        let min_age_ns = u64::try_from(min_age.as_nanos()).unwrap_or(u64::MAX);
        let (mut ages, left) = self.ages(now_ns, min_age_ns);
        let all_ended = self.processes.alive() == 0;
        let since_start = |time_ns: u64| Duration::from_nanos(time_ns.saturating_sub(start_ns));
        let moments = self
            .moments
            .times()
            .iter()
            .map(|&time_ns| since_start(time_ns))
            .collect();
        let mut stacks = ChosenStacks::new(self.stacks.len());
        let mut sites = Vec::with_capacity(self.sites.len());
        for (site, key, sums, history) in self.sites.iter() {
            let mut live = sums.live;
            let (mut ages, left) = (std::mem::take(&mut ages[site]), left[site]);
            if all_ended {
                live.add(left.amount);
                ages.add_left(left, now_ns, min_age_ns);
            }
            let exit_age = Duration::from_nanos(now_ns.saturating_sub(left.oldest_ns));
            sites.push(SiteFacts {
                op: key.op,
                stack: (self.stacks.get(key.stack)).and_then(|stack| stacks.index(key.stack, || stack.clone())),
                group: key.group,
                allocated: sums.allocated,
                live,
                aged: ages.aged,
                live_variance: (!all_ended || left.amount.count == 0).then_some(ages.variance),
                oldest: (live.count > 0).then(|| Duration::from_nanos(ages.oldest)),
                ages: ages.classes.into_profile(),
                at_exit: left.amount,
                unknown: left.unknown,
                at_peak: None,
                exit_oldest: (left.amount.count > 0).then_some(exit_age),
                spread: Spread {
                    temporary: matches!(key.op.class(), Class::Heap).then(|| SiteSums::new(sums, &left).temporary()),
                    ..self.sites.spread(site)
                },
                history: History::new(&moments, history.series(moments.len())),
            });
        }
        let js_sites = self.js_site_facts(&mut stacks);
        let js_shortages = (self.js_shortages.clone())
            .numbered(|number| stacks.index(number, || self.stacks.get(number).cloned().unwrap_or_default()));
        Snapshot {
            totals: totals(&sites, self.sites.peak_bytes),
            timeline: (self.moments.sums())
                .map(|(time_ns, sums)| Moment {
                    at: since_start(time_ns),
                    live_bytes: sums.live_bytes,
                    allocated_bytes: Some(sums.allocated_bytes),
                    resident_bytes: None,
                    lost: sums.lost,
                })
                .collect(),
            sites,
            stacks: stacks.all,
            processes: self.process_facts(),
            processes_dropped: self.ended.dropped,
            alive: self.processes.alive(),
            tally: self.tally,
            kept_stacks: self.stacks.len() as u64,
            stack_overflow: self.stacks.overflow,
            stack_collisions: self.stacks.collisions,
            js_heaps: self.js_heaps.clone(),
            js_shortages,
            js_sites,
        }
    }

    /// The ages at each site, and what ended processes left there.
    fn ages(&self, now_ns: u64, min_age_ns: u64) -> (Vec<Ages>, Vec<Left>) {
        let mut ages = vec![Ages::default(); self.sites.indices()];
        let mut left = self.sites.left().to_vec();
        for process in self.processes.iter() {
            if !process.has_live() {
                for (site, _, time_ns) in process.things() {
                    left[site as usize].note(time_ns);
                }
                continue;
            }
            for (site, amount, time_ns) in process.things() {
                let ages = &mut ages[site as usize];
                ages.variance += variance(amount);
                let age = now_ns.saturating_sub(time_ns);
                ages.oldest = age.max(ages.oldest);
                ages.classes.add(age, amount);
                if age >= min_age_ns {
                    ages.aged.add(amount);
                }
            }
        }
        (ages, left)
    }
}

/// The sums over all sites.
pub(crate) fn totals(sites: &[SiteFacts], peak_live_bytes: u64) -> Totals {
    let mut totals = Totals {
        peak_live_bytes,
        live_by_class: Class::ALL.iter().map(|&class| (class, Amount::default())).collect(),
        ..Totals::default()
    };
    for site in sites {
        let class = site.op.class();
        if let Some((_, amount)) = totals.live_by_class.iter_mut().find(|(of, _)| *of == class) {
            amount.add(site.live);
        }
        if class.is_memory() {
            totals.live.add(site.live);
            totals.allocated.add(site.allocated);
        }
    }
    totals
}

/// What a block that stands for several adds to the variance of a sum (Horvitz and Thompson, 1952).
fn variance(amount: Amount) -> f64 {
    let (bytes, count) = (amount.bytes as f64, amount.count as f64);
    if amount.count > 1 {
        bytes * bytes * (count - 1.0) / count
    } else {
        0.0
    }
}

/// What a report says of a process.
pub(super) fn facts(process: &Process) -> ProcessFacts {
    let own = &process.own;
    ProcessFacts {
        pid: process.pid,
        incarnation: process.incarnation,
        group: process.group,
        parent: process.parent,
        live: own.live,
        allocated: own.allocated,
        peak_live_bytes: own.peak_live_bytes,
        at_exit: own.at_exit,
        inherited: own.inherited,
        inherited_unknown: process.inherited_unknown,
        started_ns: process.started_ns,
        ended_ns: process.ended_ns,
        not_kept: process.not_kept,
    }
}

/// The stacks of a snapshot under construction: those that sites refer to.
pub(crate) struct ChosenStacks {
    pub(crate) all: Vec<CallStack>,
    /// Where each stack, by the number it has elsewhere, is in `all`.
    places: Vec<Option<usize>>,
}

impl ChosenStacks {
    /// Of `count` stacks.
    pub(crate) fn new(count: usize) -> Self {
        Self {
            all: Vec::new(),
            places: vec![None; count],
        }
    }

    /// The index of stack `number`, or `None` when there is no such stack.
    pub(crate) fn index(&mut self, number: u32, stack: impl FnOnce() -> CallStack) -> Option<usize> {
        let place = self.places.get_mut(number as usize)?;
        Some(*place.get_or_insert_with(|| {
            self.all.push(stack());
            self.all.len() - 1
        }))
    }
}

impl Ages {
    /// Adds what ended processes left. How many of those blocks are old is known when all of them are, or none: else
    /// none is said to be.
    fn add_left(&mut self, left: Left, now_ns: u64, min_age_ns: u64) {
        if left.amount.count == 0 {
            return;
        }
        self.oldest = self.oldest.max(now_ns.saturating_sub(left.oldest_ns));
        if now_ns.saturating_sub(left.newest_ns) >= min_age_ns {
            self.aged.add(left.amount);
        }
    }
}
