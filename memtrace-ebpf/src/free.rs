//! Entry of functions that free.

use aya_ebpf::programs::ProbeContext;
use memtrace_common::{
    Cookie, Counter,
    event::{Free, Kind, flag},
    request,
};

use crate::{
    emit, enter,
    filter::{self, Task},
    inflight, known, stats, unwind, young,
};

/// Sends a free. At the entry: after it, another thread may be given the same address.
#[inline(always)]
pub(crate) fn free(ctx: &ProbeContext) -> Result<(), Counter> {
    let Some(task) = filter::current() else { return Ok(()) };
    stats::count(Counter::FreeHits);
    let cookie = enter::cookie(ctx);
    let Some(hook) = Cookie::unpack(cookie) else {
        return Err(Counter::BadCookie);
    };
    let address = request::read(hook, &enter::arguments(ctx)).old;
    given_back(task, hook, cookie, address, unwind::registers(ctx).sp)
}

/// A block is given to a hook whose cookie is `cookie`, with stack pointer `sp`.
#[inline(always)]
pub(crate) fn given_back(task: Task, hook: Cookie, cookie: u64, address: u64, sp: u64) -> Result<(), Counter> {
    if address == 0 {
        return Ok(());
    }
    if !known::may_be(address) {
        stats::count(Counter::UnsampledFrees);
        return Ok(());
    }
    // Inside a call that is being traced, a free belongs to that call: a `realloc` made of malloc and free.
    let mut flags = 0;
    match inflight::thread(task) {
        Ok(thread) => {
            if inflight::nested(thread, sp, cookie) {
                return Err(Counter::Nested);
            }
            if inflight::passed_on(thread, address, sp, cookie) {
                if young::is_left(address, task, thread.freeing.left) {
                    // Nobody was given the address since the block was counted.
                    return Ok(());
                }
                flags = flag::PASSED_ON;
            }
            if young::is_on() {
                let left = young::memtrace_end(address, task.incarnation);
                if left != 0 {
                    thread.freeing.left = left;
                    return Ok(());
                }
            }
        }
        // The free itself must not be lost.
        Err(full) => {
            stats::count(full);
            if young::is_on() && young::memtrace_end(address, task.incarnation) != 0 {
                return Ok(());
            }
        }
    }
    send(task, hook, address, flags);
    Ok(())
}

/// Sends a free, or remembers it.
#[inline(always)]
pub(crate) fn send(task: Task, hook: Cookie, address: u64, flags: u16) {
    let record = Free {
        header: emit::header(Kind::Free, Some(hook.op), flags, task),
        address,
    };
    if !emit::record(record) {
        emit::remember(task, address, 0, record.header.time_ns);
    }
}
