//! Stacks of threads that were not seen to be mapped: those from before, and those of libraries that do not say `MAP_STACK`.

use super::Input;
use crate::process::smaps::{Behind, Entry};

/// Forgets stacks that are gone and adds those that a stack pointer is in now. A thread that runs does not tell its pointer, so
/// what was found is kept as long as it is mapped.
pub(super) fn update(stacks: &mut Vec<(u64, u64)>, input: &Input<'_>) {
    stacks.retain(|&(start, end)| {
        let entry = at(input, start).map(|index| (&input.entries[index], looks_like_one(input, index)));
        entry.is_some_and(|(entry, like)| like && entry.end >= end)
    });
    for &pointer in input.stack_pointers {
        let known = stacks.iter().any(|&(start, end)| (start..end).contains(&pointer));
        if !known
            && let Some(index) = at(input, pointer)
            && looks_like_one(input, index)
        {
            stacks.push(around(input, &input.entries[index], pointer));
        }
    }
    stacks.sort_unstable();
}

/// The mapping at an address.
fn at(input: &Input<'_>, address: u64) -> Option<usize> {
    let index = input.entries.partition_point(|entry| entry.end <= address);
    let entry = input.entries.get(index)?;
    (entry.start <= address).then_some(index)
}

/// Memory that no huge pages were wanted for, or that has a guard below it. Coroutines, and threads of runtimes with stacks of their
/// own, may have their pointers in memory that is anything else as well.
fn looks_like_one(input: &Input<'_>, index: usize) -> bool {
    let entry = &input.entries[index];
    let guard = index.checked_sub(1).map(|below| &input.entries[below]);
    let guarded = guard.is_some_and(|guard| guard.end == entry.start && !guard.accessible);
    entry.behind == Behind::Anonymous && entry.writable && (guarded || entry.declines_huge)
}

/// The range that the pointer is in, or the mapping as far as it is in none.
fn around(input: &Input<'_>, entry: &Entry, pointer: u64) -> (u64, u64) {
    let ranges = &input.memory.ranges;
    let next = ranges.partition_point(|range| range.end <= pointer);
    let above = ranges.get(next).map_or(
        u64::MAX,
        |range| {
            if range.start <= pointer { range.end } else { range.start }
        },
    );
    let below = match ranges.get(next) {
        Some(range) if range.start <= pointer => range.start,
        _ => next.checked_sub(1).map_or(0, |last| ranges[last].end),
    };
    (entry.start.max(below), entry.end.min(above))
}
