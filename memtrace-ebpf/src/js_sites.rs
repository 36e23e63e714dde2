//! Where JavaScript's objects are allocated: a sample of the bytes that a thread takes, by watchpoints on drawn addresses.
//!
//! When an allocation area ends, a byte of the next one is drawn. The collector sets a watchpoint on its address, and who writes there first is
//! who has allocated it. A large object has no area: it is sampled where it tells of itself.

use aya_ebpf::{
    EbpfContext as _,
    bindings::{BPF_ANY, BPF_NOEXIST, BPF_RB_FORCE_WAKEUP, pt_regs},
    helpers::{bpf_get_prandom_u32, bpf_ktime_get_ns},
    programs::{PerfEventContext, ProbeContext},
};
use memtrace_common::{
    Counter,
    event::{JsSampled, Kind, flag},
    v8_heap::{
        PAGE, Told,
        draw::{self, AreaKey, Drawn, Pace},
        taken,
    },
};

use crate::{
    emit, enter,
    filter::{self, Task},
    inflight, javascript,
    maps::{AREA_TURNS, CONFIG, DRAWN, V8_PACES, WATCHES},
    stats,
    unwind::{self, At, Taken},
    v8_heap::{is_collecting, read},
};

/// Objects of more bytes have a page of their own: half of a page (`kMaxRegularHeapObjectSize`, src/common/globals.h).
const LARGE: u64 = PAGE / 2;

/// Whether that is wanted, and stacks have what it is for: while memtrace attaches they do not yet. The setting is constant when the programs
/// are verified: without it nothing of this is in them.
#[inline(always)]
fn is_wanted(task: Task) -> bool {
    CONFIG.load().javascript_sites != 0 && javascript::is_known(task)
}

/// A counter of V8's has told of bytes.
#[inline(always)]
pub(crate) fn told(ctx: &ProbeContext, task: Task, bytes: u64) -> Result<(), Counter> {
    if !is_wanted(task) {
        return Ok(());
    }
    let told = Told::unpack(enter::cookie(ctx));
    let [counter, ..] = enter::arguments(ctx);
    let place = told.area_of_counter(counter, kept(ctx));
    let (mut area, mut ends) = ([0; 1], [0; 2]);
    if read(&mut area, place) && read(&mut ends, area[0]) && taken(&ends) == bytes {
        ended(task, area[0], ends[0], bytes)
    } else if bytes > LARGE {
        large(ctx, task, bytes)
    } else {
        Err(Counter::JsAreasUnknown)
    }
}

/// The register in which V8 11.3 keeps the space.
#[inline(always)]
fn kept(ctx: &ProbeContext) -> u64 {
    // SAFETY: the context of a uprobe program is a `pt_regs`, valid while the program runs.
    unsafe { (*ctx.as_ptr().cast::<pt_regs>()).rbx }
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
fn ended(task: Task, area: u64, begin: u64, bytes: u64) -> Result<(), Counter> {
    let interval = interval(task, bytes)?;
    let key = AreaKey {
        area,
        incarnation: task.incarnation,
        tid: task.tid(),
    };
    let turn = if let Some(turn) = AREA_TURNS.get_ptr_mut(key) {
        // SAFETY: the thread's own, as above.
        let turn = unsafe { &mut *turn };
        unwritten(task, key, *turn, begin, bytes);
        *turn += 1;
        *turn
    } else {
        let inserted = AREA_TURNS.insert(key, 1, u64::from(BPF_NOEXIST));
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
        reserved: 0,
        turn,
        begin,
        offset,
        weight: interval,
    });
    entry.submit(u64::from(BPF_RB_FORCE_WAKEUP));
    Ok(())
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
        if send(task, watch.weight, nobody).is_err() {
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
    send(task, weight, stack)
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
    if watch.turn != *turn || watch.address != address {
        return Err(Counter::JsHitsAfter);
    }
    // The next is no allocation.
    *turn += 1;
    if is_collecting(task) {
        return Err(Counter::JsHitsCollecting);
    }
    let weight = watch.weight;
    let thread = inflight::thread(task)?;
    let stack = unwind::take(task, thread, unwind::registers(ctx), At::Store);
    send(task, weight, stack)
}

#[inline(always)]
fn send(task: Task, weight: u64, stack: Taken) -> Result<(), Counter> {
    let sent = emit::record(JsSampled {
        header: emit::header(Kind::JsSampled, None, stack.flags, task),
        weight,
        stack: stack.id,
    });
    if sent { Ok(()) } else { Err(Counter::LostJsSamples) }
}

#[inline(always)]
fn random() -> u32 {
    // SAFETY: the helper has no preconditions.
    unsafe { bpf_get_prandom_u32() }
}
