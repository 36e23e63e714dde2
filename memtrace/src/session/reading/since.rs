//! What came between two moments of a recording.

use std::{hash::Hash, sync::Arc, time::Duration};

use rustc_hash::FxHashMap;

use crate::{
    ledger::{ChosenStacks, SiteFacts, Snapshot, totals},
    profile::Amount,
};

/// The later snapshot, with what was allocated, freed and left since the earlier one alone, which is of `from_ns` in kernel time; `from` is
/// when that was, since the start.
/// Sites have the same order in both, and those that came later are at the end.
pub(super) fn since(mut now: Snapshot, before: Snapshot, from_ns: u64, from: Duration) -> Snapshot {
    now.js_heaps = now.js_heaps.since(&before.js_heaps, from_ns);
    now.js_shortages = now.js_shortages.since(from_ns);
    let times = now.sites.first().map(|site| Arc::clone(site.history.times()));
    let later = times.iter().flat_map(|times| times.iter()).filter(|&&at| at >= from);
    let times: Arc<[Duration]> = later.map(|&at| at.saturating_sub(from)).collect();
    let mut earlier = before.sites.into_iter();
    now.sites.retain_mut(|site| {
        let before = earlier.next();
        site.history = site.history.last(&times);
        before.is_none_or(|before| take_away(site, before))
    });
    let before: FxHashMap<_, _> = (before.processes.iter())
        .map(|facts| (facts.incarnation, facts.allocated))
        .collect();
    for facts in &mut now.processes {
        let allocated = before.get(&facts.incarnation).copied().unwrap_or_default();
        facts.allocated = facts.allocated.less(allocated);
    }
    now.timeline.retain(|moment| moment.at >= from);
    for moment in &mut now.timeline {
        moment.at = moment.at.saturating_sub(from);
    }
    now.totals = totals(&now.sites, now.totals.peak_live_bytes);
    with_stacks_of_sites(now)
}

/// Takes away what a site had before. Whether it is of any interest: it had something then, or has, or got something.
fn take_away(site: &mut SiteFacts, before: SiteFacts) -> bool {
    let left = site.at_exit;
    site.allocated = site.allocated.less(before.allocated);
    site.at_exit = left.less(before.at_exit);
    let temporary = |now: Amount| now.less(before.spread.temporary.unwrap_or_default());
    site.spread.temporary = site.spread.temporary.map(temporary);
    take_counts(&mut site.spread.sizes, before.spread.sizes);
    take_counts(&mut site.spread.lifetimes, before.spread.lifetimes);
    [site.allocated, site.live, left, before.live]
        .iter()
        .any(|amount| amount.count > 0)
}

fn take_counts<K: Copy + Eq + Hash>(now: &mut Vec<(K, u64)>, before: Vec<(K, u64)>) {
    let before: FxHashMap<K, u64> = before.into_iter().collect();
    now.retain_mut(|(class, count)| {
        *count = count.saturating_sub(before.get(class).copied().unwrap_or(0));
        *count > 0
    });
}

/// Leaves out stacks that nothing has.
fn with_stacks_of_sites(mut snapshot: Snapshot) -> Snapshot {
    let all = std::mem::take(&mut snapshot.stacks);
    let mut stacks = ChosenStacks::new(all.len());
    for site in &mut snapshot.sites {
        site.stack = site.stack.and_then(|stack| {
            let number = u32::try_from(stack).ok()?;
            stacks.index(number, || all[stack].clone())
        });
    }
    snapshot.js_shortages = std::mem::take(&mut snapshot.js_shortages).numbered(|stack| {
        let known = all.get(stack as usize)?;
        stacks.index(stack, || known.clone())
    });
    snapshot.stacks = stacks.all;
    snapshot
}

#[cfg(test)]
mod tests {
    use memtrace_common::{
        event::{Header, JsShortage, Kind},
        v8_heap::shortage::{Shortage, WORDS},
    };

    use super::*;
    use crate::{
        decode::Event,
        ledger::{CallStack, Ledger, Limits},
        process::Location,
    };

    #[test]
    fn shortages_of_the_time_keep_their_stacks() {
        let mut ledger = Ledger::new(Limits::default());
        ledger.seed(7, 1, None);
        for (time_ns, stack) in [(1, 1), (5, 2), (9, 3)] {
            let location = Location {
                module: 0,
                address: stack,
            };
            let known = CallStack {
                locations: [location].into(),
                whole: true,
            };
            ledger.add_stack(7, 1, stack, stack, known);
            ledger.apply(&Event::JsShortage(JsShortage {
                header: Header {
                    kind: Kind::JsShortage as u8,
                    op: 0,
                    flags: 0,
                    pid: 7,
                    tid: 7,
                    incarnation: 1,
                    time_ns,
                },
                stack,
                limit: 0,
                what: Shortage::Worker as u32,
                reserved: 0,
                words: [0; WORDS],
            }));
        }
        let now = ledger.snapshot(0, 10, Duration::ZERO);
        let later = since(now, Snapshot::default(), 5, Duration::from_nanos(5));
        let (shortages, _) = later.js_shortages.shortages(5);
        let told: Vec<_> = (shortages.iter())
            .map(|shortage| (shortage.at, later.stacks[shortage.stack.unwrap()].locations[0].address))
            .collect();
        assert_eq!(told, [(Duration::ZERO, 2), (Duration::from_nanos(4), 3)]);
        assert_eq!(later.stacks.len(), 2, "those of the time before are gone");
    }
}
