//! Frees that found the ring full.

use memtrace_common::state::{LostFree, LostKey};

use super::{
    Ledger,
    process::State,
    regions::{Region, page_end},
};

impl Ledger {
    /// Applies a free that found the ring full: what was allocated before it is no longer live, what was allocated since
    /// stays.
    ///
    /// To be called once for each, and only when the ring was drained after the BPF side remembered the free: the
    /// allocation it belongs to must have been seen, or it would come later and stay for ever. The same holds for
    /// the end of a `realloc` or `munmap` whose begin was lost: were it still in flight and then failed, what
    /// it keeps would have been freed here. Whoever collects lost frees waits longer than such a call takes.
    pub fn apply_lost_free(&mut self, key: LostKey, free: LostFree) {
        let found = self.processes.find(key.incarnation);
        let applied = found.is_some_and(|process| {
            if free.size == 0 {
                self.lost_block(process, key.address, free.time_ns)
            } else {
                self.lost_range(process, key.address, page_end(key.address, free.size), free.time_ns)
            }
        });
        if applied {
            self.tally.recovered_frees += 1;
        } else {
            self.tally.outdated_frees += 1;
        }
    }

    fn lost_block(&mut self, process: usize, address: u64, freed_ns: u64) -> bool {
        let process = &mut self.processes[process];
        let live = &mut process.live;
        if live.get(address).is_none_or(|block| block.time_ns >= freed_ns) {
            return false;
        }
        let Some(block) = live.remove(address) else {
            return false;
        };
        let (site, amount) = (block.site, block.amount());
        let lifetime_ns = freed_ns.saturating_sub(block.time_ns);
        self.sites.note_lifetime(site, lifetime_ns, amount.count);
        if process.state == State::Left {
            self.sites.leave_not(site, amount, 0, &mut process.own);
        } else {
            self.sites.subtract(site, amount, &mut process.own);
        }
        true
    }

    fn lost_range(&mut self, place: usize, start: u64, end: u64, freed_ns: u64) -> bool {
        let process = &mut self.processes[place];
        // A later call may have set parts of it aside, and may put them back.
        for ranges in process.ranges_aside.iter_mut().flatten() {
            let is_older = |range: &Region| range.time_ns < freed_ns && range.start < end && start < range.end;
            let cut: Vec<Region> = ranges.extract_if(.., |range| is_older(range)).collect();
            ranges.extend(cut.into_iter().flat_map(|range| range.without(start, end)));
        }
        if process.state != State::Left {
            return !self.cut(place, start, end, freed_ns).is_empty();
        }
        let cuts = process.regions.cut(start, end, freed_ns);
        for cut in &cuts {
            self.sites
                .leave_not(cut.out.site, cut.out.amount(), cut.pieces, &mut process.own);
        }
        !cuts.is_empty()
    }
}
