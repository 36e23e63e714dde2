//! What a report has to say of the sites.

use std::collections::BTreeMap;

use memtrace_common::Op;

use super::{Life, Place, World};
use crate::profile::Amount;

/// A site of a report.
pub(in crate::ledger::tests) type Site = (Op, Option<u64>, u32);

/// What the model says of a site.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(in crate::ledger::tests) struct Truth {
    pub(in crate::ledger::tests) allocated: Amount,
    pub(in crate::ledger::tests) live: Amount,
    pub(in crate::ledger::tests) aged: Amount,
    pub(in crate::ledger::tests) oldest_ns: u64,
    pub(in crate::ledger::tests) at_exit: Amount,
}

impl World {
    /// What each site has.
    pub(in crate::ledger::tests) fn truth(&self, min_age_ns: u64) -> BTreeMap<Site, Truth> {
        let mut all: BTreeMap<Site, Truth> = BTreeMap::new();
        let kept = |(op, stack, group): Place| (op, (1..4).contains(&stack).then_some(stack), group);
        for (&place, &amount) in &self.allocated {
            all.entry(kept(place)).or_default().allocated.add(amount);
        }
        for program in self.programs.iter().filter(|program| program.life != Life::Over) {
            for (place, amount, time_ns) in program.owned() {
                let truth = all.entry(kept(place)).or_default();
                let age = self.now_ns - time_ns;
                truth.live.add(amount);
                truth.oldest_ns = truth.oldest_ns.max(age);
                if age >= min_age_ns {
                    truth.aged.add(amount);
                }
            }
        }
        let mut newest = BTreeMap::new();
        for &(place, amount, time_ns) in &self.left {
            all.entry(kept(place)).or_default().at_exit.add(amount);
            let newest = newest.entry(kept(place)).or_insert(time_ns);
            *newest = time_ns.max(*newest);
        }
        if self.alive() == 0 {
            for &(place, amount, time_ns) in &self.left {
                let truth = all.entry(kept(place)).or_default();
                truth.live.add(amount);
                truth.oldest_ns = truth.oldest_ns.max(self.now_ns - time_ns);
                // All of it is old, or it is not known how much is.
                if self.now_ns - newest[&kept(place)] >= min_age_ns {
                    truth.aged.add(amount);
                }
            }
        }
        all
    }
}
