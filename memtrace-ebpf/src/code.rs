//! New code: executable ranges that a process maps, or makes executable. What the collector told of its mappings is out of
//! date there, from before the first instruction runs.

use aya_ebpf::{
    bindings::BPF_NOEXIST,
    helpers::{bpf_get_smp_processor_id, bpf_ktime_get_ns},
    programs::TracePointContext,
};
use memtrace_common::{
    Counter,
    event::Kind,
    space::{Changes, HULLS, Hull, NO_TABLE, Space},
};

use crate::{
    emit,
    filter::{self, Task},
    maps::{CHANGES, PROCESSES, SPACES},
    recent, stats, unwind,
};

const PROT_EXEC: u64 = 4;

/// Where the record of a system call's exit holds its result.
const RESULT: usize = 16;

/// Exit of `mprotect` and `pkey_mprotect`, which take the same first three arguments.
#[inline(always)]
pub(crate) fn protected(ctx: &TracePointContext) -> u32 {
    let Some(task) = filter::current() else { return 0 };
    // SAFETY: the record of a system call's exit holds the result there.
    if unsafe { ctx.read_at::<u64>(RESULT) } != Ok(0) {
        return 0;
    }
    let arguments = unwind::entry_registers();
    if arguments.rdx & PROT_EXEC != 0 {
        tell(task, arguments.rdi, arguments.rsi, true);
    }
    0
}

/// As [`changed`], for calls that no other record tells of.
#[inline(always)]
pub(crate) fn tell(task: Task, start: u64, length: u64, same_content: bool) {
    if changed(task, start, length, same_content) && !emit::urgent(emit::header(Kind::Code, None, 0, task)) {
        stats::count(Counter::LostOther);
    }
}

/// The space in use, when it is of the process's program.
#[inline(always)]
pub(crate) fn space(task: Task) -> Option<&'static Space> {
    // SAFETY: the memory stays that of some space for as long as the program runs; whoever reads more of it than one word
    // checks the generation afterwards.
    let space = unsafe { SPACES.get(task.space) }?;
    (space.incarnation == task.space).then_some(space)
}

/// Whether known code is at an address.
#[inline(always)]
pub(crate) fn is_known(task: Task, address: u64) -> bool {
    space(task).is_some_and(|space| address < unwind::mapping(space, address).end)
}

/// Notes that code is mapped anew. `same_content` says that no file was put there: then code that has no table keeps
/// having none, as compilers at run time do all day: that changes nothing, and `false` is returned.
#[inline(always)]
pub(crate) fn changed(task: Task, start: u64, length: u64, same_content: bool) -> bool {
    let end = start.wrapping_add(length);
    let mut covers = 0;
    if let Some(space) = space(task) {
        covers = space.covers;
        let mapping = unwind::mapping(space, start);
        if same_content && mapping.arena == NO_TABLE && end <= mapping.end {
            return false;
        }
    }
    if task.space != task.incarnation {
        leave_shared(task);
        covers = 0;
    }
    recent::forget(task, start, end);
    let Some(changes) = changes(task.incarnation) else {
        stats::count(Counter::SpacesFull);
        return true;
    };
    // SAFETY: the value lives as long as the map. Programs on other processors write to other hulls; of `last` they may
    // undo a step of nanoseconds.
    let changes = unsafe { &mut *changes };
    // SAFETY: the helper has no preconditions.
    let processor = unsafe { bpf_get_smp_processor_id() };
    let hull = &mut changes.hulls[processor as usize & (HULLS - 1)];
    if hull.latest <= covers {
        hull.low = start;
        hull.high = end;
    } else {
        hull.low = hull.low.min(start);
        hull.high = hull.high.max(end);
    }
    // SAFETY: the helper has no preconditions.
    let now = unsafe { bpf_ktime_get_ns() };
    hull.latest = now;
    changes.last = changes.last.max(now);
    true
}

/// Changes of a process without any.
const NONE: Changes = Changes {
    last: 0,
    hulls: [Hull {
        latest: 0,
        low: 0,
        high: 0,
    }; HULLS],
};

/// Makes room for the changes of a new incarnation; `false` when another has the number.
#[inline(always)]
pub(crate) fn reserve(incarnation: u32) -> bool {
    CHANGES.insert(incarnation, NONE, u64::from(BPF_NOEXIST)).is_ok()
}

/// The changes of a process, made when there were none.
#[inline(always)]
fn changes(incarnation: u32) -> Option<*mut Changes> {
    if let Some(changes) = CHANGES.get_ptr_mut(incarnation) {
        return Some(changes);
    }
    // Another of its threads may be faster.
    let _there = reserve(incarnation);
    CHANGES.get_ptr_mut(incarnation)
}

/// A process that was forked has code of its own from now on: its parent's space does not speak of it. Until it has one,
/// its frames are found by frame pointer.
#[inline(always)]
fn leave_shared(task: Task) {
    for pid in [task.pid, (task.key >> 32) as u32] {
        if let Some(process) = PROCESSES.get_ptr_mut(pid) {
            // SAFETY: the value lives as long as the map; the field is written whole, and only to this.
            let process = unsafe { &mut *process };
            if process.incarnation == task.incarnation {
                process.space = task.incarnation;
            }
        }
    }
}
