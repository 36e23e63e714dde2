//! Events of the mapping calls: ranges.

use memtrace_common::{
    Op,
    event::{Break, Map, Remap, Unmap, flag},
    op::Class,
};

use super::{
    Ledger,
    regions::{Region, page_end},
};
use crate::profile::Amount;

/// Later than any event.
pub(super) const END_OF_TIME: u64 = u64::MAX;

impl Ledger {
    pub(super) fn map(&mut self, map: &Map) {
        let header = &map.header;
        let Some(process) = self.index(header) else { return };
        let op = Op::from_u8(header.op).unwrap_or(Op::Mmap);
        if op.class() == Class::Pools {
            return self.take_pool(process, map);
        }
        let site = self.site(process, op, map.stack);
        let region =
            Region::new(map.address, map.size, header.time_ns, site).with_stack(header.flags & flag::STACK != 0);
        let replaced = self.add_region(process, region);
        if header.flags & flag::FIXED == 0 && replaced {
            self.tally.conflicts += 1;
        }
    }

    /// Sets the ranges aside: from now on another thread may be given their addresses.
    pub(super) fn unmap_begin(&mut self, unmap: &Unmap) {
        let header = &unmap.header;
        let Some(process) = self.index(header) else { return };
        let end = page_end(unmap.address, unmap.size);
        let out = self.cut(process, unmap.address, end, END_OF_TIME);
        let out = (!out.is_empty()).then_some(out);
        self.tally.unmapped_unknown += u64::from(out.is_none());
        let aside = &mut self.processes[process].ranges_aside;
        aside.begin(header, unmap.address, out);
    }

    pub(super) fn unmap_failed(&mut self, unmap: &Unmap) {
        let header = &unmap.header;
        let Some(process) = self.index(header) else { return };
        if let Some(ranges) = self.processes[process].ranges_aside.end(header, unmap.address) {
            self.restore_ranges(process, ranges);
        }
    }

    /// Commits or takes back. As with `realloc`, an old range whose begin was lost is left to the lost free, except
    /// for what the new range covers.
    pub(super) fn remap_end(&mut self, remap: &Remap) {
        let header = &remap.header;
        let has = |bit: u16| header.flags & bit != 0;
        let Some(process) = self.index(header) else { return };
        let aside = self.processes[process].ranges_aside.end(header, remap.old);
        let began = !has(flag::BEGIN_LOST) && !has(flag::KEEP_OLD);
        let aside = aside.filter(|_| began);
        if has(flag::FAILED) {
            if let Some(ranges) = aside {
                self.restore_ranges(process, ranges);
            }
            return;
        }
        let old = match &aside {
            Some(ranges) => ranges.iter().flatten().find(|region| region.start == remap.old),
            None => self.processes[process].regions.at(remap.old),
        };
        // A file or a reservation stays what it was when it is moved.
        let op = match old.map(|region| self.sites.op(region.site)) {
            Some(op) if !op.class().is_memory() => op,
            _ => Op::Mremap,
        };
        let site = self.site(process, op, remap.stack);
        let region = Region::new(remap.address, remap.size, header.time_ns, site);
        // What is in the way was unmapped by `MREMAP_FIXED`, or is the old range, when its begin was lost.
        self.add_region(process, region);
    }

    pub(super) fn set_program_break(&mut self, new: &Break) {
        let header = &new.header;
        let Some(process) = self.index(header) else { return };
        let Some(old) = self.processes[process].regions.program_break.replace(new.address) else {
            // Where it was before is not known, so neither is what it means.
            return;
        };
        if new.address < old {
            self.cut(process, new.address, old, END_OF_TIME);
        } else if new.address > old && header.flags & flag::NESTED == 0 {
            let site = self.site(process, Op::from_u8(header.op).unwrap_or(Op::Brk), new.stack);
            self.add_region(process, Region::exact(old, new.address, header.time_ns, site));
        }
    }

    /// Takes out what lies in a range and is older than `before_ns`.
    pub(super) fn cut(&mut self, process: usize, start: u64, end: u64, before_ns: u64) -> Vec<Region> {
        self.cut_pools(process, start, end, before_ns);
        let process = &mut self.processes[process];
        let cuts = process.regions.cut(start, end, before_ns);
        for cut in &cuts {
            // What is left of a mapping counts as one still, or two. Added first, so that no count goes through -1.
            self.sites.add(cut.out.site, pieces(cut.pieces), &mut process.own);
            self.sites.subtract(cut.out.site, cut.out.amount(), &mut process.own);
        }
        cuts.into_iter().map(|cut| cut.out).collect()
    }

    /// Adds a new range; `true` when it replaced something.
    fn add_region(&mut self, process: usize, region: Region) -> bool {
        if region.start >= region.end {
            // The kernel gives out no empty range.
            return false;
        }
        let replaced = self.cut(process, region.start, region.end, END_OF_TIME);
        let process = &mut self.processes[process];
        let (site, amount) = (region.site, region.amount());
        self.sites.allocate(site, amount.bytes, amount, &mut process.own);
        process.regions.insert(region);
        !replaced.is_empty()
    }

    /// Puts back what was set aside, as it was: the call failed.
    fn restore_ranges(&mut self, process: usize, ranges: Option<Vec<Region>>) {
        let Some(ranges) = ranges else {
            // Counted at the begin, but nothing was unmapped.
            self.tally.unmapped_unknown = self.tally.unmapped_unknown.saturating_sub(1);
            return;
        };
        for range in ranges {
            let process = &mut self.processes[process];
            let free = process.regions.gaps(range.start, range.end);
            if free.as_slice() != [(range.start, range.end)] {
                // Mapped since the begin: then this part was not what the call failed to unmap. Its unmapping was missed.
                self.tally.conflicts += 1;
            }
            for (start, end) in free {
                let part = range.clip(start, end);
                self.sites.add(part.site, part.amount(), &mut process.own);
                let joined = process.regions.rejoin(part);
                self.sites.subtract(part.site, pieces(joined), &mut process.own);
            }
        }
    }
}

/// So many mappings more or less, of the same bytes.
pub(super) const fn pieces(count: u64) -> Amount {
    Amount { bytes: 0, count }
}
