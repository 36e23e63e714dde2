//! V8: which engine a file has, and what it says of itself.
//!
//! A pure function of files; what is not understood gives a reason, and native tracing goes on without it.

mod baseline;
mod code;
mod compiled;
pub mod engine;
pub mod heap;
mod layout;
mod optimized;
pub mod pages;
pub mod positions;
pub mod read;
mod safepoints;

pub use self::{
    code::Grammar,
    compiled::{Compiled, Level},
    layout::layout,
};

/// The next number in groups of seven bits, lowest first, if there is one in so many bytes: 9 at most.
fn groups(bytes: &mut std::slice::Iter<'_, u8>, most: u32) -> Option<u64> {
    let mut value = 0;
    for group in 0..most {
        let byte = *bytes.next()?;
        value |= u64::from(byte & 0x7f) << (7 * group);
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// The next number of 32 bits in such groups, if there is one (src/base/vlq.h).
fn varint(bytes: &mut std::slice::Iter<'_, u8>) -> Option<u32> {
    u32::try_from(groups(bytes, 5)?).ok()
}

/// A number whose lowest bit is its sign.
fn signed(value: u32) -> i64 {
    let half = i64::from(value >> 1);
    if value & 1 == 0 { half } else { -half }
}
