//! A walked stack goes into the ring, once.

use aya_ebpf::{bindings::BPF_ANY, helpers::generated::bpf_ringbuf_output};
use memtrace_common::{
    Counter,
    event::{Kind, STACK_WORDS, StackHead},
    identity::Identity,
    limits::SEEN_SLOTS,
    python::MAX_ENTRIES,
};

use crate::{
    emit,
    filter::Task,
    maps::{EVENTS, SEEN, Scratch, Seen},
    stats,
};

/// Claims the scratch memory.
#[inline(always)]
pub(super) fn set_owner(scratch: &mut Scratch, key: u64) {
    // SAFETY: a reference is valid; volatile so that the store is not moved or merged.
    unsafe { core::ptr::write_volatile(&raw mut scratch.owner, key) }
}

/// Whether the scratch memory is still the task's.
#[inline(always)]
pub(super) fn owned(scratch: &Scratch, task: Task) -> bool {
    // SAFETY: a reference is valid; volatile so that the value is read again.
    let owner = unsafe { core::ptr::read_volatile(&raw const scratch.owner) };
    owner == task.key
}

/// Sends the record unless the collector already has it; `false` when the ring is full.
#[inline(always)]
pub(super) fn send(scratch: &mut Scratch, task: Task, identity: Identity) -> bool {
    let slot = (identity.id as u32) & (SEEN_SLOTS - 1);
    if let Some(seen) = SEEN.get(slot)
        && seen.id == identity.id
        && seen.check == identity.check
    {
        return true;
    }
    // SAFETY: a reference is valid; volatile so that the mask is kept: the verifier needs it.
    let count = unsafe { core::ptr::read_volatile(&raw const scratch.walk.words) } & (STACK_WORDS as u64 - 1);
    // SAFETY: the same.
    let python = unsafe { core::ptr::read_volatile(&raw const scratch.python.count) } & (2 * MAX_ENTRIES as u64 - 1);
    scratch.stack.head = StackHead {
        header: emit::header(Kind::Stack, None, 0, task),
        id: identity.id,
        epoch: scratch.walk.epoch,
        count: count as u32,
        end: scratch.walk.end as u8,
        notes: scratch.walk.notes as u8,
        python: python as u16,
    };
    let length = size_of::<StackHead>() as u64 + 8 * (count + 2 * python);
    // SAFETY: the first `length` bytes of the record lie inside it, or in what follows it in the same value of the map.
    let sent = unsafe {
        let data = (&raw mut scratch.stack).cast();
        bpf_ringbuf_output((&raw const EVENTS).cast_mut().cast(), data, length, emit::wakeup())
    };
    if sent != 0 {
        stats::count(Counter::StacksLost);
        return false;
    }
    stats::count(Counter::StacksSent);
    // Were the scratch taken over while it was copied, the collector refuses the record because its identity does
    // not match; the stack must then be sent again.
    if owned(scratch, task) {
        let seen = Seen {
            id: identity.id,
            check: identity.check,
        };
        let _never = SEEN.set(slot, seen, u64::from(BPF_ANY));
    }
    true
}
