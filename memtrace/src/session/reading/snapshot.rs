//! What was known at a moment of a recording, as the ledger would have said it.

use std::{sync::Arc, time::Duration};

use memtrace_common::op::Class;

use crate::{
    ledger::{ChosenStacks, SiteFacts, Snapshot, totals},
    profile::{Amount, History, Spread},
    store::{SiteDetail, State},
};

/// Moments that the history of a site has at most: as many as those of the ledger.
pub(super) const MOMENTS: usize = 64;

/// Live bytes of every site at some moments.
#[derive(Debug, Default)]
pub(super) struct Histories {
    /// Kernel time of the moments in nanoseconds.
    times: Vec<u64>,
    /// Of each, live bytes of the sites that there were. A list for each site would leave holes as it grows.
    bytes: Vec<Vec<u64>>,
    /// What was live when the most memory was.
    peak: Vec<Amount>,
}

impl Histories {
    /// Notes a moment.
    pub(super) fn note(&mut self, state: &State) {
        self.times.push(state.time_ns);
        self.bytes.push(state.site_sums().map(|sums| sums.live.bytes).collect());
    }

    /// Notes what was live when the most memory was. Sites that came later had nothing then.
    pub(super) fn note_peak(&mut self, state: &State) {
        self.peak = state.site_sums().map(|sums| sums.live).collect();
    }

    /// The moments since the start.
    fn moments(&self, start_ns: u64) -> Arc<[Duration]> {
        let since_start = |&time_ns: &u64| Duration::from_nanos(time_ns.saturating_sub(start_ns));
        self.times.iter().map(since_start).collect()
    }

    /// Live bytes of a site at each.
    fn of(&self, site: usize) -> impl Iterator<Item = u64> + '_ {
        let bytes = self.bytes.iter();
        bytes.map(move |sites| sites.get(site).copied().unwrap_or(0))
    }
}

/// The snapshot at `state`, of what came after `base` alone if there is one. Histories are since `start_ns`. Blocks are old from
/// `min_age` on, where that is not what it was recorded with; then they are those of the classes that are wholly so old.
pub(super) fn snapshot(state: &State, min_age: Option<Duration>, histories: &Histories, start_ns: u64) -> Snapshot {
    let all_ended = state.totals.alive == 0;
    let moments = histories.moments(start_ns);
    let mut stacks = ChosenStacks::new(state.stacks());
    let mut sites = Vec::new();
    for (site, (key, sums)) in state.keys.iter().zip(state.site_sums()).enumerate() {
        let mut live = sums.live;
        if all_ended {
            live.add(sums.left);
        }
        let none = SiteDetail::default();
        let detail = state.details.get(site).and_then(Option::as_deref).unwrap_or(&none);
        let aged = min_age.map_or(detail.aged, |min_age| at_least(&detail.ages, min_age));
        let age = |time_ns: u64| Duration::from_nanos(state.time_ns.saturating_sub(time_ns));
        sites.push(SiteFacts {
            op: key.op,
            stack: (key.stack).and_then(|number| stacks.index(number, || state.stack(number))),
            group: key.group,
            allocated: sums.allocated,
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
            at_exit: sums.left,
            unknown: sums.unknown,
            at_peak: Some(histories.peak.get(site).copied().unwrap_or_default()),
            exit_oldest: detail.left_oldest_ns.filter(|_| sums.left.count > 0).map(age),
            spread: Spread {
                temporary: matches!(key.op.class(), Class::Heap).then(|| sums.temporary()),
                sizes: detail.sizes.clone(),
                lifetimes: (detail.lifetimes.iter())
                    .map(|&(least, count)| (Duration::from_nanos(least), count))
                    .collect(),
            },
            history: History::new(&moments, histories.of(site)),
        });
    }
    let mut processes: Vec<_> = state.processes.values().cloned().collect();
    processes.sort_unstable_by_key(|facts| (facts.started_ns, facts.incarnation));
    let js_shortages = (state.js_shortages.clone()).numbered(|number| stacks.index(number, || state.stack(number)));
    Snapshot {
        totals: totals(&sites, state.totals.peak_live_bytes),
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
        js_heaps: state.js_heaps.clone(),
        js_shortages,
        // They are not recorded.
        js_sites: Vec::new(),
    }
}

/// What is in the classes of ages from this one on.
fn at_least(ages: &[(u64, Amount)], min_age: Duration) -> Amount {
    let old = ages.iter().filter(|(least, _)| Duration::from_nanos(*least) >= min_age);
    old.fold(Amount::default(), |sum, (_, amount)| sum.plus(*amount))
}
