//! Call stacks by frame pointer, each sent once.

use aya_ebpf::{
    EbpfContext,
    bindings::{BPF_ANY, pt_regs},
    helpers::{bpf_get_current_task_btf, bpf_probe_read_user, bpf_task_pt_regs},
};
use memtrace_common::{
    Counter,
    event::{Kind, StackHead, flag},
    identity::Identity,
    limits::{MAX_FRAME_BYTES, MAX_FRAMES, SEEN_SLOTS},
    state::Registers,
};

use crate::{
    emit,
    filter::Task,
    maps::{CONFIG, EVENTS, SCRATCH, SEEN, Scratch, Seen},
    stats,
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
    /// Somewhere else: the frame pointer is taken to be set up.
    Body,
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

/// The registers with which the current task entered the kernel.
#[inline(always)]
pub(crate) fn syscall_registers() -> Registers {
    // SAFETY: the helper has no preconditions.
    let task = unsafe { bpf_get_current_task_btf() };
    // SAFETY: `task` is the current task, alive while the program runs.
    let regs = unsafe { bpf_task_pt_regs(task) } as *const pt_regs;
    // SAFETY: the registers of the current task are on its kernel stack while it is in the kernel; the verifier
    // checks the type and the offsets of these loads against the kernel's own BTF.
    let regs = unsafe { &*regs };
    Registers {
        ip: regs.rip,
        sp: regs.rsp,
        bp: regs.rbp,
    }
}

/// Reads one value of the target's memory.
#[inline(always)]
fn read<T>(address: u64) -> Option<T> {
    // SAFETY: the helper checks the address and fails on memory that cannot be read.
    unsafe { bpf_probe_read_user(address as *const T) }.ok()
}

/// Bytes of code that a wrapper of a mapping call has at most; glibc's largest, `mremap`, has about 200.
const WRAPPER_CODE: u64 = 512;

/// Whether the function entered with stack pointer `sp` was called from the function that begins at `start`.
#[inline(always)]
pub(crate) fn called_from(sp: u64, start: u64) -> bool {
    start != 0 && read::<u64>(sp).is_some_and(|address| address.wrapping_sub(start) < WRAPPER_CODE)
}

/// Walks and sends the stack that starts at `registers`.
#[inline(always)]
pub(crate) fn take(task: Task, registers: Registers, at: At) -> Taken {
    let Some(scratch) = SCRATCH.get_ptr_mut(0) else {
        return Taken {
            id: 0,
            flags: flag::STACK_LOST,
        };
    };
    // SAFETY: this processor's scratch. Another task that preempts this one may write to it too; that is what
    // `owner` is checked for before anything is believed.
    let scratch = unsafe { &mut *scratch };
    set_owner(scratch, task.key);
    let (identity, flags) = walk(scratch, task, registers, at);
    if owner(scratch) != task.key {
        stats::count(Counter::ScratchTaken);
        return Taken {
            id: 0,
            flags: flag::STACK_LOST,
        };
    }
    if flags & flag::STACK_DEEP != 0 {
        stats::count(Counter::StacksDeep);
    }
    if flags & flag::STACK_BROKEN != 0 {
        stats::count(Counter::StacksBroken);
    }
    if send(scratch, task, identity, flags) {
        Taken { id: identity.id, flags }
    } else {
        Taken {
            id: 0,
            flags: flags | flag::STACK_LOST,
        }
    }
}

#[inline(always)]
fn set_owner(scratch: &mut Scratch, key: u64) {
    // SAFETY: a reference is valid; volatile so that the store is not moved or merged.
    unsafe { core::ptr::write_volatile(&raw mut scratch.owner, key) }
}

#[inline(always)]
fn owner(scratch: &Scratch) -> u64 {
    // SAFETY: a reference is valid; volatile so that the value is read again.
    unsafe { core::ptr::read_volatile(&raw const scratch.owner) }
}

/// Follows the chain of frame pointers into the scratch record.
#[expect(
    clippy::needless_range_loop,
    reason = "a plain index with a constant bound is what the verifier can follow"
)]
#[inline(always)]
fn walk(scratch: &mut Scratch, task: Task, registers: Registers, at: At) -> (Identity, u16) {
    let mut identity = Identity::new(task.incarnation);
    let frames = &mut scratch.stack.frames;
    let limit = CONFIG.load().max_frames as usize;
    let (mut bp, mut low) = (registers.bp, registers.sp);
    let mut flags = flag::STACK_DEEP;

    frames[0] = registers.ip;
    identity.push(registers.ip);
    let mut count = 1;
    if at == At::Entry {
        match read::<u64>(registers.sp) {
            Some(address) => {
                frames[1] = address;
                identity.push(address);
                count = 2;
            }
            None => return finish(scratch, identity, 1, flag::STACK_BROKEN),
        }
    }
    let first = count;
    for index in first..MAX_FRAMES {
        if index >= limit {
            break;
        }
        if bp == 0 {
            // The ABI's mark of the outermost frame (System V AMD64 ABI, 3.4.1).
            flags = 0;
            break;
        }
        if bp < low || bp - low > MAX_FRAME_BYTES || bp & 7 != 0 {
            flags = flag::STACK_BROKEN;
            break;
        }
        let Some([next, address]) = read::<[u64; 2]>(bp) else {
            flags = flag::STACK_BROKEN;
            break;
        };
        if address == 0 {
            flags = 0;
            break;
        }
        frames[index] = address;
        identity.push(address);
        count = index + 1;
        low = bp + 16;
        bp = next;
    }
    finish(scratch, identity, count, flags)
}

#[inline(always)]
fn finish(scratch: &mut Scratch, identity: Identity, count: usize, flags: u16) -> (Identity, u16) {
    // SAFETY: a reference is valid; volatile so that the compiler forgets the bounds of the value.
    unsafe { core::ptr::write_volatile(&raw mut scratch.count, count as u64) }
    (identity.finish(), flags)
}

/// Sends the record unless the collector already has it; `false` when the ring is full.
#[inline(always)]
fn send(scratch: &mut Scratch, task: Task, identity: Identity, flags: u16) -> bool {
    let slot = (identity.id as u32) & (SEEN_SLOTS - 1);
    if let Some(seen) = SEEN.get(slot)
        && seen.id == identity.id
        && seen.check == identity.check
    {
        return true;
    }
    // SAFETY: a reference is valid; volatile so that the mask below is kept: the verifier needs it.
    let count = unsafe { core::ptr::read_volatile(&raw const scratch.count) } & 127;
    scratch.stack.head = StackHead {
        header: emit::header(Kind::Stack, None, flags, task),
        id: identity.id,
        count: count as u32,
        reserved: 0,
    };
    let length = size_of::<StackHead>() as u64 + 8 * count;
    // SAFETY: the first `length` bytes of the record lie inside it: `count` is at most `MAX_FRAMES`.
    let sent = unsafe {
        let data = (&raw mut scratch.stack).cast();
        aya_ebpf::helpers::generated::bpf_ringbuf_output(
            (&raw const EVENTS).cast_mut().cast(),
            data,
            length,
            emit::wakeup(),
        )
    };
    if sent != 0 {
        stats::count(Counter::StacksLost);
        return false;
    }
    stats::count(Counter::StacksSent);
    // Were the scratch taken over while it was copied, the collector refuses the record because its identity does
    // not match; the stack must then be sent again.
    if owner(scratch) == task.key {
        let _never = SEEN.set(
            slot,
            Seen {
                id: identity.id,
                check: identity.check,
            },
            u64::from(BPF_ANY),
        );
    }
    true
}

const _: () = assert!(MAX_FRAMES == 127, "the mask in `send` is written for this depth");
