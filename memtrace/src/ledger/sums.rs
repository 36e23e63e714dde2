//! The sums of all sites as they are now, for whoever writes them down again and again: a [`super::Snapshot`] looks at every block.

use memtrace_common::Op;

use super::{
    Ledger,
    sites::{APART, Left, NO_STACK, Sums},
    snapshot,
};
use crate::profile::Amount;

/// The sums of one site.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct SiteSums {
    /// Not yet freed.
    pub live: Amount,
    /// Ever allocated.
    pub allocated: Amount,
    /// Live when its process ended, whether or not others were alive.
    pub left: Amount,
    /// Live when frees stopped being seen.
    pub unknown: Amount,
    /// Live when its program was replaced.
    pub gone: Amount,
}

impl SiteSums {
    /// Of what is kept of a site.
    pub(super) const fn new(sums: &Sums, left: &Left) -> Self {
        Self {
            live: sums.live,
            allocated: sums.allocated,
            left: left.amount,
            unknown: left.unknown,
            gone: left.gone,
        }
    }

    /// What was allocated and freed: it is neither live nor left, and did not go with its program. Nothing where the sums make no
    /// sense, as a damaged or hostile recording may have them.
    pub fn temporary(&self) -> Amount {
        let still = [self.live, self.left, self.gone, self.unknown];
        still.into_iter().fold(self.allocated, Amount::less)
    }
}

/// What a site is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SiteKey {
    /// The operation.
    pub op: Op,
    /// Number of the stack in [`super::Stacks`], unless it is not known.
    pub stack: Option<u32>,
    /// The group of its processes.
    pub group: u32,
}

impl Ledger {
    /// What the sites are that came after the first `known`, in the order of their making. A [`super::Snapshot`] has them in the
    /// same order.
    pub fn site_keys(&self, known: usize) -> impl ExactSizeIterator<Item = SiteKey> {
        self.sites.keys()[APART..].iter().skip(known).map(|key| SiteKey {
            op: key.op,
            stack: (key.stack != NO_STACK).then_some(key.stack),
            group: key.group,
        })
    }

    /// The sums of all sites, in the same order.
    pub fn site_sums(&self) -> impl ExactSizeIterator<Item = SiteSums> {
        let sums = self.sites.sums()[APART..].iter().zip(&self.sites.left()[APART..]);
        sums.map(|(sums, left)| SiteSums::new(sums, left))
    }

    /// Live memory, and memory ever allocated: heap and mapped.
    pub fn memory_sums(&self) -> (Amount, Amount) {
        self.sites.memory_sums()
    }

    /// The largest live bytes of memory so far.
    pub const fn peak_live_bytes(&self) -> u64 {
        self.sites.peak_bytes
    }

    /// What could not be paired so far.
    pub const fn tally(&self) -> super::Tally {
        self.tally
    }

    /// The programs of all processes, in the order in which they began.
    pub fn process_facts(&self) -> Vec<super::ProcessFacts> {
        let known = self.processes.iter().map(snapshot::facts);
        let mut all: Vec<_> = known.chain(self.ended.iter().cloned()).collect();
        all.sort_unstable_by_key(|facts| (facts.started_ns, facts.incarnation));
        all
    }

    /// Those that are not listed.
    pub const fn processes_dropped(&self) -> super::ProcessesDropped {
        self.ended.dropped
    }
}
