//! What resident memory is made of: mappings as the kernel counts them, against blocks and ranges by address.
//!
//! Pure: no I/O, no clock. Every byte that the kernel counts for a mapping goes to one part, so the parts sum to the whole whatever
//! the blocks and ranges say; where they say too much, they are capped. The rules are in docs/resident.md.

mod place;
mod segments;
mod series;
mod stacks;
#[cfg(test)]
mod tests;

use rustc_hash::FxHashSet;

use self::segments::{Segment, Whose};
pub use self::series::Series;
use crate::{
    ledger::Memory,
    process::{pages::Pages, smaps::Entry},
    profile::resident::{Part, Reading},
    v8::pages::{HeapPage, HeapPages},
};

/// A process at a moment.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// Its mappings, by address and disjoint.
    pub entries: &'a [Entry],
    /// Its blocks and ranges.
    pub memory: &'a Memory,
    /// Where the stacks of its threads are, as far as that is told (avma).
    pub stack_pointers: &'a [u64],
    /// Whether calls of its allocators are seen.
    pub blocks_seen: bool,
    /// The pages of V8's heaps, where it has a V8 whose pages are understood.
    pub heaps: Option<&'a HeapPages>,
}

impl Input<'_> {
    /// The pages of V8's heaps, by address.
    fn heap_pages(&self) -> &[HeapPage] {
        self.heaps.map_or(&[], |heaps| &heaps.pages)
    }
}

/// Memory that was there when observation began.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Old {
    start: u64,
    end: u64,
    /// So much of it is left at most.
    bytes: u64,
}

/// What is remembered of a program from one reading to the next.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Whether the next reading tells what was there before.
    is_new: bool,
    /// By address and disjoint.
    before: Vec<Old>,
    /// Starts of the program's ranges in which blocks have been seen: it is an allocator's memory.
    pools: FxHashSet<u64>,
    /// Stacks of threads that were not seen to be mapped.
    stacks: Vec<(u64, u64)>,
}

impl Known {
    /// Of a program that runs when observation begins: what its first reading cannot explain was there before.
    pub fn running() -> Self {
        Self {
            is_new: true,
            ..Self::default()
        }
    }

    /// Splits what is resident now. `pages` looks up which pages of a range (avma) are in memory, where that is worth its time.
    pub fn read(&mut self, input: &Input<'_>, pages: &mut dyn FnMut(u64, u64) -> Option<Pages>) -> Reading {
        stacks::update(&mut self.stacks, input);
        let mut segments = segments::cut(input, &self.before, &self.stacks);
        place::count(&mut segments, input);
        let looked_up = place::look_up(&mut segments, input, pages);
        self.pools.retain(|&start| {
            let ranges = &input.memory.ranges;
            ranges.binary_search_by_key(&start, |range| range.start).is_ok()
        });
        for segment in &segments {
            if let Whose::Program(range) = segment.whose
                && segment.blocks > 0
            {
                self.pools.insert(range);
            }
        }
        let mut reading = Reading {
            processes: 1,
            ..Reading::default()
        };
        for entry in input.entries {
            reading.rss = reading.rss.saturating_add(entry.rss);
            reading.pss = reading.pss.saturating_add(entry.pss);
            reading.swap = reading.swap.saturating_add(entry.swap);
            reading.huge = reading.huge.saturating_add(entry.huge);
            reading.lazy_free = reading.lazy_free.saturating_add(entry.lazy_free);
        }
        if let Some(heaps) = input.heaps {
            reading.heaps = heaps.heaps;
            for page in &heaps.pages {
                let space = reading.spaces.of_mut(page.space);
                space.pages = space.pages.saturating_add(1);
                space.bytes = space.bytes.saturating_add(page.end - page.start);
            }
        }
        let mut left: Vec<u64> = self.before.iter().map(|old| old.bytes).collect();
        let mut found = Vec::new();
        for group in segments.chunk_by(|one, next| one.entry == next.entry) {
            let entry = &input.entries[group[0].entry];
            // Pages of a file or of shared memory in a mapping without either: nobody's but the kernel's.
            let own = segments::own_bytes(entry);
            reading.parts.files = reading.parts.files.saturating_add(entry.rss - own);
            for (segment, share) in group.iter().zip(place::shares(group, own)) {
                let part = reading.parts.of_mut(Part::Live);
                *part = part.saturating_add(share.live);
                self.give(segment, share.other, input, &mut left, &mut found, &mut reading);
            }
            if looked_up.is_coarse(group[0].entry) {
                reading.coarse = reading.coarse.saturating_add(own);
            }
        }
        self.keep(&left, found);
        reading.absent = live(input.memory).saturating_sub(reading.parts.live);
        reading
    }

    /// Gives the bytes of a segment that are in no live block to a part.
    fn give(
        &self,
        segment: &Segment,
        bytes: u64,
        input: &Input<'_>,
        left: &mut [u64],
        found: &mut Vec<Old>,
        reading: &mut Reading,
    ) {
        let allocators = if input.blocks_seen { Part::Held } else { Part::Unknown };
        let parts = &mut reading.parts;
        let part = match segment.whose {
            Whose::Page(space) => {
                let resident = &mut reading.spaces.of_mut(space).resident;
                *resident = resident.saturating_add(bytes);
                if space.is_code() { Part::JsCode } else { Part::JsHeap }
            }
            Whose::Code => Part::JsCode,
            Whose::File => Part::Files,
            Whose::Thread => Part::Stacks,
            Whose::Program(range) if self.pools.contains(&range) => allocators,
            Whose::Program(_) => Part::Mapped,
            Whose::Either => Part::Unknown,
            Whose::Nobody if self.is_new => {
                found.push(Old {
                    start: segment.start,
                    end: segment.end,
                    bytes,
                });
                Part::Before
            }
            Whose::Nobody => allocators,
        };
        let mut rest = bytes;
        if let (Whose::Nobody, Some(left)) = (segment.whose, segment.old.and_then(|old| left.get_mut(old))) {
            let before = rest.min(*left);
            *left -= before;
            rest -= before;
            parts.before = parts.before.saturating_add(before);
        }
        let part = parts.of_mut(part);
        *part = part.saturating_add(rest);
    }

    /// What is gone of the memory from before does not come back: what is there later was made later.
    fn keep(&mut self, left: &[u64], found: Vec<Old>) {
        for (old, left) in self.before.iter_mut().zip(left) {
            old.bytes -= left;
        }
        self.before.extend(found);
        self.before.retain(|old| old.bytes > 0);
        self.is_new = false;
    }
}

/// Live bytes of all blocks.
fn live(memory: &Memory) -> u64 {
    memory.blocks().fold(0, |sum: u64, block| {
        sum.saturating_add(block.size.saturating_mul(block.weight.into()))
    })
}
