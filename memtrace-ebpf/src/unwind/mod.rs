//! Call stacks: walked frame by frame with the rules of unwind tables, or by frame pointer where there is no table.

mod loops;
pub(crate) mod return_probe;
mod rule;
mod send;
pub(crate) mod step;
mod window;

pub(crate) use self::rule::mapping;

use aya_ebpf::{
    EbpfContext,
    bindings::pt_regs,
    helpers::{bpf_get_current_task_btf, bpf_probe_read_user, bpf_task_pt_regs},
};
use memtrace_common::{
    Cookie, Counter,
    event::{StackEnd, flag, note},
    identity::Identity,
    space::Space,
    state::{Registers, Thread},
};

use crate::{
    code,
    filter::Task,
    inflight, javascript,
    maps::{CHANGES, CONFIG, SCRATCH, Scratch},
    python, stats,
};

/// A stack as an event names it.
#[derive(Clone, Copy)]
pub(crate) struct Taken {
    /// Its identity, or 0.
    pub(crate) id: u64,
    /// Bits of [`flag`] that apply to it.
    pub(crate) flags: u16,
}

/// Where in its function the code is.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(crate) enum At {
    /// At the first instruction: the return address is on top of the stack.
    Entry,
    /// Right after a call, or a system call.
    Call,
    /// Anywhere behind the instructions that set the frame pointer. Tables know calls only, so the function is left by its frame pointer; one
    /// that has none of its own is then taken for its caller.
    Store,
}

/// The registers of a probe's context.
#[inline(always)]
pub(crate) fn registers(ctx: &impl EbpfContext) -> Registers {
    let regs = ctx.as_ptr().cast::<pt_regs>();
    // SAFETY: the context of a uprobe program is a `pt_regs`, valid while the program runs.
    let regs = unsafe { &*regs };
    Registers {
        ip: regs.rip,
        sp: regs.rsp,
        bp: regs.rbp,
    }
}

/// The registers as they are at the entry of the function, as far as a walk asks for them, at an attach point with the same stack
/// and frame pointer: a function that is seen at several places is one frame.
#[inline(always)]
pub(crate) const fn entry_of(registers: Registers, hook: Cookie) -> Registers {
    Registers {
        ip: registers.ip.wrapping_sub(hook.beyond_entry()),
        ..registers
    }
}

/// The flags of a probe's context.
#[inline(always)]
pub(crate) fn flags(ctx: &impl EbpfContext) -> u64 {
    // SAFETY: as in `registers`.
    unsafe { (*ctx.as_ptr().cast::<pt_regs>()).eflags }
}

/// What a function returns, at the instruction that does.
#[inline(always)]
pub(crate) fn result(ctx: &impl EbpfContext) -> u64 {
    let regs = ctx.as_ptr().cast::<pt_regs>();
    // SAFETY: as in `registers`.
    unsafe { (*regs).rax }
}

/// The current task's `pt_regs`: what it entered the kernel with.
#[inline(always)]
pub(crate) fn entry_registers() -> &'static pt_regs {
    // SAFETY: the helper has no preconditions.
    let task = unsafe { bpf_get_current_task_btf() };
    // SAFETY: `task` is the current task, alive while the program runs.
    let regs = unsafe { bpf_task_pt_regs(task) } as *const pt_regs;
    // SAFETY: the registers of the current task are on its kernel stack while it is in the kernel; the verifier
    // checks the type and the offsets of these loads against the kernel's own BTF.
    unsafe { &*regs }
}

/// The registers with which the current task made its system call.
#[inline(always)]
pub(crate) fn syscall_registers() -> Registers {
    let regs = entry_registers();
    Registers {
        ip: regs.rip,
        sp: regs.rsp,
        bp: regs.rbp,
    }
}

/// Bytes of code that a wrapper of a mapping call has at most; glibc's largest, `mremap`, has about 200.
const WRAPPER_CODE: u64 = 512;

/// Whether the function entered with stack pointer `sp` was called from the function that begins at `start`.
#[inline(always)]
pub(crate) fn called_from(sp: u64, start: u64) -> bool {
    if start == 0 {
        return false;
    }
    // SAFETY: the helper checks the address and fails on memory that cannot be read.
    let address = unsafe { bpf_probe_read_user(sp as *const u64) };
    address.is_ok_and(|address| address.wrapping_sub(start) < WRAPPER_CODE)
}

/// Walks and sends the stack that starts at `registers`.
#[inline(always)]
pub(crate) fn take(task: Task, thread: &mut Thread, registers: Registers, at: At) -> Taken {
    let lost = Taken {
        id: 0,
        flags: flag::STACK_LOST,
    };
    let Some(scratch) = SCRATCH.get_ptr_mut(0) else {
        return lost;
    };
    // SAFETY: this processor's scratch. Another task that preempts this one may write to it too; that is what
    // `owner` is checked for before anything is believed.
    let scratch = unsafe { &mut *scratch };
    send::set_owner(scratch, task.key);
    scratch.walk.trampoline = inflight::trampoline(thread);
    let space = begin(scratch, task, registers);
    let engine = javascript::begin(task);
    let goes_on = match at {
        At::Call => true,
        At::Entry => step::enter(scratch),
        At::Store => step::by_frame_pointer(scratch, engine),
    };
    if goes_on {
        loops::walk(scratch, space, engine);
    }
    if scratch.walk.words == scratch.walk.count {
        python::walk(scratch, task);
    } else {
        stats::count(Counter::JavaScriptStacks);
        scratch.python.count = 0;
        scratch.python.lost = 0;
    }
    finish(scratch, task)
}

/// Sets the walk to its first frame. Returns the process's space, when there is one that holds.
#[inline(always)]
fn begin(scratch: &mut Scratch, task: Task, registers: Registers) -> Option<&'static Space> {
    let walk = &mut scratch.walk;
    walk.ip = registers.ip;
    walk.sp = registers.sp;
    walk.bp = registers.bp;
    walk.window = 0;
    walk.window_bytes = 0;
    walk.unreadable = 0;
    walk.instance = 0;
    walk.generation = 0;
    walk.changed = 0;
    walk.epoch = 0;
    walk.notes = 0;
    walk.recent = 0;
    walk.end = StackEnd::Deep as u64;
    walk.space = u64::from(task.space);
    walk.count = 1;
    walk.words = 1;
    walk.lost = 0;
    walk.identity = Identity::new(task.incarnation);
    walk.identity.push(registers.ip);
    scratch.stack.words[0] = registers.ip;

    if CONFIG.load().by_tables == 0 {
        return None;
    }
    // None when the program is new: nobody has told of its mappings yet.
    let space = code::space(task)?;
    walk.epoch = space.epoch;
    walk.generation = u64::from(space.generation) << 48;
    walk.covers = space.covers;
    walk.changed = u64::from(last_change(task.space) > space.covers);
    Some(space)
}

/// When code was mapped last that a space may not know of; 0 for never.
#[inline(always)]
fn last_change(space: u32) -> u64 {
    // SAFETY: the value's memory stays one of that type; a time that is torn or another process's is one more reason not to
    // use tables, or not a reason for a moment.
    unsafe { CHANGES.get(space) }.map_or(0, |changes| changes.last)
}

/// Counts how the walk ended, and sends what came of it.
#[inline(always)]
fn finish(scratch: &mut Scratch, task: Task) -> Taken {
    if !send::owned(scratch, task) {
        stats::count(Counter::ScratchTaken);
        return Taken {
            id: 0,
            flags: flag::STACK_LOST,
        };
    }
    let (end, notes) = (scratch.walk.end as u8, scratch.walk.notes as u8);
    stats::count(match end {
        // It is whole, but perhaps not right.
        0 if notes & note::SIGNAL != 0 => Counter::StacksSignal,
        0 => Counter::StacksWhole,
        1 => Counter::StacksDeep,
        2 => Counter::StacksNoTable,
        3 => Counter::StacksUnreadable,
        _ => Counter::StacksUnsupported,
    });
    let flags = if end == StackEnd::Start as u8 {
        0
    } else {
        flag::STACK_CUT
    };
    if notes & note::EARLY != 0 {
        stats::count(Counter::StacksEarly);
    }
    // What its addresses mean is not what the space says.
    if notes & note::EARLY != 0 || scratch.walk.recent != 0 {
        scratch.walk.epoch = last_change(task.space);
    }
    let identity = scratch.walk.identity.finish(end, scratch.walk.epoch);
    // A stack with names that never come would be sent only once.
    if scratch.python.lost | scratch.walk.lost == 0 && send::send(scratch, task, identity) {
        Taken { id: identity.id, flags }
    } else {
        Taken {
            id: 0,
            flags: flags | flag::STACK_LOST,
        }
    }
}
