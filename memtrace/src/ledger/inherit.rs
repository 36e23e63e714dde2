//! What a process has a copy of since it was forked.

use memtrace_common::event::Fork;

use super::{
    Ledger,
    lifecycle::Origin,
    sites::{INHERITED, inherited},
};

/// Nanoseconds of kernel time.
const SECOND: u64 = 1_000_000_000;

/// Blocks and ranges that were copied in a second.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Copies {
    since_ns: u64,
    count: usize,
}

impl Copies {
    /// Whether so many more may be copied now.
    fn allow(&mut self, count: usize, limit: usize, now_ns: u64) -> bool {
        if now_ns.saturating_sub(self.since_ns) >= SECOND {
            *self = Self {
                since_ns: now_ns,
                count: 0,
            };
        }
        let allowed = count <= limit.saturating_sub(self.count);
        if allowed {
            self.count += count;
        }
        allowed
    }
}

impl Ledger {
    /// A child begins with all that its parent has: it may free it, and that is no free of something unknown; but it is
    /// counted for no site and in no total, because the memory is shared until one of both writes to it.
    ///
    /// Most children replace their program at once, and some parents have millions of blocks: where a copy would cost more
    /// than it is worth, the child's frees of what is not known are just taken for such ones.
    pub(super) fn fork(&mut self, fork: &Fork) {
        let header = &fork.header;
        let Some(parent) = self.index(header) else { return };
        if fork.child == header.pid || self.processes.is_gone(fork.child_incarnation) {
            self.tally.strays += 1;
            return;
        }
        if let Some(known) = self.processes.find(fork.child_incarnation) {
            // The child was faster. What it has given back meanwhile cannot be told.
            let child = &mut self.processes[known];
            child.inherited_unknown |= child.parent.is_none();
            child.parent.get_or_insert(header.incarnation);
            return;
        }
        let child = self.begin(fork.child, fork.child_incarnation, header.time_ns, Origin::New);
        let group = self.processes[parent].group;
        self.processes[child].group = group;
        self.processes[child].parent = Some(header.incarnation);
        self.copy(parent, child, header.time_ns);
    }

    fn copy(&mut self, parent: usize, child: usize, now_ns: u64) {
        let from = &self.processes[parent];
        let count = from.live.len() + from.regions.len();
        let room = self.limits.inherited_total.saturating_sub(self.copied);
        let few = count <= self.limits.inherited_blocks && count <= room;
        if !few || !self.copies.allow(count, self.limits.inherited_total, now_ns) {
            let program_break = from.regions.program_break;
            let child = &mut self.processes[child];
            child.inherited_unknown = true;
            child.regions.program_break = program_break;
            return;
        }
        let unknown = from.inherited_unknown;
        let (live, blocks) = from.live.copy(INHERITED);
        let regions = from.regions.copy(|region| inherited(self.sites.op(region.site)));
        let child = &mut self.processes[child];
        self.sites.add(INHERITED, blocks, &mut child.own);
        for region in regions.iter() {
            self.sites.add(region.site, region.amount(), &mut child.own);
        }
        (child.live, child.regions, child.copied) = (live, regions, count);
        child.inherited_unknown = unknown;
        self.copied += count;
    }
}
