//! Pools of interpreters: memory in their arenas that they have cut into blocks, by who asked for a block when there was no room.
//!
//! A pool is taken in the sight of a probe, and given back unseen: it is known to be gone when it is taken again, when its arena is unmapped, or
//! when somebody has looked ([`Ledger::end_pools`]).

use memtrace_common::{Op, event::Map};

use super::{
    Ledger,
    ranges::{END_OF_TIME, pieces},
    regions::Region,
};

impl Ledger {
    /// A pool is taken, which may have been taken before.
    pub(super) fn take_pool(&mut self, process: usize, map: &Map) {
        let site = self.site(process, Op::Pool, map.stack);
        let region = Region::new(map.address, map.size, map.header.time_ns, site);
        if region.start >= region.end {
            // No pool is empty.
            return;
        }
        self.cut_pools(process, region.start, region.end, END_OF_TIME);
        let process = &mut self.processes[process];
        let pools = process.pools.get_or_insert_default();
        if pools.len() >= self.limits.blocks_per_process {
            self.tally.not_kept += 1;
            return;
        }
        pools.insert(region);
        let amount = region.amount();
        self.sites.allocate(site, amount.bytes, amount, &mut process.own);
    }

    /// Pools in a range that are older than `before_ns` are gone.
    pub(super) fn cut_pools(&mut self, process: usize, start: u64, end: u64, before_ns: u64) {
        let process = &mut self.processes[process];
        let Some(pools) = &mut process.pools else { return };
        for cut in pools.cut(start, end, before_ns) {
            self.sites.add(cut.out.site, pieces(cut.pieces), &mut process.own);
            self.sites.subtract(cut.out.site, cut.out.amount(), &mut process.own);
        }
    }

    /// The processes that live and have taken pools: pid, incarnation, and where each pool begins (avma).
    pub fn pools(&self) -> impl Iterator<Item = (u32, u32, Vec<u64>)> {
        let living = self.processes.iter().filter(|process| process.is_alive());
        living.filter_map(|process| {
            process.pools.as_ref()?;
            let starts = process.pools().map(|pool| pool.start);
            Some((process.pid, process.incarnation, starts.collect()))
        })
    }

    /// Pools that begin at these addresses are empty, and so given back.
    pub fn end_pools(&mut self, incarnation: u32, starts: &[u64]) {
        let Some(place) = self.processes.find(incarnation) else {
            return;
        };
        if !self.processes[place].is_alive() {
            return;
        }
        for &start in starts {
            let pool = self.processes[place].pools.as_ref().and_then(|pools| pools.at(start));
            if let Some(end) = pool.filter(|pool| pool.start == start).map(|pool| pool.end) {
                self.cut_pools(place, start, end, END_OF_TIME);
            }
        }
    }
}
