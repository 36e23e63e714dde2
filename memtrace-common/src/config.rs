//! Settings that the loader writes into the object's read-only data before the kernel verifies it.

/// Name of the symbol that holds [`Config`] in the object.
pub const SYMBOL: &str = "CONFIG";

/// Settings fixed for the life of a session.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(C)]
pub struct Config {
    /// Bytes waiting in the ring at which the collector is woken at once rather than at its next tick.
    pub wakeup_bytes: u64,
    /// Frames that a stack may have, at most [`crate::limits::MAX_FRAMES`].
    pub max_frames: u32,
    /// Keeps the layout free of implicit padding.
    pub reserved: u32,
}

const _: () = assert!(size_of::<Config>() == 16);
