//! What of a process's memory is copied as a thread's stack: little at first, more where a walk needs more.

use std::ops::Range;

use crate::process::maps;

/// Bytes that are copied first, from the stack pointer on: few stacks are deeper, but what they lie in can be of any size (that of
/// a main thread, memory that a program has made its coroutines' stacks of).
const FIRST: u64 = 256 << 10;

/// Most bytes of one stack: the usual limit of a main thread's is 8 MiB.
pub(super) const MOST: u64 = 16 << 20;

/// Most pieces of a stack besides that at the stack pointer: those that signals on stacks of their own have interrupted.
const PIECES: usize = 3;

/// Bytes below the stack pointer that belong to the stack as well (System V AMD64 ABI, 3.2.2).
const RED_ZONE: u64 = 128;

/// Memory that can be written to, as stacks can: ranges of addresses (avma), in their order. Code, files and what is kept free
/// between stacks is none of it.
#[derive(Debug, Default)]
pub(super) struct Writable(Vec<Range<u64>>);

impl Writable {
    /// That of a text of mappings.
    pub(super) fn parse(text: &str) -> Self {
        let writable = maps::parse(text).filter(|mapping| mapping.writable);
        Self(writable.map(|mapping| mapping.start..mapping.end).collect())
    }

    /// The range that an address is in.
    fn around(&self, address: u64) -> Option<&Range<u64>> {
        let after = self.0.partition_point(|range| range.start <= address);
        let range = after.checked_sub(1).and_then(|at| self.0.get(at))?;
        (address < range.end).then_some(range)
    }

    /// From an address on, so many bytes at most of what it is in.
    fn from(&self, address: u64, most: u64) -> Option<Range<u64>> {
        let range = self.around(address)?;
        Some(address..range.end.min(address.saturating_add(most)))
    }
}

/// The pieces of a thread's stack that are to be copied.
#[derive(Clone, Debug)]
pub(super) struct Pieces {
    /// Most bytes from the stack pointer on.
    first: u64,
    /// Further addresses (avma), with the most bytes from there on.
    also: Vec<(u64, u64)>,
}

/// Whether a walk can go on with a larger copy.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum More {
    /// It may.
    Copied,
    /// The stack is deeper than is copied.
    TooDeep,
    /// The memory is not there.
    Missing,
}

impl Default for Pieces {
    fn default() -> Self {
        Self {
            first: FIRST,
            also: Vec::new(),
        }
    }
}

impl Pieces {
    /// The ranges of a stack whose pointer is `sp`.
    pub(super) fn ranges(&self, sp: u64, writable: &Writable) -> Vec<Range<u64>> {
        let from_sp = writable
            .from(sp.saturating_sub(RED_ZONE), self.first)
            .or_else(|| writable.from(sp, self.first));
        let others = self.also.iter().filter_map(|&(from, most)| writable.from(from, most));
        from_sp.into_iter().chain(others).collect()
    }

    /// Adds what is needed for the word at `missing`.
    pub(super) fn grow(&mut self, sp: u64, missing: u64, writable: &Writable) -> More {
        let Some(around) = writable.around(missing) else {
            return More::Missing;
        };
        let holds = |from: u64| from <= missing && around.contains(&from);
        let first = holds(sp).then_some(&mut self.first);
        let also = (self.also.iter_mut()).find_map(|(from, most)| holds(*from).then_some(most));
        if let Some(most) = first.or(also) {
            let was = std::mem::replace(most, MOST);
            return if was < MOST { More::Copied } else { More::TooDeep };
        }
        if self.also.len() == PIECES {
            return More::TooDeep;
        }
        self.also.push((missing, FIRST));
        More::Copied
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn writable() -> Writable {
        Writable::parse(
            "\
10000000-50000000 rw-p 00000000 00:00 0\n\
50000000-50001000 ---p 00000000 00:00 0\n\
60000000-60200000 r-xp 00000000 fe:00 1311 /usr/lib/x.so\n\
70000000-70010000 rw-p 00000000 00:00 0 [stack]\n",
        )
    }

    fn copied(pieces: &Pieces, sp: u64) -> u64 {
        let ranges = pieces.ranges(sp, &writable());
        ranges.iter().map(|range| range.end - range.start).sum()
    }

    #[test]
    fn a_stack_in_a_large_mapping_is_not_copied_with_all_of_it() {
        let mut pieces = Pieces::default();
        let sp = 0x1000_0000 + MIB;
        assert_eq!(copied(&pieces, sp), FIRST);
        assert_eq!(pieces.grow(sp, sp + FIRST, &writable()), More::Copied);
        assert_eq!(copied(&pieces, sp), MOST);
        assert_eq!(pieces.grow(sp, sp + MOST, &writable()), More::TooDeep);
        assert_eq!(copied(&pieces, sp), MOST);
        // A small one ends with its mapping.
        assert_eq!(copied(&Pieces::default(), 0x7000_8000), 0x8000 + RED_ZONE);
    }

    #[test]
    fn a_stack_of_its_own_leads_to_the_one_that_was_interrupted() {
        let mut pieces = Pieces::default();
        let (sp, interrupted) = (0x7000_8000, 0x2000_0000);
        assert_eq!(pieces.grow(sp, interrupted, &writable()), More::Copied);
        assert_eq!(copied(&pieces, sp), 0x8000 + RED_ZONE + FIRST);
        assert_eq!(pieces.grow(sp, interrupted + FIRST, &writable()), More::Copied);
        assert_eq!(copied(&pieces, sp), 0x8000 + RED_ZONE + MOST);
        assert_eq!(pieces.grow(sp, interrupted + MOST, &writable()), More::TooDeep);
        // No number of them makes it copy more than some pieces.
        let below = (1..10).map(|step| pieces.grow(sp, interrupted - step * MIB, &writable()));
        assert_eq!(below.filter(|more| *more == More::Copied).count(), PIECES - 1);
    }

    #[test]
    fn what_cannot_be_written_to_is_no_stack() {
        let mut pieces = Pieces::default();
        for address in [0, 0x5000_0800, 0x6000_1000, 0x7001_0100, u64::MAX] {
            assert_eq!(copied(&pieces, address), 0, "{address:#x}");
            assert_eq!(pieces.grow(0x7000_8000, address, &writable()), More::Missing);
        }
    }
}
