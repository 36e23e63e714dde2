//! The health of an observation, from the counters of all stages.

use memtrace_common::Counter;

use super::report::{Raw, named};
use crate::{
    profile::{Amount, Frame, Health, Sampling, StackHealth},
    units,
};

/// How far the numbers of a report can be trusted; `whole` tells which stacks are.
pub(super) fn health(raw: &Raw, frames: &[Frame], whole: impl Fn(usize) -> bool) -> Health {
    let of = |counter: Counter| raw.counters[counter as usize];
    let tally = raw.snapshot.tally;
    let mut notes = raw.notes.clone();
    if tally.gone_with_exec.count > 0 {
        notes.push(format!(
            "the target replaced its program: {} blocks with {} were gone with the old one",
            tally.gone_with_exec.count,
            units::bytes(tally.gone_with_exec.bytes)
        ));
    }
    let (wrong, checked) = (of(Counter::OneTrapWrong), of(Counter::OneTrapChecked));
    if wrong > 0 {
        notes.push(format!(
            "of {checked} allocations that were checked, one trap did not see {wrong} as they were: sums are in doubt as far as they \
             are from before two traps took over (--two-traps observes without it)"
        ));
    }
    notes.extend(lost_of_javascript(&raw.counters));
    let deep = of(Counter::StacksDeep);
    // Allocations whose stack is not whole, those that were cut for depth apart.
    let cut: u64 = raw
        .snapshot
        .sites
        .iter()
        .filter(|site| site.stack.is_some_and(|stack| !whole(stack)))
        .map(|site| site.allocated.count)
        .sum();
    Health {
        events: raw.events,
        lost_allocations: of(Counter::LostAllocations) + of(Counter::LostPairs) + tally.stray_allocations.count,
        lost_bytes: of(Counter::LostBytes)
            .saturating_add(of(Counter::LostPairBytes))
            .saturating_add(tally.stray_allocations.bytes),
        recovered_frees: tally.recovered_frees,
        forgotten_frees: of(Counter::ForgottenFrees),
        lost_other: of(Counter::LostOther),
        // Of blocks that are not in a sample some frees come all the same.
        unmatched_frees: if raw.sampling.is_some() {
            0
        } else {
            tally.unmatched_frees
        },
        conflicts: tally.conflicts,
        malformed: raw.malformed,
        gaps: raw.gaps,
        process_count: raw.seen,
        late_processes: raw.processes.iter().filter(|process| process.late.is_some()).count() as u64,
        unhooked_processes: living_unhooked(raw),
        not_kept: tally.not_kept,
        budget: raw.budget.clone(),
        windows: raw.windows,
        sampling: raw.sampling.map(|(interval_bytes, times)| Sampling {
            interval_bytes,
            times,
            passed_over: Amount {
                bytes: of(Counter::UnsampledBytes),
                count: of(Counter::Unsampled),
            },
        }),
        stacks: StackHealth {
            distinct: raw.snapshot.kept_stacks,
            complete: of(Counter::StacksWhole),
            deep,
            broken: cut.saturating_sub(deep),
            no_table: of(Counter::StacksNoTable),
            unreadable: of(Counter::StacksUnreadable),
            unsupported: of(Counter::StacksUnsupported),
            early: of(Counter::StacksEarly),
            signal: of(Counter::StacksSignal),
            lost: of(Counter::StacksLost),
            scratch_taken: of(Counter::ScratchTaken),
            overflow: raw.snapshot.stack_overflow,
            collisions: raw.snapshot.stack_collisions,
        },
        frames_symbolized: frames.iter().filter(|frame| frame.function.is_some()).count() as u64,
        frames_total: frames.len() as u64,
        notes,
        counters: named(&raw.counters),
        cost: raw.cost.clone(),
    }
}

/// What is missing from heaps of JavaScript.
fn lost_of_javascript(counters: &[u64; Counter::COUNT]) -> Option<String> {
    let of = |counter: Counter| counters[counter as usize];
    let (bytes, collections) = (
        of(Counter::LostJsBytes),
        of(Counter::LostCollections) + of(Counter::UnreadCollections),
    );
    (bytes > 0 || collections > 0).then(|| {
        format!(
            "of JavaScript heaps, {} and {} are missing: their records found the ring full, or could not be read",
            units::bytes(bytes),
            units::plural(collections, "collection")
        )
    })
}

/// Living processes in which nothing is hooked. Of those that have ended it may not have been looked at what they had mapped.
fn living_unhooked(raw: &Raw) -> u64 {
    let all = raw.processes.iter().zip(&raw.snapshot.processes);
    all.filter(|(process, facts)| process.allocators.is_empty() && facts.ended_ns.is_none())
        .count() as u64
}
