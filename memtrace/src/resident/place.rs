//! Which bytes of a segment are live and resident.

use rustc_hash::FxHashMap;

use super::{
    Input,
    segments::{Segment, own_bytes},
};
use crate::{ledger::Memory, process::pages::Pages};

/// Calls `each` with every part of a block that lies in a segment: index of the segment, start, end, weight.
fn walk(segments: &[Segment], memory: &Memory, mut each: impl FnMut(usize, u64, u64, u64)) {
    // Blocks that were allocated one after the other are often neighbours.
    let mut last = 0;
    for block in memory.blocks() {
        let end = block.start.saturating_add(block.size);
        let hit = segments
            .get(last)
            .is_some_and(|segment| (segment.start..segment.end).contains(&block.start));
        if !hit {
            last = segments.partition_point(|segment| segment.end <= block.start);
        }
        let mut at = last;
        while let Some(segment) = segments.get(at).filter(|segment| segment.start < end) {
            let (start, end) = (block.start.max(segment.start), end.min(segment.end));
            if start < end {
                each(at, start, end, block.weight.into());
            }
            at += 1;
        }
    }
}

/// Counts the bytes of live blocks in each segment; all of them are taken for resident.
pub(super) fn count(segments: &mut [Segment], input: &Input<'_>) {
    let mut sums = vec![0_u64; segments.len()];
    walk(segments, input.memory, |at, start, end, weight| {
        sums[at] = sums[at].saturating_add((end - start).saturating_mul(weight));
    });
    for (segment, sum) in segments.iter_mut().zip(sums) {
        (segment.blocks, segment.live) = (sum, sum);
    }
}

/// The mappings that should have been looked at page by page, and were not.
#[derive(Debug, Default)]
pub(super) struct LookedUp(FxHashMap<usize, Option<Pages>>);

impl LookedUp {
    pub(super) fn is_coarse(&self, entry: usize) -> bool {
        matches!(self.0.get(&entry), Some(None))
    }
}

/// Looks up the pages of mappings that are resident in part and of more than one kind, and takes for live what is resident.
pub(super) fn look_up(
    segments: &mut [Segment],
    input: &Input<'_>,
    pages: &mut dyn FnMut(u64, u64) -> Option<Pages>,
) -> LookedUp {
    let mut all = FxHashMap::default();
    for group in segments.chunk_by(|one, next| one.entry == next.entry) {
        let entry = &input.entries[group[0].entry];
        let is_mixed = group.len() > 1 || group[0].blocks > 0;
        if is_mixed && own_bytes(entry) < entry.size() {
            all.insert(group[0].entry, pages(entry.start, entry.end));
        }
    }
    let mut sums = vec![0_u64; segments.len()];
    walk(segments, input.memory, |at, start, end, weight| {
        if let Some(Some(pages)) = all.get(&segments[at].entry) {
            sums[at] = sums[at].saturating_add(pages.bytes(start, end).saturating_mul(weight));
        }
    });
    for (segment, sum) in segments.iter_mut().zip(sums) {
        if let Some(Some(pages)) = all.get(&segment.entry) {
            segment.live = sum;
            segment.resident = pages.bytes(segment.start, segment.end);
        }
    }
    LookedUp(all)
}

/// What a segment gets of the bytes of its mapping.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Share {
    /// Of live blocks.
    pub(super) live: u64,
    /// Everything else.
    pub(super) other: u64,
}

/// Deals out the `bytes` of a mapping, all of them: first to live blocks, then by what is resident of each segment. The process runs
/// on while its mappings and pages are read, so this may be more or less than its segments come to; what is over goes to the
/// largest of them.
pub(super) fn shares(group: &[Segment], bytes: u64) -> Vec<Share> {
    let mut left = bytes;
    let mut take = |wanted: u64| {
        let taken = wanted.min(left);
        left -= taken;
        taken
    };
    let mut shares: Vec<Share> = group
        .iter()
        .map(|segment| Share {
            live: take(segment.live),
            other: 0,
        })
        .collect();
    for (share, segment) in shares.iter_mut().zip(group) {
        share.other = take(segment.resident.saturating_sub(share.live));
    }
    let largest = (0..group.len()).max_by_key(|&at| group[at].size());
    if let Some(largest) = largest {
        shares[largest].other += left;
    }
    shares
}
