//! The mapping system calls. What takes memory away is sent at the entry, what gives memory at the exit.

use aya_ebpf::programs::TracePointContext;
use memtrace_common::{
    Counter, Op,
    event::{Break, Header, Kind, Map, Remap, Unmap, flag},
    state::{CLOSED, Registers, Syscall, Thread},
};

use crate::{
    code, emit,
    filter::{self, Task},
    image, inflight, lifecycle, stats,
    unwind::{self, At, Taken},
};

// include/uapi/asm-generic/mman-common.h and include/uapi/linux/mman.h; the values hold on x86_64.
const PROT_NONE: u64 = 0;
const PROT_EXEC: u64 = 4;
const MAP_FIXED: u64 = 0x10;
const MAP_ANONYMOUS: u64 = 0x20;
const MAP_STACK: u64 = 0x20000;
const MREMAP_DONTUNMAP: u64 = 4;

/// Highest value that is an error number rather than an address (`MAX_ERRNO`, include/linux/err.h).
const MAX_ERRNO: u64 = 4095;

/// Bytes of stack that the C library's wrapper of a mapping call uses at most before the system call; further away,
/// what it left is of another call.
const WRAPPER_BYTES: u64 = 512;

const PAGE_MASK: u64 = 4095;

/// Arguments and result in a `syscalls` tracepoint's record (`events/syscalls/sys_enter_*/format`): after the common
/// fields and the number, all of eight bytes.
const FIRST: usize = 16;

#[inline(always)]
fn field(ctx: &TracePointContext, index: usize) -> u64 {
    // SAFETY: the record of a system call's entry holds its arguments, that of its exit the result.
    unsafe { ctx.read_at::<u64>(FIRST + 8 * index) }.unwrap_or(0)
}

/// Where the record of a system call's entry holds its number, an `int`.
const NUMBER: usize = 8;

/// Numbers of the system calls (`arch/x86/entry/syscalls/syscall_64.tbl`).
#[inline(always)]
fn operation(ctx: &TracePointContext) -> Option<Op> {
    // SAFETY: the record of a system call begins with the common fields and the number.
    match unsafe { ctx.read_at::<u32>(NUMBER) } {
        Ok(9) => Some(Op::Mmap),
        Ok(11) => Some(Op::Munmap),
        Ok(12) => Some(Op::Brk),
        Ok(25) => Some(Op::Mremap),
        _ => None,
    }
}

/// Entry of a mapping call.
#[inline(always)]
pub(crate) fn enter(ctx: &TracePointContext) -> u32 {
    let Some(task) = filter::current() else { return 0 };
    let Some(op) = operation(ctx) else { return 0 };
    stats::run(|| entered(ctx, task, op))
}

/// Exit of a mapping call.
#[inline(always)]
pub(crate) fn exit(ctx: &TracePointContext) -> u32 {
    let Some(task) = filter::current() else { return 0 };
    stats::run(|| exited(ctx, task))
}

#[inline(always)]
fn entered(ctx: &TracePointContext, task: Task, op: Op) -> Result<(), Counter> {
    stats::count(Counter::MappingHits);
    let thread = inflight::thread(task)?;
    let registers = unwind::syscall_registers();
    // The allocator's own mappings are not the program's; only the break must be followed through them.
    let nested = inflight::nested(thread, registers.sp, 0) || !lifecycle::is_hooked(task);
    thread.syscall.op = 0;
    let is_code = op as u8 == Op::Mmap as u8 && field(ctx, 2) & PROT_EXEC != 0;
    let may_end_any = op as u8 == Op::Munmap as u8 && filter::mode().any != 0;
    if nested && op as u8 != Op::Brk as u8 && !is_code && !may_end_any {
        return Ok(());
    }
    // Whether the allocator makes it is not known.
    let unsure = filter::mode().interval == CLOSED;
    let (address, size) = (field(ctx, 0), field(ctx, 1));
    let mut call = Syscall {
        address,
        size,
        op: op as u32,
        event_flags: if nested { u32::from(flag::NESTED) } else { 0 },
        new_size: 0,
    };
    match op {
        Op::Mmap => {
            let (protection, flags) = (field(ctx, 2), field(ctx, 3));
            call.op = if flags & MAP_ANONYMOUS == 0 {
                Op::MmapFile
            } else if protection == PROT_NONE {
                Op::MmapReserve
            } else if unsure {
                Op::MmapAny
            } else {
                Op::Mmap
            } as u32;
            if flags & MAP_FIXED != 0 {
                call.event_flags |= u32::from(flag::FIXED);
            }
            if flags & MAP_STACK != 0 {
                call.event_flags |= u32::from(flag::STACK);
            }
            if protection & PROT_EXEC != 0 {
                call.event_flags |= u32::from(flag::EXECUTABLE);
            }
        }
        Op::Munmap => {
            // These fail without any effect (mm/mmap.c).
            if size == 0 || address & PAGE_MASK != 0 {
                return Ok(());
            }
            begin(task, Kind::UnmapBegin, op, &mut call);
        }
        Op::Mremap => {
            call.new_size = field(ctx, 2);
            if field(ctx, 3) & MREMAP_DONTUNMAP != 0 || size == 0 {
                call.event_flags |= u32::from(flag::KEEP_OLD);
            } else {
                begin(task, Kind::RemapBegin, op, &mut call);
            }
        }
        Op::Brk if unsure => call.op = Op::BrkAny as u32,
        _ => {}
    }
    thread.syscall = call;
    Ok(())
}

/// Sends that a range may go away.
#[inline(always)]
fn begin(task: Task, kind: Kind, op: Op, call: &mut Syscall) {
    let record = Unmap {
        header: emit::header(kind, Some(op), 0, task),
        address: call.address,
        size: call.size,
    };
    if !emit::record(record) {
        emit::remember(task, call.address, call.size, record.header.time_ns);
        call.event_flags |= u32::from(flag::BEGIN_LOST);
    }
}

#[inline(always)]
fn exited(ctx: &TracePointContext, task: Task) -> Result<(), Counter> {
    stats::count(Counter::MappingHits);
    let Some(thread) = inflight::known(task) else {
        return Ok(());
    };
    let call = thread.syscall;
    let Some(op) = Op::from_u8(call.op as u8) else {
        return Ok(());
    };
    thread.syscall.op = 0;
    let result = field(ctx, 0);
    let failed = result >= MAX_ERRNO.wrapping_neg();
    // In one place for all of them: the kernel verifies the walk anew for each.
    let allocates = !failed && op as u8 != Op::Munmap as u8 && call.event_flags & u32::from(flag::NESTED) == 0;
    let stack = if allocates {
        stack(task, thread)
    } else {
        Taken { id: 0, flags: 0 }
    };
    match op {
        Op::Munmap => unmapped(task, call, failed),
        Op::Brk | Op::BrkAny => {
            let flags = call.event_flags as u16 | stack.flags;
            let header = emit::header(Kind::Break, Some(op), flags, task);
            other(emit::record(Break {
                header,
                address: result,
                stack: stack.id,
            }));
        }
        Op::Mremap => remapped(task, call, if failed { 0 } else { result }, stack),
        _ if failed => return Err(Counter::Failed),
        _ => mapped(task, call, result, stack),
    }
    Ok(())
}

#[inline(always)]
fn mapped(task: Task, call: Syscall, address: u64, stack: Taken) {
    let flags = call.event_flags as u16 | stack.flags;
    if flags & flag::NESTED != 0 {
        // Of no account but as code.
        let is_file = call.op == Op::MmapFile as u32;
        code::tell(task, address, call.size, !is_file);
        if is_file {
            image::mapped(task, address, call.size);
        }
        return;
    }
    let record = Map {
        header: Header {
            op: call.op as u8,
            ..emit::header(Kind::Map, None, flags, task)
        },
        address,
        size: call.size,
        stack: stack.id,
    };
    // New code: the collector must read the list of mappings before the first stack through it is resolved.
    let sent = if flags & flag::EXECUTABLE != 0 {
        let is_file = call.op == Op::MmapFile as u32;
        code::changed(task, address, call.size, !is_file);
        if is_file {
            image::mapped(task, address, call.size);
        }
        emit::urgent(record)
    } else {
        emit::record(record)
    };
    if !sent {
        emit::lost_allocation(call.size, 1);
    }
}

#[inline(always)]
fn unmapped(task: Task, call: Syscall, failed: bool) {
    if !failed {
        return;
    }
    if call.event_flags & u32::from(flag::BEGIN_LOST) != 0 {
        emit::forget(task, call.address);
        return;
    }
    let header = emit::header(Kind::UnmapFailed, Some(Op::Munmap), 0, task);
    other(emit::record(Unmap {
        header,
        address: call.address,
        size: call.size,
    }));
}

#[inline(always)]
fn remapped(task: Task, call: Syscall, address: u64, stack: Taken) {
    let mut flags = call.event_flags as u16 | stack.flags;
    if address == 0 {
        flags |= flag::FAILED;
        if flags & flag::BEGIN_LOST != 0 {
            emit::forget(task, call.address);
        }
    } else if code::is_known(task, call.address) {
        code::tell(task, address, call.new_size, false);
    }
    let record = Remap {
        header: emit::header(Kind::RemapEnd, Some(Op::Mremap), flags, task),
        old: call.address,
        old_size: call.size,
        address,
        size: call.new_size,
        stack: stack.id,
    };
    if !emit::record(record) {
        emit::lost_allocation(if address == 0 { 0 } else { call.new_size }, 1);
    }
}

/// Counts a record without a block that found the ring full.
#[inline(always)]
fn other(sent: bool) {
    if !sent {
        stats::count(Counter::LostOther);
    }
}

/// The stack of the call: from the wrapper's entry where that was seen, else from the system call itself.
#[inline(always)]
fn stack(task: Task, thread: &mut Thread) -> Taken {
    let registers = unwind::syscall_registers();
    let wrapper = thread.wrapper;
    thread.wrapper = Registers { ip: 0, sp: 0, bp: 0 };
    let (registers, at) = if registers.sp <= wrapper.sp && wrapper.sp - registers.sp < WRAPPER_BYTES {
        (wrapper, At::Entry)
    } else {
        (registers, At::Call)
    };
    unwind::take(task, thread, registers, at)
}
