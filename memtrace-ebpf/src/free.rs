//! Entry of functions that free.

use aya_ebpf::programs::ProbeContext;
use memtrace_common::{
    Cookie, Counter,
    event::{Free, Kind},
    request,
};

use crate::{emit, enter, filter, inflight, stats, unwind};

/// Sends a free. At the entry: after it, another thread may be given the same address.
#[inline(always)]
pub(crate) fn free(ctx: &ProbeContext) -> Result<(), Counter> {
    let Some(task) = filter::current() else { return Ok(()) };
    let cookie = enter::cookie(ctx);
    let Some(Cookie { op, .. }) = Cookie::unpack(cookie) else {
        return Err(Counter::BadCookie);
    };
    let address = request::read(op, [ctx.arg(0).unwrap_or(0), 0, 0]).old;
    if address == 0 {
        return Ok(());
    }
    let sp = unwind::registers(ctx).sp;
    // Inside a call that is being traced, a free belongs to that call: a `realloc` made of malloc and free.
    let part_of_another = match inflight::thread(task) {
        Ok(thread) => inflight::nested(thread, sp, cookie) || inflight::passed_on(thread, address, sp, cookie),
        Err(full) => {
            // The free itself must not be lost.
            stats::count(full);
            false
        }
    };
    if part_of_another {
        return Err(Counter::Nested);
    }
    let record = Free {
        header: emit::header(Kind::Free, Some(op), 0, task),
        address,
    };
    if !emit::record(record) {
        emit::remember(task, address, 0, record.header.time_ns);
    }
    Ok(())
}
