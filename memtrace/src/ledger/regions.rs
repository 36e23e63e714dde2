//! Mapped ranges of one process incarnation.

use std::collections::BTreeMap;

/// The kernel maps whole pages.
const PAGE: u64 = 4096;

/// A range, or what is left of one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Region {
    /// First byte (avma).
    pub(super) start: u64,
    /// End, on a page boundary.
    pub(super) end: u64,
    /// Where the requested length ends; the rest of the last page is not counted.
    limit: u64,
    /// Kernel time of the mapping in nanoseconds.
    pub(super) time_ns: u64,
    /// Index of the site.
    pub(super) site: u32,
}

impl Region {
    pub(super) const fn new(start: u64, size: u64, time_ns: u64, site: u32) -> Self {
        let limit = start.saturating_add(size);
        Self {
            start,
            end: page_end(start, size),
            limit,
            time_ns,
            site,
        }
    }

    /// A range of bytes rather than pages, as the program break makes it.
    pub(super) const fn exact(start: u64, end: u64, time_ns: u64, site: u32) -> Self {
        Self {
            start,
            end,
            limit: end,
            time_ns,
            site,
        }
    }

    /// Requested bytes that lie in it.
    pub(super) const fn bytes(&self) -> u64 {
        let end = if self.limit < self.end { self.limit } else { self.end };
        end.saturating_sub(self.start)
    }

    /// The part of it in `start..end`, which must overlap.
    fn clip(mut self, start: u64, end: u64) -> Self {
        self.start = self.start.max(start);
        self.end = self.end.min(end);
        self
    }
}

/// The end of the pages that `size` bytes from `start` touch.
pub(super) const fn page_end(start: u64, size: u64) -> u64 {
    match start.saturating_add(size).checked_next_multiple_of(PAGE) {
        Some(end) => end,
        None => u64::MAX,
    }
}

/// Disjoint ranges by start.
#[derive(Debug, Default)]
pub(super) struct Regions {
    by_start: BTreeMap<u64, Region>,
    /// The program break, once it is known.
    pub(super) program_break: Option<u64>,
}

/// A part of a range that was taken out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Cut {
    /// The part.
    pub(super) out: Region,
    /// How many pieces are left of the range it was part of: 0, 1 or 2.
    pub(super) pieces: u64,
}

impl Regions {
    /// Adds a range; nothing may overlap it.
    pub(super) fn insert(&mut self, region: Region) {
        if region.start < region.end {
            self.by_start.insert(region.start, region);
        }
    }

    /// Puts a part back that was cut out, and joins it with what was left of its range; the number of joints.
    pub(super) fn restore(&mut self, mut region: Region) -> u64 {
        let same =
            |other: &Region| (other.site, other.time_ns, other.limit) == (region.site, region.time_ns, region.limit);
        let left = self.by_start.range(..region.start).next_back().map(|(_, left)| *left);
        let left = left.filter(|left| left.end == region.start && same(left));
        let right = self.by_start.get(&region.end).copied().filter(same);
        if let Some(left) = left {
            self.by_start.remove(&left.start);
            region.start = left.start;
        }
        if let Some(right) = right {
            self.by_start.remove(&right.start);
            region.end = right.end;
        }
        self.insert(region);
        u64::from(left.is_some()) + u64::from(right.is_some())
    }

    /// Takes out what lies in `start..end` and is older than `before_ns`.
    pub(super) fn cut(&mut self, start: u64, end: u64, before_ns: u64) -> Vec<Cut> {
        if start >= end {
            return Vec::new();
        }
        let first = self
            .by_start
            .range(..=start)
            .next_back()
            .map_or(start, |(&first, _)| first);
        let keys: Vec<u64> = self
            .by_start
            .range(first..end)
            .filter(|(_, region)| region.end > start && region.time_ns < before_ns)
            .map(|(&key, _)| key)
            .collect();
        let mut cuts = Vec::with_capacity(keys.len());
        for key in keys {
            let Some(region) = self.by_start.remove(&key) else {
                continue;
            };
            let mut pieces = 0;
            if region.start < start {
                self.insert(region.clip(region.start, start));
                pieces += 1;
            }
            if region.end > end {
                self.insert(region.clip(end, region.end));
                pieces += 1;
            }
            cuts.push(Cut {
                out: region.clip(start, end),
                pieces,
            });
        }
        cuts
    }

    /// All ranges.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Region> {
        self.by_start.values()
    }
}
