//! V8 has run out of memory, or a heap of its has come to its limit: see `memtrace_common::v8_heap::shortage`. It is told with the call stack,
//! in which the functions of JavaScript are that wanted the memory.

use aya_ebpf::{bindings::BPF_RB_FORCE_WAKEUP, helpers::generated::bpf_probe_read_user_str, programs::ProbeContext};
use memtrace_common::{
    Counter,
    event::{JsShortage, Kind},
    v8_heap::shortage::{Place, Shortage, WORDS},
};

use crate::{
    emit, enter, filter, inflight,
    maps::EVENTS,
    stats,
    unwind::{self, At},
    v8_heap::read,
};

/// One of the functions is called that tell of it.
#[inline(always)]
pub(crate) fn told(ctx: &ProbeContext) -> Result<(), Counter> {
    let Some(task) = filter::current() else { return Ok(()) };
    let place = Place::unpack(enter::cookie(ctx));
    let [first, second, third, ..] = enter::arguments(ctx);
    let thread = inflight::thread(task)?;
    let stack = unwind::take(task, thread, unwind::registers(ctx), At::Entry);
    // Filled in the ring: the stack of a BPF program has no room for it.
    let mut entry = EVENTS.reserve::<JsShortage>(0).ok_or(Counter::LostJsShortages)?;
    let sent = entry.write(JsShortage {
        header: emit::header(Kind::JsShortage, None, stack.flags, task),
        stack: stack.id,
        limit: second,
        what: place.means as u32,
        reserved: 0,
        words: [0; WORDS],
    });
    if place.means.is_fatal() {
        // An isolate, words, and whether it is the heap.
        sent.limit = limit(place, first);
        if !is_of_heap(place, third) {
            sent.what = Shortage::Process as u32;
        }
        // SAFETY: the helper writes as many bytes as it is told at most, which are those of `words`; it checks the address, and writes zeros
        // where it cannot be read.
        unsafe { bpf_probe_read_user_str((&raw mut sent.words).cast(), WORDS as u32, second as *const _) };
    }
    // Whoever waits for it should not find that the process is gone.
    entry.submit(u64::from(BPF_RB_FORCE_WAKEUP));
    stats::count(Counter::Sent);
    Ok(())
}

/// The limit of an isolate's heap; 0 where it is not known. V8 may run out of memory before there is an isolate.
#[inline(always)]
fn limit(place: Place, isolate: u64) -> u64 {
    let mut limit = [0; 1];
    if isolate == 0 || !read(&mut limit, place.limit_of(isolate)) {
        return 0;
    }
    limit[0]
}

/// Whether it is the heap of objects that is full, by the argument that says so. Where that cannot be read, it is taken for V8's default: it
/// is not.
#[inline(always)]
fn is_of_heap(place: Place, argument: u64) -> bool {
    let mut details = [argument];
    (place.early || read(&mut details, argument)) && details[0] as u8 != 0
}
