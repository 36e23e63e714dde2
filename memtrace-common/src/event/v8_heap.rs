//! The heap of JavaScript's objects.

use super::Header;
use crate::v8_heap::shortage::WORDS;

/// A thread has taken bytes for JavaScript objects since its last record of this kind.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
#[repr(C)]
pub struct JsAllocated {
    /// Common start; no flags apply.
    pub header: Header,
    /// How many bytes.
    pub bytes: u64,
    /// [`crate::v8_heap::space::Space`] as its number: where they are.
    pub space: u32,
    /// Keeps the layout free of implicit padding.
    pub reserved: u32,
}

/// A collection of a thread's heap has ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
#[repr(C)]
pub struct JsCollected {
    /// Common start; no flags apply. The time is that of its end.
    pub header: Header,
    /// How long the thread stood still, in nanoseconds; 0 when its beginning was not seen.
    pub pause_ns: u64,
    /// [`crate::v8_heap::Collected::kind`]
    pub kind: u32,
    /// [`crate::v8_heap::Collected::reason`]
    pub reason: u32,
    /// [`crate::v8_heap::Collected::before_bytes`]
    pub before_bytes: u64,
    /// [`crate::v8_heap::Collected::after_bytes`]
    pub after_bytes: u64,
    /// [`crate::v8_heap::Collected::before_memory`]
    pub before_memory: u64,
    /// [`crate::v8_heap::Collected::after_memory`]
    pub after_memory: u64,
}

/// A byte that was drawn of what a thread takes for JavaScript objects has been taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
#[repr(C)]
pub struct JsSampled {
    /// Common start; `STACK_LOST`, `STACK_CUT` and `UNWRITTEN` apply.
    pub header: Header,
    /// For how many bytes it stands.
    pub weight: u64,
    /// Identity of the call stack, 0 for none.
    pub stack: u64,
    /// [`crate::v8_heap::space::Space`] as its number: where the byte is.
    pub space: u32,
    /// Keeps the layout free of implicit padding.
    pub reserved: u32,
}

/// A young object that was followed has died, or is none any more.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
#[repr(C)]
pub struct JsSurvived {
    /// Common start; no flags apply. The time is that of the collection.
    pub header: Header,
    /// Identity of the call stack that made it.
    pub stack: u64,
    /// [`crate::v8_heap::survival::Fate`] as its number.
    pub fate: u32,
    /// Collections that it has survived before that one.
    pub collections: u32,
}

/// V8 has run out of memory, or has come near the limit of a heap.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
#[repr(C)]
pub struct JsShortage {
    /// Common start; `STACK_LOST` and `STACK_CUT` apply.
    pub header: Header,
    /// Identity of the call stack, 0 for none.
    pub stack: u64,
    /// The limit of old objects, in bytes; 0 where it is not known.
    pub limit: u64,
    /// [`crate::v8_heap::shortage::Shortage`] as its number.
    pub what: u32,
    /// Keeps the layout free of implicit padding.
    pub reserved: u32,
    /// The place in V8 that gave up, in V8's words; ends at the first zero, and is empty where there are none.
    pub words: [u8; WORDS],
}
