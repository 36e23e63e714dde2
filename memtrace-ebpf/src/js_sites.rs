//! Where JavaScript's objects are allocated: a sample of the bytes that a thread takes, by watchpoints on drawn addresses.
//!
//! When an allocation area ends, a byte of the next one is drawn. The collector sets a watchpoint on its address, and who writes there first is
//! who has allocated it. A large object has no area: it is sampled where it tells of itself.

use aya_ebpf::{
    bindings::{BPF_ANY, BPF_NOEXIST, BPF_RB_FORCE_WAKEUP},
    helpers::{bpf_get_prandom_u32, bpf_ktime_get_ns},
    programs::{PerfEventContext, ProbeContext},
};
use memtrace_common::{
    Counter,
    event::{JsSampled, Kind, flag},
    v8_heap::{
        draw::{self, AreaKey, Drawn, Pace, Turn},
        space::Space,
    },
};

use crate::{
    emit, enter,
    filter::{self, Task},
    inflight, javascript, js_survival,
    maps::{AREA_TURNS, CONFIG, DRAWN, V8_PACES, WATCHES},
    stats,
    unwind::{self, At, Taken},
    v8_heap::{Found, is_collecting},
};

/// Whether that is wanted, and stacks have what it is for: while memtrace attaches they do not yet. The setting is constant when the programs
/// are verified: without it nothing of this is in them.
#[inline(always)]
fn is_wanted(task: Task) -> bool {
    CONFIG.load().javascript_sites != 0 && javascript::is_known(task)
}

/// A counter of V8's has told of bytes.
#[inline(always)]
pub(crate) fn told(ctx: &ProbeContext, task: Task, bytes: u64, found: &Found) -> Result<(), Counter> {
    if !is_wanted(task) {
        return Ok(());
    }
    if found.area != 0 {
        ended(ctx, task, found, bytes)
    } else if matches!(found.space, Space::Large) {
        large(ctx, task, bytes)
    } else {
        // Counted already.
        Ok(())
    }
}

/// Bytes from one sample of the thread to the next, when it has taken so many more.
#[inline(always)]
fn interval(task: Task, bytes: u64) -> Result<u64, Counter> {
    // SAFETY: the helper has no preconditions.
    let now_ns = unsafe { bpf_ktime_get_ns() };
    let Some(pace) = V8_PACES.get_ptr_mut(task.key) else {
        let mut pace = Pace::new(now_ns);
        let interval = pace.take(now_ns, bytes);
        let inserted = V8_PACES.insert(task.key, pace, u64::from(BPF_ANY));
        return inserted.map(|()| interval).map_err(|_full| Counter::ThreadsFull);
    };
    // SAFETY: the entry's key is the current thread, whose programs do not nest.
    Ok(unsafe { (*pace).take(now_ns, bytes) })
}

/// An area has ended: what was watched in it is over, and perhaps a byte of the next one is drawn.
#[inline(always)]
fn ended(ctx: &ProbeContext, task: Task, found: &Found, bytes: u64) -> Result<(), Counter> {
    let &Found { area, begin, space, .. } = found;
    let interval = interval(task, bytes)?;
    let key = AreaKey {
        area,
        incarnation: task.incarnation,
        tid: task.tid(),
    };
    let turn = if let Some(turn) = AREA_TURNS.get_ptr_mut(key) {
        // SAFETY: the thread's own, as above.
        let turn = unsafe { &mut *turn };
        unwritten(task, key, turn.number, begin, bytes);
        turn.number += 1;
        let stack = core::mem::take(&mut turn.stack);
        if stack != 0 {
            js_survival::follow(task, begin, stack, turn.collections);
        }
        turn.number
    } else {
        let first = Turn {
            number: 1,
            stack: 0,
            collections: 0,
        };
        let inserted = AREA_TURNS.insert(key, first, u64::from(BPF_NOEXIST));
        inserted.map_err(|_full| Counter::ThreadsFull)?;
        1
    };
    let Some(offset) = draw::in_area(random(), interval) else {
        return Ok(());
    };
    stats::count(Counter::JsDrawn);
    let Some(mut entry) = DRAWN.reserve::<Drawn>(0) else {
        return Err(Counter::LostJsSamples);
    };
    entry.write(Drawn {
        key,
        pid: task.pid,
        space: space as u32,
        turn,
        begin,
        offset,
        weight: interval,
    });
    entry.submit(u64::from(BPF_RB_FORCE_WAKEUP));
    if CONFIG.load().has_loop != 0 && matches!(space, Space::Young) && !is_collecting(task) {
        first_of_next(ctx, task, key)?;
    }
    Ok(())
}

/// Takes the stack of who wants the object that is the first of the next area.
#[inline(always)]
fn first_of_next(ctx: &ProbeContext, task: Task, key: AreaKey) -> Result<(), Counter> {
    let collections = js_survival::collections(task)?;
    let thread = inflight::thread(task)?;
    let stack = unwind::take(task, thread, unwind::registers(ctx), At::Entry);
    if let Some(turn) = AREA_TURNS.get_ptr_mut(key) {
        // SAFETY: the thread's own, whose programs do not nest.
        let turn = unsafe { &mut *turn };
        turn.stack = stack.id;
        turn.collections = collections;
    }
    Ok(())
}

/// How much was taken of an area is forgotten (avma of its description): from then on it begins elsewhere.
#[inline(always)]
pub(crate) fn forgotten(task: Task, area: u64) {
    if !is_wanted(task) {
        return;
    }
    let key = AreaKey {
        area,
        incarnation: task.incarnation,
        tid: task.tid(),
    };
    if let Some(turn) = AREA_TURNS.get_ptr_mut(key) {
        // SAFETY: the thread's own, whose programs do not nest.
        unsafe { (*turn).stack = 0 };
    }
}

/// An area has ended: tells of a byte in it that was watched and that nobody has written to. There is no stack of who took it.
#[inline(always)]
fn unwritten(task: Task, key: AreaKey, turn: u64, begin: u64, bytes: u64) {
    // SAFETY: the value's memory stays that of some watchpoint, and one of another turn is none.
    let Some(watch) = (unsafe { WATCHES.get(key) }) else {
        return;
    };
    if watch.is_unwritten(turn, begin, bytes) {
        let nobody = Taken {
            id: 0,
            flags: flag::UNWRITTEN,
        };
        if send(task, (watch.weight, watch.space), nobody).is_err() {
            stats::count(Counter::LostJsSamples);
        }
    }
}

/// A large object tells of itself.
#[inline(always)]
pub(crate) fn large(ctx: &ProbeContext, task: Task, bytes: u64) -> Result<(), Counter> {
    if !is_wanted(task) {
        return Ok(());
    }
    let interval = interval(task, bytes)?;
    let Some(weight) = draw::object(random(), interval, bytes) else {
        return Ok(());
    };
    let thread = inflight::thread(task)?;
    let stack = unwind::take(task, thread, unwind::registers(ctx), At::Entry);
    send(task, (weight, Space::Large as u32), stack)
}

/// A watchpoint was hit.
#[inline(always)]
pub(crate) fn hit(ctx: &PerfEventContext) -> Result<(), Counter> {
    let Some(task) = filter::current() else { return Ok(()) };
    let key = AreaKey {
        area: enter::cookie(ctx),
        incarnation: task.incarnation,
        tid: task.tid(),
    };
    // SAFETY: the context of such a program, valid while it runs.
    let address = unsafe { (*ctx.ctx).addr };
    // SAFETY: the value's memory stays that of some watchpoint, and one of another turn is none.
    let watch = unsafe { WATCHES.get(key) }.ok_or(Counter::JsHitsAfter)?;
    let turn = AREA_TURNS.get_ptr_mut(key).ok_or(Counter::JsHitsAfter)?;
    // SAFETY: the thread's own, whose programs do not nest.
    let turn = unsafe { &mut *turn };
    if watch.turn != turn.number || watch.address != address {
        return Err(Counter::JsHitsAfter);
    }
    // The next is no allocation.
    turn.number += 1;
    if is_collecting(task) {
        return Err(Counter::JsHitsCollecting);
    }
    let told = (watch.weight, watch.space);
    let thread = inflight::thread(task)?;
    let stack = unwind::take(task, thread, unwind::registers(ctx), At::Store);
    send(task, told, stack)
}

#[inline(always)]
fn send(task: Task, (weight, space): (u64, u32), stack: Taken) -> Result<(), Counter> {
    let sent = emit::record(JsSampled {
        header: emit::header(Kind::JsSampled, None, stack.flags, task),
        weight,
        stack: stack.id,
        space,
        reserved: 0,
    });
    if sent { Ok(()) } else { Err(Counter::LostJsSamples) }
}

#[inline(always)]
fn random() -> u32 {
    // SAFETY: the helper has no preconditions.
    unsafe { bpf_get_prandom_u32() }
}
