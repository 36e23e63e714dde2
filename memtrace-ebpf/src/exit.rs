//! Return of functions that allocate.

use aya_ebpf::{helpers::bpf_probe_read_user, programs::RetProbeContext};
use aya_log_ebpf::debug;
use memtrace_common::{
    Cookie, Counter, Op,
    event::{Alloc, Kind, Realloc, flag},
    state::Call,
};

use crate::{
    emit, enter,
    filter::{self, Task},
    inflight, stats, unwind,
};

/// Size of the return address that the return has taken off the stack, in bytes.
const RETURN_ADDRESS: u64 = 8;

/// Pairs a return with its entry and sends what came of the call.
#[inline(always)]
pub(crate) fn alloc(ctx: &RetProbeContext) -> Result<(), Counter> {
    let Some(task) = filter::current() else { return Ok(()) };
    let thread = inflight::known(task).ok_or(Counter::Unpaired)?;
    let cookie = enter::cookie(ctx);
    let sp = unwind::registers(ctx).sp.wrapping_sub(RETURN_ADDRESS);
    let call = thread.call;
    if call.sp == 0 {
        return Err(Counter::Unpaired);
    }
    if sp < call.sp || (sp == call.sp && cookie != call.cookie) {
        return Ok(());
    }
    thread.call.sp = 0;
    if sp > call.sp {
        debug!(ctx, "call at {:x} never returned", call.sp);
        stats::count(Counter::Abandoned);
        return Err(Counter::Unpaired);
    }
    let Some(Cookie { op, .. }) = Cookie::unpack(cookie) else {
        return Err(Counter::BadCookie);
    };
    let address = result(op, call, ctx.ret::<u64>());
    if op.is_realloc() && call.old != 0 {
        return reallocated(task, op, call, address?);
    }
    let address = address?;
    if address == 0 {
        return Err(Counter::Failed);
    }
    let record = Alloc {
        header: emit::header(Kind::Alloc, Some(op), call.flags as u16, task),
        address,
        size: call.size,
        stack: call.stack,
    };
    if !emit::record(record) {
        emit::lost_allocation(call.size);
    }
    Ok(())
}

/// The address of the block that a call returned, 0 when it failed.
#[inline(always)]
fn result(op: Op, call: Call, returned: u64) -> Result<u64, Counter> {
    if op as u8 != Op::PosixMemalign as u8 {
        return Ok(returned);
    }
    // An `int`: the upper half of the register is undefined.
    if returned as u32 != 0 {
        return Ok(0);
    }
    // SAFETY: the helper checks the address and fails on memory that cannot be read.
    unsafe { bpf_probe_read_user(call.out as *const u64) }.map_err(|_unreadable| Counter::BadPointer)
}

/// Commits or takes back a `realloc` of an existing block.
#[inline(always)]
fn reallocated(task: Task, op: Op, call: Call, address: u64) -> Result<(), Counter> {
    let mut flags = call.flags as u16;
    if address == 0 {
        flags |= if call.size == 0 { flag::FREED } else { flag::FAILED };
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
            emit::lost_allocation(call.size);
        }
    }
    if flags & flag::FAILED != 0 {
        Err(Counter::Failed)
    } else {
        Ok(())
    }
}
