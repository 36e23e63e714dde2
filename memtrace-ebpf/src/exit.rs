//! Return of functions that allocate.

use aya_ebpf::{
    helpers::bpf_probe_read_user,
    programs::{ProbeContext, RetProbeContext},
};
use aya_log_ebpf::debug;
use memtrace_common::{
    Cookie, Counter, Op,
    event::{Alloc, Kind, Realloc, flag},
    state::{Call, HOLDS_OLD, Thread},
    young::Block,
};

use crate::{
    counted, emit, enter,
    filter::{self, Task},
    inflight, known, stats, unwind, young,
};

/// Size of the return address that the return has taken off the stack, in bytes.
pub(crate) const RETURN_ADDRESS: u64 = 8;

/// Pairs the return of a probed function with its entry and sends what came of the call.
#[inline(always)]
pub(crate) fn alloc(ctx: &RetProbeContext) -> Result<(), Counter> {
    let Some(task) = filter::current() else { return Ok(()) };
    let thread = inflight::known(task).ok_or(Counter::Unpaired)?;
    let cookie = enter::cookie(ctx);
    let sp = unwind::registers(ctx).sp.wrapping_sub(RETURN_ADDRESS);
    let call = thread.call;
    if is_given(thread, sp, ctx.ret::<u64>()) {
        return Err(Counter::Nested);
    }
    if call.sp == 0 || is_of_another_window(&call) {
        return Err(Counter::Unpaired);
    }
    if sp < call.sp || (sp == call.sp && cookie != call.cookie) {
        return Ok(());
    }
    thread.call.sp = 0;
    if sp > call.sp {
        debug!(ctx, "call at {:x} never returned", call.sp);
        young::give_up(thread);
        stats::count(Counter::Abandoned);
        return Err(Counter::Unpaired);
    }
    returned(task, thread, call, ctx.ret::<u64>())
}

/// Whether a function of pymalloc's returns the block that code in line, which has called it, was said to be given: it is in the sums.
#[inline(always)]
fn is_given(thread: &mut Thread, sp: u64, address: u64) -> bool {
    let given = thread.given;
    if given.address == 0 || given.address != address || given.calls > 1 {
        return false;
    }
    thread.given.address = 0;
    if thread.call.sp == sp {
        thread.call.sp = 0;
    }
    true
}

/// The same at an instruction that returns. Others come here too: the code may be shared, so only what fits the call on
/// record is its return.
#[inline(always)]
pub(crate) fn leave(ctx: &ProbeContext) -> Result<(), Counter> {
    let Some(task) = filter::current() else { return Ok(()) };
    let Some(thread) = inflight::known(task) else {
        return Ok(());
    };
    let call = thread.call;
    if unwind::registers(ctx).sp != call.sp || enter::cookie(ctx) != call.cookie || is_of_another_window(&call) {
        return Ok(());
    }
    thread.call.sp = 0;
    returned(task, thread, call, unwind::result(ctx))
}

/// Whether a call began when it was looked at other calls than now: then it may be one that has long returned.
#[inline(always)]
pub(crate) fn is_of_another_window(call: &Call) -> bool {
    !filter::mode().is_current(call.window)
}

/// Sends what came of a call.
#[inline(always)]
pub(crate) fn returned(task: Task, thread: &Thread, call: Call, value: u64) -> Result<(), Counter> {
    let Some(hook) = Cookie::unpack(call.cookie) else {
        return Err(Counter::BadCookie);
    };
    let op = hook.op;
    if op.is_resize() {
        return resized(task, hook, call, value);
    }
    let address = result(call, value)?;
    if op.is_realloc() && call.old != 0 {
        if call.flags & HOLDS_OLD == 0 {
            if call.weight == 1 || address == 0 {
                return reallocated(task, op, call, address);
            }
            replaced(task, op, call, 0);
        }
        if address == 0 {
            return not_moved(thread, op, call);
        }
        if call.flags & HOLDS_OLD != 0 {
            counted::memtrace_count(&raw const thread.old);
        }
    }
    if address == 0 {
        return Err(Counter::Failed);
    }
    allocated(task, op, call, address);
    Ok(())
}

/// Keeps or sends a new block, if it is in the sample.
#[inline(always)]
pub(crate) fn allocated(task: Task, op: Op, call: Call, address: u64) {
    if call.weight == 0 {
        return;
    }
    known::enter(address);
    let flags = call.flags as u16 & !flag::BEGIN_LOST;
    let header = emit::header(Kind::Alloc, Some(op), flags, task);
    if young::is_on() {
        let block = Block {
            address,
            size: call.size,
            stack: call.stack,
            time_ns: header.time_ns,
            incarnation: header.incarnation,
            pid: header.pid,
            tid: header.tid,
            op: header.op,
            reserved: [0; 5],
            flags: header.flags,
            weight: call.weight,
        };
        young::memtrace_keep(&raw const block);
        return;
    }
    let alloc = Alloc {
        header,
        address,
        size: call.size,
        stack: call.stack,
    };
    let sent = if call.weight == 1 {
        emit::record(alloc)
    } else {
        emit::record(emit::weighted(alloc, call.weight))
    };
    if !sent {
        emit::lost_allocation(call.size, u64::from(call.weight));
    }
}

/// A `realloc` has freed a block. The new one is not the old one's successor: each is in the sample by itself.
#[inline(always)]
fn replaced(task: Task, op: Op, call: Call, also: u16) {
    let flags = call.flags as u16 | flag::FREED | also;
    let freed = Realloc {
        header: emit::header(Kind::ReallocEnd, Some(op), flags, task),
        old: call.old,
        address: 0,
        size: call.size,
        stack: call.stack,
    };
    if !emit::record(freed) {
        stats::count(Counter::LostOther);
    }
}

/// What a `realloc` that returned nothing has done to the block.
#[inline(always)]
const fn without_block(op: Op, call: Call) -> u16 {
    if call.size == 0 || op as u8 == Op::Reallocf as u8 {
        flag::FREED
    } else {
        flag::FAILED
    }
}

/// A `realloc` of a young block returned nothing: the block is freed, or young again.
#[inline(always)]
fn not_moved(thread: &Thread, op: Op, call: Call) -> Result<(), Counter> {
    if without_block(op, call) == flag::FREED {
        counted::memtrace_count(&raw const thread.old);
        return Ok(());
    }
    // The filter may have been made anew meanwhile.
    known::enter(thread.old.address);
    young::memtrace_keep(&raw const thread.old);
    Err(Counter::Failed)
}

/// The address of the block that a call returned, 0 when it failed.
#[inline(always)]
fn result(call: Call, returned: u64) -> Result<u64, Counter> {
    if call.out == 0 {
        return Ok(returned);
    }
    // An `int`: the upper half of the register is undefined.
    if returned as u32 != 0 {
        return Ok(0);
    }
    // SAFETY: the helper checks the address and fails on memory that cannot be read.
    unsafe { bpf_probe_read_user(call.out as *const u64) }.map_err(|_unreadable| Counter::BadPointer)
}

/// Sends that a block has another size now: as a `realloc` whose begin needs no record, because the block stays.
#[inline(always)]
fn resized(task: Task, hook: Cookie, call: Call, value: u64) -> Result<(), Counter> {
    let op = hook.op;
    let done = if op as u8 == Op::Xallocx as u8 {
        value >= call.size
    } else {
        value != 0
    };
    if !done || call.old == 0 {
        return Err(Counter::Failed);
    }
    let ended = young::is_on() && young::memtrace_end(call.old, task.incarnation) != 0;
    if call.weight != 1 {
        if !ended && known::may_be(call.old) {
            let begun = enter::begin(task, op, call.old);
            replaced(task, op, call, if begun { 0 } else { flag::BEGIN_LOST });
        }
        allocated(task, op, call, call.old);
        return Ok(());
    }
    known::enter(call.old);
    let flags = call.flags as u16 | flag::BEGIN_LOST;
    let record = Realloc {
        header: emit::header(Kind::ReallocEnd, Some(op), flags, task),
        old: call.old,
        address: call.old,
        size: call.size,
        stack: call.stack,
    };
    if !emit::record(record) {
        emit::lost_allocation(call.size, u64::from(call.weight));
    }
    Ok(())
}

/// Commits or takes back a `realloc` of an existing block.
#[inline(always)]
fn reallocated(task: Task, op: Op, call: Call, address: u64) -> Result<(), Counter> {
    let mut flags = call.flags as u16;
    if address == 0 {
        flags |= without_block(op, call);
    }
    if address != 0 {
        known::enter(address);
        if young::is_on() {
            young::given(address, task);
        }
    }
    if flags & flag::BEGIN_LOST != 0 && flags & flag::FAILED != 0 {
        emit::forget(task, call.old);
    }
    let header = emit::header(Kind::ReallocEnd, Some(op), flags, task);
    if !emit::record(Realloc {
        header,
        old: call.old,
        address,
        size: call.size,
        stack: call.stack,
    }) {
        if address == 0 {
            stats::count(Counter::LostOther);
        } else {
            emit::lost_allocation(call.size, u64::from(call.weight));
        }
    }
    if flags & flag::FAILED != 0 {
        Err(Counter::Failed)
    } else {
        Ok(())
    }
}
