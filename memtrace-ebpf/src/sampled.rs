//! Static probes (USDT) by which a program tells of its own samples: OpenTelemetry's `otel_memory`.

use aya_ebpf::{EbpfContext, bindings::pt_regs, helpers::bpf_probe_read_user, programs::ProbeContext};
use memtrace_common::{
    Cookie, Counter, Operand,
    event::{Alloc, Kind, flag},
    state::CLOSED,
};

use crate::{
    emit, enter, filter, free, inflight, stats,
    unwind::{self, At},
};

/// `otel_memory:alloc(address, size, weighted size)`: the block stands for as many bytes as its weighted size says.
#[inline(always)]
pub(crate) fn alloc(ctx: &ProbeContext) -> Result<(), Counter> {
    let Some(task) = filter::current() else { return Ok(()) };
    let mode = filter::mode();
    if mode.interval == CLOSED {
        return Ok(());
    }
    let hook = Cookie::unpack(enter::cookie(ctx)).ok_or(Counter::BadCookie)?;
    let address = operand(ctx, hook.operand(0))?;
    let weighted = operand(ctx, hook.operand(2))?;
    let thread = inflight::thread(task)?;
    // A sampler inside a function that is hooked: the block will be seen, whole.
    if inflight::nested(thread, unwind::registers(ctx).sp, 0) {
        return Err(Counter::Nested);
    }
    let mut registers = unwind::registers(ctx);
    // Every frame has an address after its instruction.
    registers.ip = registers.ip.wrapping_add(1);
    let stack = unwind::take(task, thread, registers, At::Call);
    let record = Alloc {
        header: emit::header(Kind::Alloc, Some(hook.op), stack.flags, task),
        address,
        size: weighted,
        stack: stack.id,
    };
    // It is in the program's own sample, and stands for others in windows only.
    let sent = if mode.times == 1 {
        emit::record(record)
    } else {
        emit::record(emit::weighted(record, mode.times))
    };
    if !sent {
        emit::lost_allocation(weighted, u64::from(mode.times));
    }
    Ok(())
}

/// `otel_memory:free(address)`
#[inline(always)]
pub(crate) fn free(ctx: &ProbeContext) -> Result<(), Counter> {
    let Some(task) = filter::current() else { return Ok(()) };
    stats::count(Counter::FreeHits);
    let hook = Cookie::unpack(enter::cookie(ctx)).ok_or(Counter::BadCookie)?;
    let address = operand(ctx, hook.operand(0))?;
    // As for a block that is passed on: a hook may have told of it already, and most blocks were not sampled.
    free::send(task, hook, address, flag::PASSED_ON);
    Ok(())
}

/// The value of an argument.
#[inline(always)]
pub(crate) fn operand(ctx: &ProbeContext, operand: Operand) -> Result<u64, Counter> {
    let register = register(ctx, operand.register);
    let Some(offset) = operand.offset else {
        return Ok(register);
    };
    let address = register.wrapping_add(i64::from(offset).cast_unsigned());
    // SAFETY: the helper checks the address and fails on memory that cannot be read.
    unsafe { bpf_probe_read_user(address as *const u64) }.map_err(|_unreadable| Counter::BadPointer)
}

/// A register by its number in the DWARF mapping. All are read, each from its own place: the verifier wants no other way into
/// the context.
#[inline(always)]
pub(crate) fn register(ctx: &ProbeContext, number: u8) -> u64 {
    let regs = ctx.as_ptr().cast::<pt_regs>();
    // SAFETY: the context of a uprobe program is a `pt_regs`, valid while the program runs.
    let regs = unsafe { &*regs };
    // SAFETY: a reference is valid; volatile so that the loads stay where they are.
    let read = |register: &u64| unsafe { core::ptr::read_volatile(register) };
    let all = [
        read(&regs.rax),
        read(&regs.rdx),
        read(&regs.rcx),
        read(&regs.rbx),
        read(&regs.rsi),
        read(&regs.rdi),
        read(&regs.rbp),
        read(&regs.rsp),
        read(&regs.r8),
        read(&regs.r9),
        read(&regs.r10),
        read(&regs.r11),
        read(&regs.r12),
        read(&regs.r13),
        read(&regs.r14),
        read(&regs.r15),
    ];
    all[usize::from(number & 15)]
}
