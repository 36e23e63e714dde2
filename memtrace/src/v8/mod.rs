//! V8: which engine a file has, and what it says of itself.
//!
//! A pure function of files; what is not understood gives a reason, and native tracing goes on without it.

pub mod engine;
mod layout;
pub mod positions;

pub use self::layout::layout;
pub mod heap;
