//! Mapped ranges of one process incarnation.

use std::collections::BTreeMap;

use crate::profile::Amount;

/// The kernel maps whole pages.
const PAGE: u64 = 4096;

/// A range, or what is left of one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Region {
    /// First byte (avma).
    pub(super) start: u64,
    /// End, on a page boundary unless the program break made it.
    pub(super) end: u64,
    /// Where the requested length ends; the rest of the last page is not counted.
    limit: u64,
    /// Kernel time of the mapping in nanoseconds.
    pub(super) time_ns: u64,
    /// Index of the site.
    pub(super) site: u32,
    /// Whether it was asked for as a thread's stack.
    pub(super) is_stack: bool,
}

impl Region {
    pub(super) const fn new(start: u64, size: u64, time_ns: u64, site: u32) -> Self {
        Self {
            start,
            end: page_end(start, size),
            limit: start.saturating_add(size),
            time_ns,
            site,
            is_stack: false,
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
            is_stack: false,
        }
    }

    /// The same as a thread's stack, or not.
    pub(super) const fn with_stack(self, is_stack: bool) -> Self {
        Self { is_stack, ..self }
    }

    /// Requested bytes that lie in it.
    pub(super) const fn bytes(&self) -> u64 {
        let end = if self.limit < self.end { self.limit } else { self.end };
        end.saturating_sub(self.start)
    }

    /// What it counts for.
    pub(super) const fn amount(&self) -> Amount {
        Amount {
            bytes: self.bytes(),
            count: 1,
        }
    }

    /// The part of it in `start..end`, which must overlap.
    pub(super) fn clip(mut self, start: u64, end: u64) -> Self {
        self.start = self.start.max(start);
        self.end = self.end.min(end);
        self
    }

    /// What is left of it without `start..end`.
    pub(super) fn without(self, start: u64, end: u64) -> impl Iterator<Item = Self> {
        let left = (self.start < start).then(|| self.clip(self.start, start.min(self.end)));
        let right = (self.end > end).then(|| self.clip(end.max(self.start), self.end));
        left.into_iter().chain(right)
    }

    /// Whether both are parts of one mapping: no two mappings were asked for at one time by one site and end at one
    /// address.
    fn is_part_of(&self, other: &Self) -> bool {
        (self.limit, self.time_ns, self.site) == (other.limit, other.time_ns, other.site)
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

    /// Adds a part that was cut out of a mapping, and joins it with the pieces beside it; gives back how many those
    /// were. Nothing may overlap it.
    pub(super) fn rejoin(&mut self, mut part: Region) -> u64 {
        let mut joined = 0;
        if let Some((_, &left)) = self.by_start.range(..part.start).next_back()
            && left.end == part.start
            && left.is_part_of(&part)
        {
            part.start = left.start;
            joined += 1;
        }
        if let Some(&right) = self.by_start.get(&part.end)
            && right.is_part_of(&part)
        {
            self.by_start.remove(&right.start);
            part.end = right.end;
            joined += 1;
        }
        self.insert(part);
        joined
    }

    /// The range that an address lies in.
    pub(super) fn at(&self, address: u64) -> Option<&Region> {
        let (_, region) = self.by_start.range(..=address).next_back()?;
        (address < region.end).then_some(region)
    }

    /// The parts of `start..end` in which there is no range.
    pub(super) fn gaps(&self, start: u64, end: u64) -> Vec<(u64, u64)> {
        let mut gaps = Vec::new();
        let mut at = start;
        if let Some(region) = self.at(start) {
            at = region.end;
        }
        while at < end {
            let next = self.by_start.range(at..end).next().map(|(_, region)| region);
            let gap_end = next.map_or(end, |region| region.start);
            if at < gap_end {
                gaps.push((at, gap_end));
            }
            at = next.map_or(end, |region| region.end);
        }
        gaps
    }

    /// Takes out what lies in `start..end` and is older than `before_ns`.
    pub(super) fn cut(&mut self, start: u64, end: u64, before_ns: u64) -> Vec<Cut> {
        if start >= end {
            return Vec::new();
        }
        let first = self.at(start).map_or(start, |region| region.start);
        let keys: Vec<u64> = self
            .by_start
            .range(first..end)
            .filter(|(_, region)| region.time_ns < before_ns)
            .map(|(&key, _)| key)
            .collect();
        let mut cuts = Vec::with_capacity(keys.len());
        for key in keys {
            let Some(region) = self.by_start.remove(&key) else {
                continue;
            };
            let mut pieces = 0;
            for piece in region.without(start, end) {
                self.insert(piece);
                pieces += 1;
            }
            cuts.push(Cut {
                out: region.clip(start, end),
                pieces,
            });
        }
        cuts
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.by_start.len()
    }

    /// The same ranges and program break, each of the site that it is given.
    pub(super) fn copy(&self, site: impl Fn(&Region) -> u32) -> Self {
        let regions = self.by_start.iter();
        let by_start = regions.map(|(&start, region)| {
            let site = site(region);
            (start, Region { site, ..*region })
        });
        Self {
            by_start: by_start.collect(),
            program_break: self.program_break,
        }
    }

    /// All ranges.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Region> {
        self.by_start.values()
    }
}
