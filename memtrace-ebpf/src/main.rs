//! The BPF programs: entry points only. Each shim runs a handler of its concern's module and counts the hit.

#![no_std]
#![no_main]
#![cfg_attr(target_arch = "bpf", feature(asm_experimental_arch))]
#![expect(
    unsafe_code,
    reason = "BPF helpers, maps and contexts are raw pointers; each use says why it is sound"
)]
#![expect(
    clippy::inline_always,
    reason = "a call spills registers, is verified on its own, and cannot return what fits no register"
)]
#![expect(
    clippy::cast_possible_truncation,
    reason = "halves of the kernel's combined pid and tid, flag bits and registers are cut on purpose"
)]
#![expect(
    clippy::needless_pass_by_value,
    reason = "the attribute macros hand the context over by value"
)]
#![expect(
    missing_docs,
    unreachable_pub,
    reason = "the attribute macros turn each entry point into an undocumented public function of the object"
)]

mod atomic;
mod check;
mod code;
mod counted;
mod emit;
mod enter;
mod exit;
mod filter;
mod free;
mod image;
mod inflight;
mod javascript;
mod js_sites;
mod js_survival;
mod known;
mod lifecycle;
mod mapping;
mod maps;
mod once;
mod pool;
mod pymalloc;
mod python;
mod recent;
mod sample;
mod sampled;
mod stats;
mod sweep;
mod unwind;
mod v8_heap;
mod v8_shortage;
mod young;

use core::ffi::c_void;

use aya_ebpf::{
    macros::{raw_tracepoint, tracepoint, uprobe, uretprobe},
    programs::{PerfEventContext, ProbeContext, RawTracePointContext, RetProbeContext, TracePointContext},
};

/// Entry of a function that allocates.
#[uprobe]
pub fn alloc_enter(ctx: ProbeContext) -> u32 {
    stats::run(|| enter::alloc(&ctx))
}

/// A place in such a function where size and result are both known.
#[uprobe]
pub fn alloc_once(ctx: ProbeContext) -> u32 {
    stats::run(|| once::alloc(&ctx))
}

/// Entry of a function in which one probe sees a whole allocation, as long as that is checked.
#[uprobe]
pub fn check_enter(ctx: ProbeContext) -> u32 {
    stats::run(|| check::enter(&ctx))
}

/// A jump to the slow part of such a function.
#[uprobe]
pub fn check_slow(ctx: ProbeContext) -> u32 {
    stats::run(|| check::slow(&ctx))
}

/// Return of such a function.
#[uretprobe]
pub fn check_exit(ctx: RetProbeContext) -> u32 {
    stats::run(|| check::exit(&ctx))
}

/// An instruction by which the fast path of such a function returns.
#[uprobe]
pub fn check_leave(ctx: ProbeContext) -> u32 {
    stats::run(|| check::leave(&ctx))
}

/// Return of a function that allocates.
#[uretprobe]
pub fn alloc_exit(ctx: RetProbeContext) -> u32 {
    stats::run(|| exit::alloc(&ctx))
}

/// An instruction by which a function that allocates returns.
#[uprobe]
pub fn alloc_leave(ctx: ProbeContext) -> u32 {
    stats::run(|| exit::leave(&ctx))
}

/// A static probe that tells of a sampled allocation.
#[uprobe]
pub fn static_alloc(ctx: ProbeContext) -> u32 {
    stats::run(|| sampled::alloc(&ctx))
}

/// A static probe that tells of the end of one.
#[uprobe]
pub fn static_free(ctx: ProbeContext) -> u32 {
    stats::run(|| sampled::free(&ctx))
}

/// The jump by which code goes on to pymalloc's own in line, which allocates.
#[uprobe]
pub fn site_alloc(ctx: ProbeContext) -> u32 {
    stats::run(|| pymalloc::alloc(&ctx))
}

/// The same where it frees.
#[uprobe]
pub fn site_free(ctx: ProbeContext) -> u32 {
    stats::run(|| pymalloc::free(&ctx))
}

/// Return of the function by which pymalloc takes a new pool.
#[uretprobe]
pub fn site_refilled(ctx: RetProbeContext) -> u32 {
    stats::run(|| pymalloc::refilled(&ctx))
}

/// Return of the same function, where it is pools that are told of.
#[uretprobe]
pub fn pool_taken(ctx: RetProbeContext) -> u32 {
    stats::run(|| pool::taken(&ctx))
}

/// Entry of a function that frees.
#[uprobe]
pub fn free_enter(ctx: ProbeContext) -> u32 {
    stats::run(|| free::free(&ctx))
}

/// Entry of the function by which V8 counts the bytes that JavaScript objects take, or near it.
#[uprobe]
pub fn js_allocated(ctx: ProbeContext) -> u32 {
    stats::run(|| v8_heap::allocated(&ctx))
}

/// Entry of the function by which V8 makes a page for one large object.
#[uprobe]
pub fn js_large(ctx: ProbeContext) -> u32 {
    stats::run(|| v8_heap::large(&ctx))
}

/// Entry of the function by which V8 marks objects as initialized, and forgets that they were taken.
#[uprobe]
pub fn js_forgotten(ctx: ProbeContext) -> u32 {
    stats::run(|| {
        v8_heap::forgotten(&ctx);
        Ok(())
    })
}

/// Entry of the function by which V8 notes that a pause for a collection begins.
#[uprobe]
pub fn js_pause(ctx: ProbeContext) -> u32 {
    stats::run(|| v8_heap::paused(&ctx))
}

/// Entry of the one by which it notes its end.
#[uprobe]
pub fn js_collected(ctx: ProbeContext) -> u32 {
    stats::run(|| v8_heap::collected(&ctx))
}

/// Entry of a function that V8 calls when a scavenge has copied what lives, before it uses the memory again that it has left.
#[uprobe]
pub fn js_survived(ctx: ProbeContext) -> u32 {
    stats::run(|| {
        js_survival::copied(&ctx);
        Ok(())
    })
}

/// Entry of a function that is called when V8 has run out of memory, or has come near the limit of a heap.
#[uprobe]
pub fn js_shortage(ctx: ProbeContext) -> u32 {
    stats::run(|| v8_shortage::told(&ctx))
}

/// A watchpoint on memory that JavaScript objects are allocated in was hit. Without aya's attribute, which returns 0: that tells the kernel
/// (from 6.11 on) that nothing has happened, and it would not take off the watchpoint that was asked for one hit.
#[unsafe(no_mangle)]
#[unsafe(link_section = "perf_event")]
pub extern "C" fn js_sampled(ctx: *mut c_void) -> u32 {
    stats::run(|| js_sites::hit(&PerfEventContext::new(ctx.cast())));
    1
}

/// Entry of the C library's wrapper of a mapping system call: only remembers where the caller's stack begins.
#[uprobe]
pub fn wrapper_enter(ctx: ProbeContext) -> u32 {
    stats::run(|| enter::wrapper(&ctx))
}

/// Entry of `mmap`, `munmap`, `mremap` and `brk`.
#[tracepoint]
pub fn mapping_enter(ctx: TracePointContext) -> u32 {
    mapping::enter(&ctx)
}

/// Exit of the same. One program for all: it is large, and the kernel verifies each program by itself.
#[tracepoint]
pub fn mapping_exit(ctx: TracePointContext) -> u32 {
    mapping::exit(&ctx)
}

/// Exit of `mprotect` and `pkey_mprotect`.
#[tracepoint]
pub fn protect_exit(ctx: TracePointContext) -> u32 {
    code::protected(&ctx)
}

/// A process replaced its program.
#[tracepoint]
pub fn process_exec(ctx: TracePointContext) -> u32 {
    lifecycle::exec(&ctx)
}

/// A thread or a process was made.
#[tracepoint]
pub fn new_task(ctx: TracePointContext) -> u32 {
    lifecycle::new_task(&ctx)
}

/// A thread ended.
#[tracepoint]
pub fn thread_exit(_ctx: TracePointContext) -> u32 {
    lifecycle::thread_exit()
}

/// Attached to nothing: the collector runs it when it wants to be told of what waits.
#[raw_tracepoint]
pub fn sweep(ctx: RawTracePointContext) -> u32 {
    sweep::asked(&ctx)
}

/// Likewise, when it tells of blocks that it knows.
#[raw_tracepoint]
pub fn know(ctx: RawTracePointContext) -> u32 {
    known::asked(&ctx)
}

/// GPL-only helpers are used: reading user memory, the current task's registers.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    // SAFETY: the verifier refuses any program that can reach a panic, so this is never executed.
    unsafe { core::hint::unreachable_unchecked() }
}
