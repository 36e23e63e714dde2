//! Checks that one probe sees allocations as they are, for the first calls: see `memtrace_common::check`. These programs are on beside
//! those that they check, and are taken off soon.

use aya_ebpf::programs::{ProbeContext, RetProbeContext};
use memtrace_common::{
    Cookie, Counter,
    check::{Check, Verdict},
    request,
};

use crate::{enter, exit::RETURN_ADDRESS, filter, inflight, maps::CHECKED, stats, unwind};

/// Puts a call on record. One that is on record never returned by its fast path, or has been left for a signal handler.
#[inline(always)]
pub(crate) fn enter(ctx: &ProbeContext) -> Result<(), Counter> {
    let Some(task) = filter::current() else { return Ok(()) };
    stats::count(Counter::CheckHits);
    let cookie = enter::cookie(ctx);
    let hook = Cookie::unpack(cookie).ok_or(Counter::BadCookie)?;
    let size = request::read(hook, &enter::arguments(ctx)).size;
    let thread = inflight::thread(task)?;
    thread.check = Check::begin(unwind::registers(ctx).sp, cookie, size);
    Ok(())
}

/// The call goes to the slow part, which has probes of its own.
#[inline(always)]
pub(crate) fn slow(ctx: &ProbeContext) -> Result<(), Counter> {
    let Some(task) = filter::current() else { return Ok(()) };
    stats::count(Counter::CheckHits);
    let cookie = enter::cookie(ctx);
    let hook = Cookie::unpack(cookie).ok_or(Counter::BadCookie)?;
    let size = request::read(hook, &enter::arguments(ctx)).size;
    if let Some(thread) = inflight::known(task) {
        let verdict = thread.check.leave(unwind::registers(ctx).sp, cookie, size);
        tell(hook, verdict);
    }
    Ok(())
}

/// The call has returned.
#[inline(always)]
pub(crate) fn exit(ctx: &RetProbeContext) -> Result<(), Counter> {
    let Some(task) = filter::current() else { return Ok(()) };
    stats::count(Counter::CheckHits);
    let cookie = enter::cookie(ctx);
    let hook = Cookie::unpack(cookie).ok_or(Counter::BadCookie)?;
    if let Some(thread) = inflight::known(task) {
        let sp = unwind::registers(ctx).sp.wrapping_sub(RETURN_ADDRESS);
        let verdict = thread.check.end(sp, cookie, ctx.ret::<u64>());
        tell(hook, verdict);
    }
    Ok(())
}

/// The fast path is about to return.
#[inline(always)]
pub(crate) fn leave(ctx: &ProbeContext) -> Result<(), Counter> {
    let Some(task) = filter::current() else { return Ok(()) };
    stats::count(Counter::CheckHits);
    let cookie = enter::cookie(ctx);
    let hook = Cookie::unpack(cookie).ok_or(Counter::BadCookie)?;
    if let Some(thread) = inflight::known(task) {
        let sp = unwind::registers(ctx).sp;
        let verdict = thread.check.end(sp, cookie, unwind::result(ctx));
        tell(hook, verdict);
    }
    Ok(())
}

/// Counts a verdict. Processors may count at once, and one call too few is counted then; but never none of those that were wrong.
#[inline(always)]
fn tell(hook: Cookie, verdict: Verdict) {
    let wrong = match verdict {
        Verdict::Nothing => return,
        Verdict::Right => 0,
        Verdict::Wrong => 1,
    };
    stats::count(Counter::OneTrapChecked);
    stats::add(Counter::OneTrapWrong, wrong);
    if let Some(checked) = CHECKED.get_ptr_mut(u32::from(hook.hook)) {
        // SAFETY: the entry is only replaced whole, before the hook's probes are on; it is never removed.
        let checked = unsafe { &mut *checked };
        checked.calls += 1;
        if wrong != 0 {
            checked.wrong += 1;
        }
    }
}
