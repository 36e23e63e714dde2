//! V8: which engine a file has, and what it says of itself.
//!
//! A pure function of files; what is not understood gives a reason, and native tracing goes on without it.

mod baseline;
mod code;
mod compiled;
pub mod engine;
mod layout;
mod optimized;
pub mod positions;
mod safepoints;

pub use self::{
    code::Grammar,
    compiled::{Compiled, Level},
    layout::layout,
};
pub mod heap;

/// The next number in groups of seven bits, lowest first, if there is one that fits (src/base/vlq.h).
fn varint(bytes: &mut std::slice::Iter<'_, u8>) -> Option<u32> {
    let mut value = 0_u64;
    for shift in (0..35).step_by(7) {
        let byte = *bytes.next()?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return u32::try_from(value).ok();
        }
    }
    None
}

/// A number whose lowest bit is its sign.
fn signed(value: u32) -> i64 {
    let half = i64::from(value >> 1);
    if value & 1 == 0 { half } else { -half }
}
