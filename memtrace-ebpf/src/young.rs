//! The table in which blocks wait for their free. Those that are freed from there never cross the ring: [`crate::counted`].
//!
//! The functions with names of their own are global ones: the kernel verifies each once, by itself.

use core::{mem::offset_of, ptr};

use memtrace_common::{
    Counter,
    event::{Alloc, Header, Kind, Weighted},
    limits::YOUNG_SLOTS,
    state::{HOLDS_OLD, Thread},
    young::{self, BUSY, Block, EMPTY, FULL, ROW, Young},
};

use crate::{
    atomic, counted, emit,
    filter::Task,
    maps::{CONFIG, EVENTS, YOUNG},
    stats,
};

/// Whether there is a table.
#[inline(always)]
pub(crate) fn is_on() -> bool {
    CONFIG.load().young != 0
}

/// The slot of a block.
#[inline(always)]
fn slot(address: u64, incarnation: u32) -> Option<*mut Young> {
    let slot = young::young_slot(address, incarnation) & (YOUNG_SLOTS - 1);
    let row = YOUNG.get_ptr_mut(slot / ROW as u32)?;
    Some(row.cast::<Young>().wrapping_add(slot as usize % ROW))
}

/// State and content of a slot. No reference to it is made, because others write to it.
#[inline(always)]
pub(crate) fn parts(slot: *mut Young) -> (*mut u64, *mut Block) {
    let state = slot.wrapping_byte_add(offset_of!(Young, state));
    (state.cast(), slot.wrapping_byte_add(offset_of!(Young, block)).cast())
}

/// The record of a block that is sent after all.
#[inline(always)]
const fn record(block: &Block) -> Weighted {
    let alloc = Alloc {
        header: Header {
            kind: Kind::Alloc as u8,
            op: block.op,
            flags: block.flags,
            pid: block.pid,
            tid: block.tid,
            incarnation: block.incarnation,
            time_ns: block.time_ns,
        },
        address: block.address,
        size: block.size,
        stack: block.stack,
    };
    emit::weighted(alloc, block.weight)
}

/// Keeps a new block; the one that had its slot is sent. When another is at the slot, the new block is sent itself.
#[unsafe(no_mangle)]
pub extern "C" fn memtrace_keep(block: *const Block) -> u32 {
    // SAFETY: the callers hand over a block of their own.
    let Some(block) = (unsafe { block.as_ref() }) else {
        return 0;
    };
    let Some(slot) = slot(block.address, block.incarnation) else {
        return 0;
    };
    let (word, place) = parts(slot);
    let state = atomic::load(word);
    let busy = young::next(state, BUSY);
    let full = young::next(busy, FULL);
    if young::tag(state) == EMPTY && atomic::swap(word, state, busy) {
        // SAFETY: nobody else touches a busy slot.
        unsafe { ptr::write(place, *block) };
        atomic::store(word, full);
        return 0;
    }
    // Before the swap: the free of what is taken out must find its place behind this one.
    let Some(mut entry) = EVENTS.reserve::<Weighted>(0) else {
        emit::lost_allocation(block.size, u64::from(block.weight));
        return 0;
    };
    if young::tag(state) == FULL && atomic::swap(word, state, busy) {
        // SAFETY: as above.
        let old = unsafe { &*place };
        entry.write(record(old));
        if old.address == block.address && old.incarnation == block.incarnation {
            // Its free was missed. The collector finds that out when it is told of both.
            atomic::store(word, young::next(busy, EMPTY));
            entry.submit(emit::wakeup());
            stats::count(Counter::Sent);
            send_new(block);
            return 0;
        }
        // SAFETY: as above.
        unsafe { ptr::write(place, *block) };
        atomic::store(word, full);
    } else {
        entry.write(record(block));
    }
    entry.submit(emit::wakeup());
    stats::count(Counter::Sent);
    0
}

#[inline(always)]
fn send_new(block: &Block) {
    if !emit::record(record(block)) {
        emit::lost_allocation(block.size, u64::from(block.weight));
    }
}

/// Takes a block out of the table: writes it to `block` and returns the state in which its slot is left, or 0 when the block is
/// not there.
#[inline(always)]
fn take(address: u64, incarnation: u32, block: &mut Block) -> u64 {
    let Some(slot) = slot(address, incarnation) else {
        return 0;
    };
    let (word, place) = parts(slot);
    let state = atomic::load(word);
    if young::tag(state) != FULL {
        return 0;
    }
    let its: u64 = atomic::peek(place.wrapping_byte_add(offset_of!(Block, address)).cast());
    let whose: u32 = atomic::peek(place.wrapping_byte_add(offset_of!(Block, incarnation)).cast());
    let busy = young::next(state, BUSY);
    if its != address || whose != incarnation || !atomic::swap(word, state, busy) {
        return 0;
    }
    // SAFETY: nobody else touches a busy slot.
    *block = unsafe { ptr::read(place) };
    let left = young::next(busy, EMPTY);
    atomic::store(word, left);
    left
}

/// Takes a block out of the table, for a call that may replace it.
#[unsafe(no_mangle)]
pub extern "C" fn memtrace_take(address: u64, incarnation: u32, block: *mut Block) -> u64 {
    // SAFETY: the caller hands over memory of its own.
    match unsafe { block.as_mut() } {
        Some(block) => take(address, incarnation, block),
        None => 0,
    }
}

/// A block is freed: when it is in the table, the pair is counted. Returns as [`memtrace_take`].
#[unsafe(no_mangle)]
pub extern "C" fn memtrace_end(address: u64, incarnation: u32) -> u64 {
    let mut block = Block::NONE;
    let left = take(address, incarnation, &mut block);
    if left != 0 {
        counted::memtrace_count(&raw const block);
    }
    left
}

/// Whether the slot of a block is as it was left.
#[inline(always)]
pub(crate) fn is_left(address: u64, task: Task, left: u64) -> bool {
    left != 0 && slot(address, task.incarnation).is_some_and(|slot| atomic::load(parts(slot).0) == left)
}

/// An address was given out by a call whose record went by the ring: a free of it that follows is not one that was counted.
#[inline(always)]
pub(crate) fn given(address: u64, task: Task) {
    if let Some(slot) = slot(address, task.incarnation) {
        let (word, _) = parts(slot);
        let state = atomic::load(word);
        if young::tag(state) == EMPTY {
            // Where it fails, somebody else has changed it.
            let _changed = atomic::swap(word, state, young::next(state, EMPTY));
        }
    }
}

/// A call that holds a young block is given up: nobody knows what became of the block, and it counts as freed.
#[inline(always)]
pub(crate) fn give_up(thread: &mut Thread) {
    if thread.call.flags & HOLDS_OLD != 0 {
        thread.call.flags = 0;
        counted::memtrace_count(&raw const thread.old);
    }
}

/// Sends the block of a slot in the state that was read. Not zero when the ring is full: then it stays.
#[unsafe(no_mangle)]
pub extern "C" fn memtrace_send(row: *mut young::YoungRow, index: u32, state: u64) -> u32 {
    // SAFETY: the caller hands over a value of the map.
    let Some(row) = (unsafe { row.as_mut() }) else { return 0 };
    let slot = &raw mut row.slots[index as usize % ROW];
    let (word, place) = parts(slot);
    let Some(mut entry) = EVENTS.reserve::<Weighted>(0) else {
        return 1;
    };
    let busy = young::next(state, BUSY);
    if !atomic::swap(word, state, busy) {
        entry.discard(emit::quiet());
        return 0;
    }
    // SAFETY: nobody else touches a busy slot.
    entry.write(record(unsafe { &*place }));
    atomic::store(word, young::next(busy, EMPTY));
    entry.submit(emit::wakeup());
    stats::count(Counter::Sent);
    0
}
