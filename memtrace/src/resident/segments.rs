//! The mappings, cut where what is known of them changes.

use super::{Input, Old};
use crate::{
    ledger::Owner,
    process::smaps::{Behind, Entry},
    profile::spaces::Space,
};

/// Whose the memory of a segment is that is in no live block.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Whose {
    /// A file's, or shared.
    File,
    /// V8's, as a page of a heap.
    Page(Space),
    /// V8's, as code that it made elsewhere.
    Code,
    /// A thread's, as its stack.
    Thread,
    /// The program's, from the range that starts there.
    Program(u64),
    /// The program's or an allocator's.
    Either,
    /// It was not seen to be mapped: inside an allocator, or before.
    Nobody,
}

/// A part of a mapping.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    /// First byte (avma).
    pub(super) start: u64,
    /// End (avma).
    pub(super) end: u64,
    /// Index of the mapping.
    pub(super) entry: usize,
    pub(super) whose: Whose,
    /// Index of the memory from before that it is part of.
    pub(super) old: Option<usize>,
    /// Bytes of live blocks in it.
    pub(super) blocks: u64,
    /// Those of them that are resident.
    pub(super) live: u64,
    /// Bytes of it that are resident, at most.
    pub(super) resident: u64,
}

impl Segment {
    pub(super) const fn size(&self) -> u64 {
        self.end - self.start
    }
}

/// The bytes of a mapping that are to be split.
pub(super) fn own_bytes(entry: &Entry) -> u64 {
    match entry.behind {
        Behind::FileOrShared => entry.rss,
        _ => entry.anonymous.min(entry.rss),
    }
}

/// The segments of all mappings with something resident, by address.
pub(super) fn cut(input: &Input<'_>, before: &[Old], stacks: &[(u64, u64)]) -> Vec<Segment> {
    let mut segments = Vec::new();
    let mut points = Vec::new();
    for (index, entry) in input.entries.iter().enumerate() {
        if entry.rss == 0 {
            continue;
        }
        points.clear();
        points.extend([entry.start, entry.end]);
        let whole = whole(input, index);
        if whole.is_none() {
            let ranges = input.memory.ranges.iter().map(|range| (range.start, range.end));
            add_points(
                &mut points,
                entry,
                ranges,
                input.memory.ranges.partition_point(|range| range.end <= entry.start),
            );
            let old = before.iter().map(|old| (old.start, old.end));
            add_points(
                &mut points,
                entry,
                old,
                before.partition_point(|old| old.end <= entry.start),
            );
            add_points(&mut points, entry, stacks.iter().copied(), 0);
            let pages = input.heap_pages();
            add_points(
                &mut points,
                entry,
                pages.iter().map(|page| (page.start, page.end)),
                pages.partition_point(|page| page.end <= entry.start),
            );
            points.sort_unstable();
            points.dedup();
        }
        for pair in points.windows(2) {
            let (start, end) = (pair[0], pair[1]);
            segments.push(Segment {
                start,
                end,
                entry: index,
                whose: whole.unwrap_or_else(|| whose(input, entry, stacks, start)),
                old: find(start, before.len(), |at| (before[at].start, before[at].end)),
                blocks: 0,
                live: 0,
                resident: end - start,
            });
        }
    }
    segments
}

/// The bounds of what lies in a mapping, from the one at `first` on.
fn add_points(points: &mut Vec<u64>, entry: &Entry, ranges: impl Iterator<Item = (u64, u64)>, first: usize) {
    for (start, end) in ranges.skip(first).take_while(|&(start, _)| start < entry.end) {
        if end > entry.start {
            points.extend([start.max(entry.start), end.min(entry.end)]);
        }
    }
}

/// Whose a mapping is that is of one kind by what lies behind it.
fn whole(input: &Input<'_>, index: usize) -> Option<Whose> {
    let entry = &input.entries[index];
    match entry.behind {
        Behind::FileOrShared => Some(Whose::File),
        Behind::Stack => Some(Whose::Thread),
        // What a file's data continues in (`.bss`) is mapped right behind it, by the kernel or the dynamic loader.
        Behind::Anonymous => {
            let last = &input.entries[index.checked_sub(1)?];
            let is_data = last.behind == Behind::FileOrShared && last.writable && last.end == entry.start;
            (is_data && entry.writable).then_some(Whose::File)
        }
        Behind::Heap => None,
    }
}

/// Whose the memory at an address is.
fn whose(input: &Input<'_>, entry: &Entry, stacks: &[(u64, u64)], address: u64) -> Whose {
    let pages = input.heap_pages();
    if let Some(at) = find(address, pages.len(), |at| (pages[at].start, pages[at].end)) {
        return Whose::Page(pages[at].space);
    }
    if input.heaps.is_some() && entry.executable {
        return Whose::Code;
    }
    if stacks.iter().any(|&(start, end)| (start..end).contains(&address)) {
        return Whose::Thread;
    }
    let ranges = &input.memory.ranges;
    match find(address, ranges.len(), |at| (ranges[at].start, ranges[at].end)) {
        None => Whose::Nobody,
        Some(at) => match ranges[at].owner {
            Owner::Stack => Whose::Thread,
            Owner::Either => Whose::Either,
            Owner::Program => Whose::Program(ranges[at].start),
        },
    }
}

/// Which of some ranges, disjoint and by address, an address lies in.
fn find(address: u64, count: usize, range: impl Fn(usize) -> (u64, u64)) -> Option<usize> {
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = usize::midpoint(low, high);
        let (start, end) = range(middle);
        if address < start {
            high = middle;
        } else if address >= end {
            low = middle + 1;
        } else {
            return Some(middle);
        }
    }
    None
}
