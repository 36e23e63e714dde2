//! The heap of JavaScript's objects, as V8 counts it for itself: see `memtrace_common::v8_heap`. No stack is taken here: the place in the code
//! at which an allocation area ends says nothing of what has filled it ([`crate::js_sites`] takes those that do).

use aya_ebpf::{
    EbpfContext as _,
    bindings::{BPF_ANY, pt_regs},
    helpers::{bpf_ktime_get_ns, generated::bpf_probe_read_user},
    programs::ProbeContext,
};
use memtrace_common::{
    Counter,
    event::{JsAllocated, JsCollected, Kind},
    v8_heap::{
        Collected, EarlySpace, Head, LARGE, Noted, Sizes, Told,
        space::{Owner, Space, number_at},
        survival::is_scavenge,
        taken,
    },
};

use crate::{
    emit, enter,
    filter::{self, Task},
    js_sites, js_survival,
    maps::V8_THREADS,
    stats, unwind,
};

/// What is known of the current thread.
#[inline(always)]
fn noted(task: Task) -> Option<&'static mut Noted> {
    let noted = V8_THREADS.get_ptr_mut(task.key)?;
    // SAFETY: the entry's key is the current thread, only that thread's programs write to it, and they do not nest. Were it given to another
    // thread meanwhile, what that has noted would be lost, which is allowed for.
    Some(unsafe { &mut *noted })
}

/// Notes something of it.
#[inline(always)]
fn note(task: Task, change: impl FnOnce(&mut Noted)) -> Result<(), Counter> {
    if let Some(noted) = noted(task) {
        change(noted);
        return Ok(());
    }
    let mut new = Noted {
        paused_ns: 0,
        large: 0,
        area: 0,
        counted: 0,
    };
    change(&mut new);
    let inserted = V8_THREADS.insert(task.key, new, u64::from(BPF_ANY));
    inserted.map_err(|_full| Counter::ThreadsFull)
}

/// What a counter has told of.
pub(crate) struct Found {
    /// Where its allocation area is described (avma); 0 where that is not known, and for a large object.
    pub(crate) area: u64,
    /// The first byte of what was taken of it (avma).
    pub(crate) begin: u64,
    /// Behind the last.
    free: u64,
    /// Where that is.
    pub(crate) space: Space,
}

/// The register in which V8 11.3 keeps the space.
#[inline(always)]
fn kept(ctx: &ProbeContext) -> u64 {
    // SAFETY: the context of a uprobe program is a `pt_regs`, valid while the program runs.
    unsafe { (*ctx.as_ptr().cast::<pt_regs>()).rbx }
}

/// What a counter counts for, and where: by an area of which as much was taken, or by the space of large objects that it is a part of.
#[inline(always)]
fn found(ctx: &ProbeContext, told: Told, counter: u64, bytes: u64) -> Found {
    let kept = kept(ctx);
    let mut found = Found {
        area: 0,
        begin: 0,
        free: 0,
        space: Space::Unknown,
    };
    let (mut area, mut ends) = ([0; 1], [0; 2]);
    if read(&mut area, told.area_of_counter(counter, kept)) && read(&mut ends, area[0]) && taken(&ends) == bytes {
        found.area = area[0];
        [found.begin, found.free] = ends;
        let mut space = [0; 1];
        let is_known = match told.owner(counter, kept) {
            Owner::At(address) => {
                space[0] = address;
                true
            }
            Owner::Behind(place) => read(&mut space, place),
        };
        if is_known {
            found.space = match space_at(told, number_at(space[0])) {
                // They have no areas.
                Space::Large => Space::Unknown,
                space => space,
            };
        }
    } else if bytes > LARGE
        && let Some(place) = told.number_of_large(counter)
        && matches!(space_at(told, place), Space::Large)
    {
        found.space = Space::Large;
    }
    found
}

/// What the space is for whose number is there (avma).
#[inline(always)]
fn space_at(told: Told, place: u64) -> Space {
    let mut number = [0; 1];
    if read(&mut number, place) {
        told.numbers.space(number[0] as u32)
    } else {
        Space::Unknown
    }
}

/// A thread has taken bytes. They are the second argument, behind the counter itself.
#[inline(always)]
pub(crate) fn allocated(ctx: &ProbeContext) -> Result<(), Counter> {
    let Some(task) = filter::current() else { return Ok(()) };
    let [counter, bytes, ..] = enter::arguments(ctx);
    let told = Told::unpack(enter::cookie(ctx));
    let is_of_program = !told.early || is_of_program(ctx, task, told, counter, bytes)?;
    let found = found(ctx, told, counter, bytes);
    // Where the compiler has not put it in line, the area is forgotten by the function that tells of that, before it begins anew.
    if told.early && found.area != 0 {
        note(task, |noted| noted.counted = found.free)?;
    }
    if is_of_program {
        tell(task, bytes, found.space);
        if matches!(found.space, Space::Unknown) {
            stats::count(Counter::JsAreasUnknown);
        }
        js_sites::told(ctx, task, bytes, &found)?;
    }
    Ok(())
}

/// Whether a pause for a collection goes on in the current thread.
#[inline(always)]
pub(crate) fn is_collecting(task: Task) -> bool {
    noted(task).is_some_and(|noted| noted.paused_ns != 0)
}

/// Whether a call of V8 10.2 tells of what the program has taken, and is not told yet.
#[inline(always)]
fn is_of_program(ctx: &ProbeContext, task: Task, told: Told, counter: u64, bytes: u64) -> Result<bool, Counter> {
    let mut known = 0;
    if let Some(noted) = noted(task) {
        if noted.is_told(bytes) {
            return Ok(false);
        }
        // In a pause it is the collector that copies, but for what was taken until then.
        if noted.paused_ns != 0 {
            let registers = unwind::registers(ctx);
            // Where the compiler has not put it in line, a function that has a frame is between the two.
            let (mut caller, mut next) = ([0; 1], [0; 1]);
            let is_begin = read(&mut caller, registers.sp) && told.begins_pause(registers.ip, caller[0])
                || read(&mut next, registers.bp.wrapping_add(8)) && told.begins_pause(registers.ip, next[0]);
            return Ok(is_begin);
        }
        known = noted.area;
    }
    let space = EarlySpace::of_counter(counter, told);
    let (mut kind, mut area) = ([0; 1], [0; 1]);
    let is_young = read(&mut kind, space.kind)
        && matches!(told.numbers.space(kind[0] as u32), Space::Young)
        && read(&mut area, space.area);
    if is_young && area[0] != known && open(area[0]) == bytes {
        known = area[0];
        note(task, |noted| noted.area = known)?;
    }
    // A thread that has none helps to collect.
    Ok(known != 0)
}

/// V8 is about to forget how much was taken of a space's area. The space is the first argument.
#[inline(always)]
pub(crate) fn forgotten(ctx: &ProbeContext) {
    let Some(task) = filter::current() else { return };
    let told = Told::unpack(enter::cookie(ctx));
    let [space, ..] = enter::arguments(ctx);
    let mut area = [0; 1];
    let mut ends = [0; 2];
    if !read(&mut area, told.area_of(space)) || area[0] == 0 || !read(&mut ends, area[0]) {
        return;
    }
    if !noted(task).is_some_and(|noted| noted.is_counted(ends[1])) {
        js_sites::forgotten(task, area[0]);
        tell(task, taken(&ends), space_at(told, number_at(space)));
    }
}

/// What was taken of an area and is not counted yet.
#[inline(always)]
fn open(area: u64) -> u64 {
    let mut ends = [0; 2];
    if area != 0 && read(&mut ends, area) {
        taken(&ends)
    } else {
        0
    }
}

/// A page is made for one large object. Its bytes are the third argument, behind allocator and space.
#[inline(always)]
pub(crate) fn large(ctx: &ProbeContext) -> Result<(), Counter> {
    let Some(task) = filter::current() else { return Ok(()) };
    let _stepped = enter::cookie(ctx);
    let [_, _, bytes, ..] = enter::arguments(ctx);
    tell(task, bytes, Space::Large);
    note(task, |noted| noted.large = bytes)?;
    js_sites::large(ctx, task, bytes)
}

#[inline(always)]
fn tell(task: Task, bytes: u64, space: Space) {
    if bytes == 0 {
        return;
    }
    let sent = emit::record(JsAllocated {
        header: emit::header(Kind::JsAllocated, None, 0, task),
        bytes,
        space: space as u32,
        reserved: 0,
    });
    if !sent {
        stats::count(Counter::LostJsAllocations);
        stats::add(Counter::LostJsBytes, bytes);
    }
}

/// A pause for a collection begins.
#[inline(always)]
pub(crate) fn paused(ctx: &ProbeContext) -> Result<(), Counter> {
    let Some(task) = filter::current() else { return Ok(()) };
    let _stepped = enter::cookie(ctx);
    // SAFETY: the helper has no preconditions.
    let now_ns = unsafe { bpf_ktime_get_ns() };
    note(task, |noted| noted.paused_ns = now_ns)
}

/// It ends. The record of the collection is in the object whose address is the first argument.
#[inline(always)]
pub(crate) fn collected(ctx: &ProbeContext) -> Result<(), Counter> {
    let Some(task) = filter::current() else { return Ok(()) };
    let told = Told::unpack(enter::cookie(ctx));
    let [tracer, ..] = enter::arguments(ctx);
    let header = emit::header(Kind::JsCollected, None, 0, task);
    let pause_ns = match noted(task) {
        Some(noted) if noted.paused_ns != 0 => header.time_ns.wrapping_sub(core::mem::take(&mut noted.paused_ns)),
        _ => 0,
    };
    let sizes = tracer.wrapping_add(u64::from(told.sizes) * 8);
    let (mut head, mut row): (Head, Sizes) = ([0; 3], [0; 4]);
    if !read(&mut head, tracer) || !read(&mut row, sizes) {
        return Err(Counter::UnreadCollections);
    }
    let Collected {
        kind,
        reason,
        before_bytes,
        after_bytes,
        before_memory,
        after_memory,
    } = Collected::new(&head, &row);
    if !is_scavenge(kind) {
        js_survival::let_go(task);
    }
    let sent = emit::record(JsCollected {
        header,
        pause_ns,
        kind,
        reason,
        before_bytes,
        after_bytes,
        before_memory,
        after_memory,
    });
    if !sent {
        return Err(Counter::LostCollections);
    }
    Ok(())
}

/// Reads words of the target's memory. Into what is there already: with a value that may not be, the compiler copies what was never written,
/// which the verifier refuses.
#[inline(always)]
pub(crate) fn read<const COUNT: usize>(words: &mut [u64; COUNT], address: u64) -> bool {
    // SAFETY: the helper writes as many bytes as it is told, which are those of `words`; it checks the address and fails on memory that cannot
    // be read.
    unsafe { bpf_probe_read_user((&raw mut *words).cast(), size_of_val(words) as u32, address as *const _) == 0 }
}
