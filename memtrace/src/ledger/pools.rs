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
        self.cut_pools(process, region.start, region.end, END_OF_TIME);
        let process = &mut self.processes[process];
        if process.pools.len() >= self.limits.blocks_per_process {
            self.tally.not_kept += 1;
            return;
        }
        let amount = region.amount();
        self.sites.allocate(site, amount.bytes, amount, &mut process.own);
        process.pools.insert(region);
    }

    /// Pools in a range that are older than `before_ns` are gone.
    pub(super) fn cut_pools(&mut self, process: usize, start: u64, end: u64, before_ns: u64) {
        let process = &mut self.processes[process];
        for cut in process.pools.cut(start, end, before_ns) {
            self.sites.add(cut.out.site, pieces(cut.pieces), &mut process.own);
            self.sites.subtract(cut.out.site, cut.out.amount(), &mut process.own);
        }
    }

    /// The processes that live and have pools: pid, incarnation, and where each begins (avma).
    pub fn pools(&self) -> impl Iterator<Item = (u32, u32, Vec<u64>)> {
        let living = self.processes.iter().filter(|process| process.is_alive());
        living.filter(|process| process.pools.len() > 0).map(|process| {
            let starts = process.pools.iter().map(|pool| pool.start);
            (process.pid, process.incarnation, starts.collect())
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
            if let Some(end) = self.processes[place].pools.at(start).map(|pool| pool.end) {
                self.cut_pools(place, start, end, END_OF_TIME);
            }
        }
    }
}
