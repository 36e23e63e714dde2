//! Sends what waits in the tables of young blocks and of pairs.

use core::{ffi::c_void, mem::offset_of, ptr};

use aya_ebpf::{
    bindings::BPF_RB_AVAIL_DATA, helpers::generated::bpf_for_each_map_elem, programs::RawTracePointContext,
};
use memtrace_common::{
    state::Thread,
    young::{self, Block, COUNTED_ROWS, Counted, CountedRow, FULL, Key, ROW, YOUNG_ROWS, Young, YoungRow},
};

use crate::{
    atomic,
    counted::{self, memtrace_send_sum},
    filter,
    maps::{CONFIG, COUNTED, EVENTS, THREADS, YOUNG},
    young::{memtrace_send, parts},
};

/// What is to be sent. On the program's stack, and never changed: the kernel goes through a loop once for each value there.
#[repr(C)]
struct Wanted {
    /// Blocks that were allocated before.
    before_ns: u64,
    /// The incarnation, or 0 for all.
    incarnation: u64,
}

impl Wanted {
    /// Whether the rest must wait: what the collector asks for leaves the targets half of the ring.
    #[inline(always)]
    fn is_too_much(&self) -> bool {
        self.incarnation == 0 && EVENTS.query(u64::from(BPF_RB_AVAIL_DATA)) > 2 * CONFIG.load().wakeup_bytes
    }

    #[inline(always)]
    const fn is_of(&self, incarnation: u32) -> bool {
        self.incarnation == 0 || self.incarnation == incarnation as u64
    }
}

/// What a callback returns to go on, and to end.
const GO_ON: i64 = 0;
const END: i64 = 1;

/// Whatever its age.
pub(crate) const ANY_AGE: u64 = u64::MAX;

/// Sends the blocks of an incarnation, or of all (0), that were allocated before a time, and with `sums` not 0 the pairs. Not zero
/// when the ring was full: what was not sent stays. A global function: the kernel verifies it once, by itself.
#[unsafe(no_mangle)]
pub extern "C" fn memtrace_sweep(incarnation: u32, before_ns: u64, sums: u32) -> u32 {
    let mut wanted = Wanted {
        before_ns,
        incarnation: u64::from(incarnation),
    };
    let context = (&raw mut wanted).cast::<c_void>();
    let blocks = (&raw const YOUNG).cast_mut().cast();
    // SAFETY: the callback has the signature that the helper calls it with, and the context outlives the call.
    let rows = unsafe { bpf_for_each_map_elem(blocks, young_row as *mut c_void, context, 0) };
    if rows <= i64::from(YOUNG_ROWS) {
        return 1;
    }
    if sums != 0 {
        let counted = (&raw const COUNTED).cast_mut().cast();
        // SAFETY: as above.
        let rows = unsafe { bpf_for_each_map_elem(counted, counted_row as *mut c_void, context, 0) };
        return u32::from(rows <= i64::from(counted_rows()));
    }
    0
}

/// Values of the map of sums, without the last, which is never used: the helper counts the value at which a walk was ended, so that
/// one that went through to the end is known by it. The map of blocks has such a value too.
#[inline(always)]
fn counted_rows() -> u32 {
    (CONFIG.load().processors + 1) * COUNTED_ROWS
}

extern "C" fn young_row(_map: *mut c_void, _key: *mut u32, row: *mut YoungRow, wanted: *mut Wanted) -> i64 {
    // SAFETY: the context is the one that `memtrace_sweep` made, alive during the loop.
    let wanted = unsafe { &*wanted };
    let mut index = 0;
    while index < ROW {
        let slot = row.cast::<Young>().wrapping_add(index);
        let (word, block) = parts(slot);
        let state = atomic::load(word);
        let incarnation = atomic::peek(block.wrapping_byte_add(offset_of!(Block, incarnation)).cast());
        let time_ns: u64 = atomic::peek(block.wrapping_byte_add(offset_of!(Block, time_ns)).cast());
        let due = young::tag(state) == FULL && wanted.is_of(incarnation) && time_ns < wanted.before_ns;
        if due && (wanted.is_too_much() || memtrace_send(row, index as u32, state) != 0) {
            return END;
        }
        index += 1;
    }
    GO_ON
}

extern "C" fn counted_row(_map: *mut c_void, _key: *mut u32, row: *mut CountedRow, wanted: *mut Wanted) -> i64 {
    // SAFETY: as above.
    let wanted = unsafe { &*wanted };
    let mut index = 0;
    while index < ROW {
        let slot = row.cast::<Counted>().wrapping_add(index);
        let (word, key) = counted::parts(slot);
        let state = atomic::load(word);
        let incarnation = atomic::peek(key.wrapping_byte_add(offset_of!(Key, incarnation)).cast());
        let due = young::tag(state) == FULL && wanted.is_of(incarnation);
        if due && (wanted.is_too_much() || memtrace_send_sum(row, index as u32, state) != 0) {
            return END;
        }
        index += 1;
    }
    GO_ON
}

/// Before a record that tells of a process: what the ledger must know by then.
#[inline(always)]
pub(crate) fn before(incarnation: u32, sums: bool) -> bool {
    !crate::young::is_on() || memtrace_sweep(incarnation, ANY_AGE, u32::from(sums)) == 0
}

/// The collector wants it: all that was allocated before a time, and all pairs.
#[inline(always)]
pub(crate) fn asked(ctx: &RawTracePointContext) -> u32 {
    if filter::mode().over != 0 {
        // Calls in flight are not seen to end any more.
        let threads = (&raw const THREADS).cast_mut().cast();
        // SAFETY: the callback has the signature that the helper calls it with, and takes no context.
        unsafe { bpf_for_each_map_elem(threads, given_up as *mut c_void, ptr::null_mut(), 0) };
    }
    memtrace_sweep(ctx.arg(0), ctx.arg(1), 1)
}

extern "C" fn given_up(_map: *mut c_void, _key: *mut u64, thread: *mut Thread, _context: *mut c_void) -> i64 {
    // SAFETY: a value of the map; programs of its thread do nothing any more.
    let thread = unsafe { &mut *thread };
    if thread.call.sp != 0 {
        crate::young::give_up(thread);
    }
    GO_ON
}
