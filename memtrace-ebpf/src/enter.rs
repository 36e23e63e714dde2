//! Entry of functions that allocate, and of the wrappers of mapping calls.

use aya_ebpf::{
    EbpfContext,
    bindings::pt_regs,
    helpers::{bpf_probe_read_user, generated::bpf_get_attach_cookie},
    programs::ProbeContext,
};
use aya_log_ebpf::debug;
use memtrace_common::{
    Cookie, Counter, Op,
    cookie::STEPPED,
    event::{Free, Kind, flag},
    request::{self, Arguments, Request},
    state::{Call, Given, HOLDS_OLD, Registers, Thread},
};

use crate::{
    emit,
    filter::{self, Task},
    inflight, known, sample, stats,
    unwind::{self, At, Taken},
    young,
};

/// Of a call whose stack nobody will ask for.
const NO_STACK: Taken = Taken { id: 0, flags: 0 };

/// The cookie of the attach point that was hit.
#[inline(always)]
pub(crate) fn cookie(ctx: &impl EbpfContext) -> u64 {
    // SAFETY: the context belongs to the running program.
    let cookie = unsafe { bpf_get_attach_cookie(ctx.as_ptr()) };
    if cookie & STEPPED != 0 {
        stats::count(Counter::SteppedHits);
    }
    cookie & !STEPPED
}

/// Takes arguments and stack of an outermost call.
#[inline(always)]
pub(crate) fn alloc(ctx: &ProbeContext) -> Result<(), Counter> {
    let Some(task) = filter::current() else { return Ok(()) };
    let cookie = cookie(ctx);
    let Some(hook) = Cookie::unpack(cookie) else {
        debug!(ctx, "cookie {} is not understood", cookie);
        return Err(Counter::BadCookie);
    };
    let op = hook.op;
    let thread = inflight::thread(task)?;
    let registers = unwind::registers(ctx);
    if inflight::nested(thread, registers.sp, cookie) {
        return Err(Counter::Nested);
    }
    let mut request = request::read(hook, &arguments(ctx));
    if request.size == 1 && thread.given.address == Given::OF_NOTHING && thread.given.calls == 1 {
        request.size = 0;
    }
    let mut call = open(
        task,
        thread,
        (registers, unwind::entry_of(registers, hook), At::Entry),
        (op, cookie),
        request,
    );
    if hook.exits_by_instructions() {
        // SAFETY: the helper checks the address and fails on memory that cannot be read.
        call.return_address = unsafe { bpf_probe_read_user(registers.sp as *const u64) }.unwrap_or(0);
    }
    thread.call = call;
    Ok(())
}

/// Begins an outermost call: takes its stack, from the registers of `from`, and sets the block aside that it may replace.
#[inline(always)]
pub(crate) fn open(
    task: Task,
    thread: &mut Thread,
    (registers, from, at): (Registers, Registers, At),
    (op, cookie): (Op, u64),
    mut request: Request,
) -> Call {
    let gives_back = op.is_realloc() || op.is_resize();
    if gives_back {
        stats::count(Counter::FreeHits);
    }
    if op.is_realloc() && request.old != 0 && !known::may_be(request.old) {
        // Not in the sample: to the collector the new block comes from nowhere.
        request.old = 0;
    }
    // Before the weight: see `Modes::close`.
    let window = if gives_back {
        filter::mode().era
    } else {
        filter::mode().window
    };
    let weight = sample::weight(request.size);
    let mut stack = NO_STACK;
    if weight != 0 {
        stack = unwind::take(task, thread, from, at);
    }
    let mut flags = stack.flags;
    let mut held = 0;
    if op.is_realloc() && request.old != 0 {
        if young::is_on() && young::memtrace_take(request.old, task.incarnation, &raw mut thread.old) != 0 {
            held = HOLDS_OLD;
        } else if !begin(task, op, request.old) {
            flags |= flag::BEGIN_LOST;
        }
    }
    Call {
        sp: registers.sp,
        size: request.size,
        old: request.old,
        out: request.out,
        stack: stack.id,
        cookie,
        flags: u64::from(flags) | held,
        return_address: 0,
        weight,
        window,
    }
}

/// Sends that a block may be replaced, or remembers it; `false` when it could not be sent.
#[inline(always)]
pub(crate) fn begin(task: Task, op: Op, address: u64) -> bool {
    let begin = Free {
        header: emit::header(Kind::ReallocBegin, Some(op), 0, task),
        address,
    };
    let sent = emit::record(begin);
    if !sent {
        emit::remember(task, address, 0, begin.header.time_ns);
    }
    sent
}

/// The registers that the arguments of the call that is entered may be in, in the order of [`memtrace_common::Shape`].
#[inline(always)]
pub(crate) fn arguments(ctx: &ProbeContext) -> Arguments {
    let regs = ctx.as_ptr().cast::<pt_regs>();
    // SAFETY: the context of a uprobe program is a `pt_regs`, valid while the program runs.
    let regs = unsafe { &*regs };
    [
        regs.rdi, regs.rsi, regs.rdx, regs.rcx, regs.r8, regs.r9, regs.rax, regs.r10,
    ]
}

/// Remembers where the caller of a mapping call's wrapper stands. Such wrappers keep no frame pointer, so from inside
/// the system call their caller could not be found.
#[inline(always)]
pub(crate) fn wrapper(ctx: &ProbeContext) -> Result<(), Counter> {
    let Some(task) = filter::current() else { return Ok(()) };
    let thread = inflight::thread(task)?;
    let registers = unwind::registers(ctx);
    // Inside an allocator call the mapping is the allocator's own. `sbrk` calls `brk`, and has used the frame pointer
    // for something else by then: the outer wrapper is the one that counts.
    let from_allocator = thread.call.sp != 0 && registers.sp < thread.call.sp;
    if !from_allocator && !unwind::called_from(registers.sp, thread.wrapper.ip) {
        thread.wrapper = registers;
    }
    Ok(())
}
