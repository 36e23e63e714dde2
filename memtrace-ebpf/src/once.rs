//! Places where an allocation is seen whole: the requested size and the result are in registers, and nothing but the way back to the
//! caller follows. See `memtrace_common::once`, and `memtrace`'s plan for how such places are proven.

use aya_ebpf::programs::ProbeContext;
use memtrace_common::{Cookie, Counter, check::HOOK, once, state::Call};

use crate::{
    enter, exit, filter, inflight, sample, sampled, stats,
    unwind::{self, At},
};

/// Takes size, result and stack at once. There is never a call on record for it: between here and the return nothing is called.
#[inline(always)]
pub(crate) fn alloc(ctx: &ProbeContext) -> Result<(), Counter> {
    let Some(task) = filter::current() else { return Ok(()) };
    let cookie = enter::cookie(ctx);
    let hook = Cookie::unpack(cookie).ok_or(Counter::BadCookie)?;
    let place = hook.once().ok_or(Counter::BadCookie)?;
    if !once::holds(place.when, unwind::flags(ctx)) {
        // The branch goes to the slow part, which has probes of its own.
        return Ok(());
    }
    let thread = inflight::thread(task)?;
    let registers = unwind::registers(ctx);
    let (size, address) = (sampled::register(ctx, place.size), sampled::register(ctx, place.result));
    // Before anything is passed over: what is checked is the place.
    thread.check.take(registers.sp, cookie, size, address);
    // A call on record with this stack pointer is of another hook, which has jumped here; or it never returned: of the same hook it
    // would be in the slow part, from where no way leads here.
    let recorded = thread.call.cookie;
    let same = recorded & HOOK == cookie & HOOK;
    if inflight::nested(thread, registers.sp, if same { recorded } else { cookie }) {
        return Err(Counter::Nested);
    }
    stats::count(Counter::OneTrap);
    if address == 0 {
        return Err(Counter::Failed);
    }
    let weight = sample::weight(size);
    if weight == 0 {
        return Ok(());
    }
    let stack = unwind::take(task, thread, unwind::entry_of(registers, hook), At::Entry);
    let call = Call {
        sp: registers.sp,
        size,
        old: 0,
        out: 0,
        stack: stack.id,
        cookie,
        flags: u64::from(stack.flags),
        return_address: 0,
        weight,
        window: 0,
    };
    exit::allocated(task, hook.op, call, address);
    Ok(())
}
