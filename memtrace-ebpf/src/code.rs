//! New code: executable ranges that a process maps, or makes executable. What the collector told of its mappings is out of
//! date there, from before the first instruction runs.

use aya_ebpf::{
    helpers::{bpf_get_smp_processor_id, bpf_ktime_get_ns},
    programs::TracePointContext,
};
use memtrace_common::{
    limits::SPACE_COPIES,
    space::{HULLS, NO_TABLE, Space},
};

use crate::{
    filter::{self, Task},
    maps::{CHANGES, CURRENT, SPACES},
    unwind,
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
        changed(task, arguments.rdi, arguments.rsi, true);
    }
    0
}

/// The space in use, when it is of the process's program.
#[inline(always)]
pub(crate) fn space(task: Task) -> Option<&'static Space> {
    let copy = *CURRENT.get(task.slot)? as u32;
    let space = SPACES.get(task.slot * SPACE_COPIES + copy % SPACE_COPIES)?;
    (space.incarnation == task.incarnation).then_some(space)
}

/// Whether known code is at an address.
#[inline(always)]
pub(crate) fn is_known(task: Task, address: u64) -> bool {
    space(task).is_some_and(|space| address < unwind::mapping(space, address).end)
}

/// Notes that code is mapped anew. `same_content` says that no file was put there: then code that has no table keeps
/// having none, as compilers at run time do all day.
#[inline(always)]
pub(crate) fn changed(task: Task, start: u64, length: u64, same_content: bool) {
    let end = start.wrapping_add(length);
    let mut covers = 0;
    if let Some(space) = space(task) {
        covers = space.covers;
        let mapping = unwind::mapping(space, start);
        if same_content && mapping.arena == NO_TABLE && end <= mapping.end {
            return;
        }
    }
    let Some(changes) = CHANGES.get_ptr_mut(task.slot) else {
        return;
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
}
