//! The filter of addresses that the collector may know: a free of any other is passed over.
//!
//! An address is entered when its block is in the sample, and never taken out: another block may have the same bit. The collector
//! has a filter that has become too full made anew, in the other half.

use aya_ebpf::programs::RawTracePointContext;
use memtrace_common::{
    sampling::{KNOWN_BITS, KNOWN_ROW, KNOWN_ROWS, known_bit},
    state::known::{ASK_FIRST, ASK_SECOND, ENTER_FIRST, ENTER_SECOND},
};

use crate::{atomic, filter, maps::KNOWN};

/// The word of an address in a half, and its bit there. `None` when there is no filter.
#[inline(always)]
fn place(address: u64, half: u32) -> Option<(*mut u64, u64)> {
    let bit = known_bit(address) & (KNOWN_BITS - 1);
    let row = KNOWN.get_ptr_mut(half * KNOWN_ROWS + (bit / KNOWN_ROW) as u32)?;
    let word = (bit % KNOWN_ROW) as usize / u64::BITS as usize;
    Some((row.cast::<u64>().wrapping_add(word), 1 << (bit % u64::from(u64::BITS))))
}

#[inline(always)]
fn enter_half(address: u64, half: u32) {
    if let Some((word, bit)) = place(address, half)
        && atomic::peek(word) & bit == 0
    {
        atomic::or(word, bit);
    }
}

/// A block is in the sample: its free will be asked for. Before the target has its address.
#[inline(always)]
pub(crate) fn enter(address: u64) {
    let known = filter::mode().known;
    if known & ENTER_FIRST != 0 {
        enter_half(address, 0);
    }
    if known & ENTER_SECOND != 0 {
        enter_half(address, 1);
    }
}

/// Whether the collector may know a block at this address.
#[inline(always)]
pub(crate) fn may_be(address: u64) -> bool {
    let known = filter::mode().known;
    if known & (ASK_FIRST | ASK_SECOND) == 0 {
        return true;
    }
    let half = u32::from(known & ASK_FIRST == 0);
    place(address, half).is_none_or(|(word, bit)| atomic::peek(word) & bit != 0)
}

/// The collector names blocks that it knows; 0 for none.
#[inline(always)]
pub(crate) fn asked(ctx: &RawTracePointContext) -> u32 {
    let named: [u64; 10] = [
        ctx.arg(0),
        ctx.arg(1),
        ctx.arg(2),
        ctx.arg(3),
        ctx.arg(4),
        ctx.arg(5),
        ctx.arg(6),
        ctx.arg(7),
        ctx.arg(8),
        ctx.arg(9),
    ];
    for address in named {
        if address != 0 {
            enter(address);
        }
    }
    0
}
