//! What was known at a moment of a recording, as the ledger would have said it.

use std::time::Duration;

use memtrace_common::op::Class;
use rustc_hash::FxHashMap;

use crate::{
    ledger::{CallStack, SiteFacts, SiteSums, Snapshot},
    profile::{Amount, Spread, Totals},
    store::{SiteDetail, State},
};

/// Moments that the history of a site has at most: as many as those of the ledger.
pub(super) const MOMENTS: usize = 64;

/// Live bytes of every site at some moments: only where they changed.
#[derive(Debug, Default)]
pub(super) struct Histories {
    /// Kernel time of the moments in nanoseconds.
    times: Vec<u64>,
    changes: Vec<Vec<(u32, u64)>>,
    /// What was live when the most memory was.
    peak: Vec<Amount>,
}

impl Histories {
    /// Notes a moment.
    pub(super) fn note(&mut self, state: &State) {
        let moment = u32::try_from(self.times.len()).unwrap_or(u32::MAX);
        self.times.push(state.time_ns);
        self.changes.resize(state.keys.len(), Vec::new());
        for (changes, sums) in self.changes.iter_mut().zip(state.site_sums()) {
            if changes.last().map_or(0, |&(_, bytes)| bytes) != sums.live.bytes {
                changes.push((moment, sums.live.bytes));
            }
        }
    }

    /// Notes what was live when the most memory was. Sites that came later had nothing then.
    pub(super) fn note_peak(&mut self, state: &State) {
        self.peak = state.site_sums().map(|sums| sums.live).collect();
    }

    /// The history of a site, which is given back: all of them together are most of what a reader needs.
    fn take(&mut self, site: usize, start_ns: u64) -> Vec<(Duration, u64)> {
        let changes = self.changes.get_mut(site).map(std::mem::take).unwrap_or_default();
        let mut changes = changes.iter().peekable();
        let mut bytes = 0;
        let value = |(moment, &time_ns): (usize, &u64)| {
            while let Some(&(_, change)) = changes.next_if(|(at, _)| *at as usize <= moment) {
                bytes = change;
            }
            (Duration::from_nanos(time_ns.saturating_sub(start_ns)), bytes)
        };
        self.times.iter().enumerate().map(value).collect()
    }
}

/// The snapshot at `state`, of what came after `base` alone if there is one. Histories are since `start_ns`. Blocks are old from
/// `min_age` on, where that is not what it was recorded with; then they are those of the classes that are wholly so old.
pub(super) fn snapshot(
    state: &State,
    base: Option<&State>,
    min_age: Option<Duration>,
    mut histories: Histories,
    start_ns: u64,
) -> Snapshot {
    let all_ended = state.totals.alive == 0;
    let mut stacks = Stacks::new(state);
    let mut sites = Vec::new();
    let mut base_sums = base.map(State::site_sums);
    for (site, (key, sums)) in state.keys.iter().zip(state.site_sums()).enumerate() {
        let before = base_sums.as_mut().and_then(Iterator::next).unwrap_or_default();
        let mut live = sums.live;
        if all_ended {
            live.add(sums.left);
        }
        let allocated = minus(sums.allocated, before.allocated);
        if allocated.count == 0 && live.count == 0 && sums.left.count == 0 && before.live.count == 0 {
            // Not yet, or not in this part.
            continue;
        }
        let none = SiteDetail::default();
        let detail = state.details.get(site).and_then(Option::as_deref).unwrap_or(&none);
        let old = base
            .and_then(|base| base.details.get(site)?.as_deref())
            .unwrap_or(&none);
        let aged = min_age.map_or(detail.aged, |min_age| at_least(&detail.ages, min_age));
        let age = |time_ns: u64| Duration::from_nanos(state.time_ns.saturating_sub(time_ns));
        sites.push(SiteFacts {
            op: key.op,
            stack: key.stack.map(|number| stacks.index(number)),
            group: key.group,
            allocated,
            live,
            aged: Amount {
                bytes: aged.bytes.min(live.bytes),
                count: aged.count.min(live.count),
            },
            ages: detail
                .ages
                .iter()
                .map(|&(least, amount)| (Duration::from_nanos(least), amount))
                .collect(),
            live_variance: detail.live_variance,
            oldest: detail.oldest_ns.filter(|_| live.count > 0).map(age),
            at_exit: minus(sums.left, before.left),
            unknown: sums.unknown,
            at_peak: Some(histories.peak.get(site).copied().unwrap_or_default()),
            exit_oldest: detail.left_oldest_ns.filter(|_| sums.left.count > 0).map(age),
            spread: Spread {
                temporary: matches!(key.op.class(), Class::Heap).then(|| minus(temporary(&sums), temporary(&before))),
                sizes: less(&detail.sizes, &old.sizes),
                lifetimes: less(&detail.lifetimes, &old.lifetimes)
                    .into_iter()
                    .map(|(least, count)| (Duration::from_nanos(least), count))
                    .collect(),
            },
            history: histories.take(site, start_ns),
        });
    }
    let mut processes: Vec<_> = state.processes.values().cloned().collect();
    processes.sort_unstable_by_key(|facts| (facts.started_ns, facts.incarnation));
    if let Some(base) = base {
        for facts in &mut processes {
            if let Some(before) = base.processes.get(&facts.incarnation) {
                facts.allocated = minus(facts.allocated, before.allocated);
            }
        }
    }
    Snapshot {
        totals: totals(&sites, state),
        timeline: Vec::new(),
        sites,
        stacks: stacks.all,
        processes,
        processes_dropped: state.totals.processes_dropped,
        alive: usize::try_from(state.totals.alive).unwrap_or(usize::MAX),
        tally: state.totals.tally,
        kept_stacks: state.totals.kept_stacks,
        stack_overflow: state.totals.stack_overflow,
        stack_collisions: state.totals.stack_collisions,
    }
}

/// What is in the classes of ages from this one on.
fn at_least(ages: &[(u64, Amount)], min_age: Duration) -> Amount {
    let old = ages.iter().filter(|(least, _)| Duration::from_nanos(*least) >= min_age);
    old.fold(Amount::default(), |sum, (_, amount)| sum.plus(*amount))
}

fn totals(sites: &[SiteFacts], state: &State) -> Totals {
    let mut totals = Totals {
        peak_live_bytes: state.totals.peak_live_bytes,
        ..Totals::default()
    };
    let mut classes: Vec<(Class, Amount)> = Class::ALL.iter().map(|&class| (class, Amount::default())).collect();
    for site in sites {
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

/// What came and went.
fn temporary(sums: &SiteSums) -> Amount {
    let still = [sums.live, sums.left, sums.gone, sums.unknown];
    still.into_iter().fold(sums.allocated, minus)
}

/// A damaged or hostile file may have less than there was before.
fn minus(amount: Amount, less: Amount) -> Amount {
    Amount {
        bytes: amount.bytes.saturating_sub(less.bytes),
        count: amount.count.saturating_sub(less.count),
    }
}

fn less(now: &[(u64, u64)], before: &[(u64, u64)]) -> Vec<(u64, u64)> {
    let before: FxHashMap<_, _> = before.iter().copied().collect();
    let left = now
        .iter()
        .map(|&(class, count)| (class, count.saturating_sub(before.get(&class).copied().unwrap_or(0))));
    left.filter(|&(_, count)| count > 0).collect()
}

/// The stacks that sites refer to.
struct Stacks<'state> {
    state: &'state State,
    all: Vec<CallStack>,
    places: Vec<Option<usize>>,
}

impl<'state> Stacks<'state> {
    fn new(state: &'state State) -> Self {
        Self {
            state,
            all: Vec::new(),
            places: vec![None; state.stacks()],
        }
    }

    fn index(&mut self, number: u32) -> usize {
        let all = &mut self.all;
        let mut add = || {
            all.push(self.state.stack(number));
            all.len() - 1
        };
        match self.places.get_mut(number as usize) {
            Some(place) => *place.get_or_insert_with(add),
            None => add(),
        }
    }
}
