//! The table in which pairs are added up.

use core::mem::offset_of;

use aya_ebpf::helpers::{bpf_get_smp_processor_id, bpf_ktime_get_ns};
use memtrace_common::{
    Counter,
    event::{Header, Kind, Pairs},
    limits::COUNTED_SLOTS,
    young::{self, BUSY, Block, Counted, CountedRow, EMPTY, FULL, Key, LIFETIMES, ROW},
};

use crate::{
    atomic, emit,
    maps::{CONFIG, COUNTED, EVENTS},
    stats,
};

/// Counts a block that has ended now and was never sent.
#[unsafe(no_mangle)]
pub extern "C" fn memtrace_count(block: *const Block) -> u32 {
    // SAFETY: the callers hand over a block of their own.
    let Some(block) = (unsafe { block.as_ref() }) else {
        return 0;
    };
    // SAFETY: the helper has no preconditions.
    let now = unsafe { bpf_ktime_get_ns() };
    let weight = u64::from(block.weight);
    let bytes = block.size.wrapping_mul(weight);
    let lifetime = young::lifetime_class(now.wrapping_sub(block.time_ns)) as usize % LIFETIMES;
    let key = Key {
        stack: block.stack,
        incarnation: block.incarnation,
        pid: block.pid,
        op: u32::from(block.op),
        class: u32::from(young::size_class(block.size)),
    };
    let Some(slot) = slot(&key) else { return 0 };
    let (word, its) = parts(slot);
    let state = atomic::load(word);
    let tag = young::tag(state);
    let same = tag == FULL && atomic::peek(its) == key;
    let busy = young::next(state, BUSY);
    if (same || tag == EMPTY) && atomic::swap(word, state, busy) {
        // SAFETY: nobody else touches a busy slot.
        let sum = unsafe { &mut *slot };
        if !same {
            begin(sum, key);
        }
        add(sum, bytes, weight, lifetime);
        atomic::store(word, young::next(busy, FULL));
        stats::add(Counter::Paired, weight);
        return 0;
    }
    let Some(mut entry) = EVENTS.reserve::<Pairs>(0) else {
        stats::add(Counter::LostPairs, weight);
        stats::add(Counter::LostPairBytes, bytes);
        return 0;
    };
    let header = header(&key, now);
    if tag == FULL && !same && atomic::swap(word, state, busy) {
        // SAFETY: as above.
        let sum = unsafe { &mut *slot };
        entry.write(record(sum, now));
        begin(sum, key);
        add(sum, bytes, weight, lifetime);
        atomic::store(word, young::next(busy, FULL));
    } else {
        entry.write(Pairs {
            header,
            stack: key.stack,
            count: weight,
            bytes,
            class: key.class,
            reserved: 0,
            lifetimes: [0; LIFETIMES],
        });
        // SAFETY: it was written just now.
        unsafe { (*entry.as_mut_ptr()).lifetimes[lifetime] = block.weight };
    }
    entry.submit(emit::wakeup());
    stats::count(Counter::Sent);
    stats::add(Counter::Paired, weight);
    0
}

/// The slot of a sum, for this processor.
#[inline(always)]
fn slot(key: &Key) -> Option<*mut Counted> {
    // SAFETY: the helper has no preconditions.
    let processor = unsafe { bpf_get_smp_processor_id() } & CONFIG.load().processors;
    let slot = processor * COUNTED_SLOTS + (young::counted_slot(key) & (COUNTED_SLOTS - 1));
    let row = COUNTED.get_ptr_mut(slot / ROW as u32)?;
    Some(row.cast::<Counted>().wrapping_add(slot as usize % ROW))
}

/// State and key of a slot. No reference to it is made as long as others may write to it.
#[inline(always)]
pub(crate) fn parts(slot: *mut Counted) -> (*mut u64, *mut Key) {
    let state = slot.wrapping_byte_add(offset_of!(Counted, state));
    (state.cast(), slot.wrapping_byte_add(offset_of!(Counted, key)).cast())
}

#[inline(always)]
fn begin(sum: &mut Counted, key: Key) {
    sum.key = key;
    sum.count = 0;
    sum.bytes = 0;
    sum.lifetimes = [0; LIFETIMES];
}

#[inline(always)]
fn add(sum: &mut Counted, bytes: u64, count: u64, lifetime: usize) {
    sum.count += count;
    sum.bytes = sum.bytes.wrapping_add(bytes);
    sum.lifetimes[lifetime] = sum.lifetimes[lifetime].saturating_add(count as u32);
}

#[inline(always)]
const fn header(key: &Key, now: u64) -> Header {
    Header {
        kind: Kind::Pairs as u8,
        op: key.op as u8,
        flags: 0,
        pid: key.pid,
        tid: 0,
        incarnation: key.incarnation,
        time_ns: now,
    }
}

#[inline(always)]
const fn record(sum: &Counted, now: u64) -> Pairs {
    Pairs {
        header: header(&sum.key, now),
        stack: sum.key.stack,
        count: sum.count,
        bytes: sum.bytes,
        class: sum.key.class,
        reserved: 0,
        lifetimes: sum.lifetimes,
    }
}

/// Sends the sum of a slot in the state that was read. Not zero when the ring is full: then it stays.
#[unsafe(no_mangle)]
pub extern "C" fn memtrace_send_sum(row: *mut CountedRow, index: u32, state: u64) -> u32 {
    // SAFETY: the caller hands over a value of the map.
    let Some(row) = (unsafe { row.as_mut() }) else { return 0 };
    let slot = &raw mut row.slots[index as usize % ROW];
    let (word, _) = parts(slot);
    let Some(mut entry) = EVENTS.reserve::<Pairs>(0) else {
        return 1;
    };
    let busy = young::next(state, BUSY);
    if !atomic::swap(word, state, busy) {
        entry.discard(emit::quiet());
        return 0;
    }
    // SAFETY: the helper has no preconditions.
    let now = unsafe { bpf_ktime_get_ns() };
    // SAFETY: nobody else touches a busy slot.
    entry.write(record(unsafe { &*slot }, now));
    atomic::store(word, young::next(busy, EMPTY));
    entry.submit(emit::wakeup());
    stats::count(Counter::Sent);
    0
}
