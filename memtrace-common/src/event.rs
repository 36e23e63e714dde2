//! The records of the ring buffer.
//!
//! Order is the contract: one ring for all processors, a free is sent at the *entry* of the call and an
//! allocation at its *return*. Between the two lies the allocator's own work, so a reused address can never
//! be seen allocated before it was seen freed. What gives memory back and may still fail (`realloc`,
//! `mremap`, `munmap`) sends a *begin* at its entry, which sets the block aside, and an *end* that commits
//! or restores it. A stack is sent before the first event that names it.
//!
//! Blocks that are freed while the BPF side still holds them ([`crate::young`]) come only as sums. An allocation that has waited there
//! is sent late, with its own time: before the free of the block, and before a record that tells of its process.

mod javascript;
mod python;
mod stack;
mod v8_heap;

pub use self::{
    javascript::{JavaScriptCode, JavaScriptFunction, about},
    python::PythonCode,
    stack::{STACK_WORDS, Stack, StackEnd, StackHead, note},
    v8_heap::{JsAllocated, JsCollected, JsSampled, JsShortage, JsSurvived},
};
use crate::{limits::COMMAND_BYTES, young::LIFETIMES};

numbered! {
    /// Tells a record's type; the first byte of every record. Never reuse a number.
    #[derive(Clone, Copy, Debug, Eq, PartialEq)]
    pub enum Kind;
    /// [`Stack`]
    Stack = 1;
    /// [`Alloc`]
    Alloc = 2;
    /// [`Free`]
    Free = 3;
    /// [`Free`]: a block was given to `realloc`
    ReallocBegin = 4;
    /// [`Realloc`]
    ReallocEnd = 5;
    /// [`Map`]
    Map = 6;
    /// [`Unmap`]: a range was given to `munmap`
    UnmapBegin = 7;
    /// [`Unmap`]: the call failed, the range is still mapped; not sent when it succeeded
    UnmapFailed = 8;
    /// [`Unmap`]: a range was given to `mremap`
    RemapBegin = 9;
    /// [`Remap`]
    RemapEnd = 10;
    /// [`Break`]
    Break = 11;
    /// [`Program`]: the process replaced its program; the header has the new incarnation. `JOINED` applies
    Exec = 12;
    /// [`Fork`]
    Fork = 13;
    /// [`Header`] alone: the process has ended, all its threads
    Exit = 14;
    /// [`Program`]: a process that is seen for the first time
    Join = 15;
    /// [`Header`] alone: code of the process was mapped or changed in a way that [`Map`] does not tell
    Code = 16;
    /// [`Image`]
    Image = 17;
    /// [`Pairs`]
    Pairs = 18;
    /// [`Weighted`]
    Weighted = 19;
    /// [`PythonCode`], and what follows it
    PythonCode = 20;
    /// [`JavaScriptFunction`], and what follows it
    JavaScriptFunction = 21;
    /// [`JavaScriptCode`], and what follows it
    JavaScriptCode = 27;
    /// [`JsAllocated`]
    JsAllocated = 24;
    /// [`JsCollected`]
    JsCollected = 25;
    /// [`JsSampled`]
    JsSampled = 26;
    /// [`JsShortage`]
    JsShortage = 28;
    /// [`JsSurvived`]
    JsSurvived = 29;
}

/// Bits of [`Header::flags`].
pub mod flag {
    /// The call failed; nothing was allocated and the old block, if any, is still there.
    pub const FAILED: u16 = 1;
    /// `realloc` to size 0 that freed the old block and allocated nothing.
    pub const FREED: u16 = 2;
    /// The record's begin could not be sent (ring full): the end must take the old block out itself.
    pub const BEGIN_LOST: u16 = 4;
    /// The stack could not be sent (ring full) or its scratch was taken over: `stack` is 0.
    pub const STACK_LOST: u16 = 8;
    /// The stack does not reach the start of its thread: its [`super::StackHead::end`] tells why.
    pub const STACK_CUT: u16 = 16;
    /// Nobody wrote to the byte that was sampled; only [`super::Kind::JsSampled`] carries it.
    pub const UNWRITTEN: u16 = 32;
    /// The call was made by an allocator for itself; only [`super::Kind::Break`] carries it.
    pub const NESTED: u16 = 64;
    /// The mapping replaced whatever was in its range (`MAP_FIXED`).
    pub const FIXED: u16 = 128;
    /// The old range of an `mremap` stays mapped (`MREMAP_DONTUNMAP`, or old length 0).
    pub const KEEP_OLD: u16 = 256;
    /// The mapping is executable: the collector's list of mappings is out of date.
    pub const EXECUTABLE: u16 = 512;
    /// The program was replaced by a thread other than the main one, which took the main thread's number over; only
    /// [`super::Kind::Exec`] carries it.
    pub const OTHER_THREAD: u16 = 1024;
    /// The block may have been given to another function that frees before, further up the stack: then it is one free. Only
    /// [`super::Kind::Free`] carries it.
    pub const PASSED_ON: u16 = 2048;
    /// Only the main thread has ended, others go on; only [`super::Kind::Exit`] carries it.
    pub const MAIN_THREAD: u16 = 8192;
    /// The process was not traced before; only [`super::Kind::Exec`] carries it.
    pub const JOINED: u16 = 4096;
    /// The mapping was asked for as the stack of a thread (`MAP_STACK`); only [`super::Kind::Map`] carries it.
    pub const STACK: u16 = 16384;
}

/// Start of every record.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
#[repr(C)]
pub struct Header {
    /// [`Kind`] as its number.
    pub kind: u8,
    /// [`crate::Op`] as its number, or 0 where there is none.
    pub op: u8,
    /// Bits of [`flag`].
    pub flags: u16,
    /// Process id (tgid), as memtrace sees it.
    pub pid: u32,
    /// Thread id, as memtrace sees it.
    pub tid: u32,
    /// Incarnation of the process: see [`crate::state::Process`].
    pub incarnation: u32,
    /// Kernel monotonic time in nanoseconds.
    pub time_ns: u64,
}

/// An allocator call returned a block.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
#[repr(C)]
pub struct Alloc {
    /// Common start; `op` is the hook.
    pub header: Header,
    /// Address of the block (avma).
    pub address: u64,
    /// Requested size in bytes.
    pub size: u64,
    /// Identity of the call stack, 0 for none.
    pub stack: u64,
}

/// An allocator call returned a block that stands for several of its size.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
#[repr(C)]
pub struct Weighted {
    /// The block.
    pub alloc: Alloc,
    /// For how many: [`crate::sampling::weight`].
    pub weight: u32,
    /// Keeps the layout free of implicit padding.
    pub reserved: u32,
}

/// Blocks that were allocated and freed and are in no other record: a sum over equal allocations.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
#[repr(C)]
pub struct Pairs {
    /// Common start; `op` is the hook that allocated. There is no thread.
    pub header: Header,
    /// Identity of the call stack of the allocations, 0 for none.
    pub stack: u64,
    /// How many blocks, each with its weight.
    pub count: u64,
    /// Their requested sizes together, in bytes, likewise.
    pub bytes: u64,
    /// Class of their size: [`crate::young::size_class`].
    pub class: u32,
    /// Keeps the layout free of implicit padding.
    pub reserved: u32,
    /// How many of them lived how long: [`crate::young::lifetime_class`].
    pub lifetimes: [u32; LIFETIMES],
}

/// A block was given to `free`, or to `realloc`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
#[repr(C)]
pub struct Free {
    /// Common start; `op` is the hook.
    pub header: Header,
    /// Address of the block (avma).
    pub address: u64,
}

/// A `realloc` returned.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
#[repr(C)]
pub struct Realloc {
    /// Common start; `FAILED`, `FREED` and `BEGIN_LOST` apply.
    pub header: Header,
    /// The old block (avma), or 0 when there was none.
    pub old: u64,
    /// The new block (avma), or 0 when none was returned.
    pub address: u64,
    /// Requested size in bytes.
    pub size: u64,
    /// Identity of the call stack, 0 for none.
    pub stack: u64,
}

/// A program begins, or is seen for the first time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
#[repr(C)]
pub struct Program {
    /// Common start.
    pub header: Header,
    /// Name of the thread, which is that of the program when it begins; filled up with zeros.
    pub command: [u8; COMMAND_BYTES],
}

/// Code of a file was mapped: which file, as the kernel knows it, so that it can be named when the process is gone by the time
/// that somebody looks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
#[repr(C)]
pub struct Image {
    /// Common start.
    pub header: Header,
    /// First address (avma).
    pub address: u64,
    /// Length in bytes; 0 for the executable, whose first executable segment begins at `address`, and for its dynamic loader.
    pub size: u64,
    /// Offset in the file; [`Image::FROM_BIAS`] for the dynamic loader, whose `address` is what its addresses (svma) are added to.
    pub offset: u64,
    /// Inode.
    pub inode: u64,
    /// Device as the kernel has it inside (`MKDEV`, `include/linux/kdev_t.h`).
    pub device: u32,
    /// Keeps the layout free of implicit padding.
    pub reserved: u32,
}

impl Image {
    /// See [`Image::offset`].
    pub const FROM_BIAS: u64 = u64::MAX;
}

/// A process was forked: the child has a copy of all blocks and ranges.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
#[repr(C)]
pub struct Fork {
    /// Common start: the parent.
    pub header: Header,
    /// Process id of the child.
    pub child: u32,
    /// Its incarnation.
    pub child_incarnation: u32,
}

/// An `mmap` succeeded.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
#[repr(C)]
pub struct Map {
    /// Common start; `op` tells memory, file or reserved; `FIXED` and `EXECUTABLE` apply.
    pub header: Header,
    /// Start of the range (avma).
    pub address: u64,
    /// Length in bytes as asked for; the kernel maps whole pages.
    pub size: u64,
    /// Identity of the call stack, 0 for none.
    pub stack: u64,
}

/// A range was given to `munmap` or `mremap`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
#[repr(C)]
pub struct Unmap {
    /// Common start.
    pub header: Header,
    /// Start of the range (avma).
    pub address: u64,
    /// Length in bytes as asked for.
    pub size: u64,
}

/// An `mremap` returned.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
#[repr(C)]
pub struct Remap {
    /// Common start; `FAILED`, `KEEP_OLD` and `BEGIN_LOST` apply.
    pub header: Header,
    /// Start of the old range (avma).
    pub old: u64,
    /// Old length in bytes as asked for.
    pub old_size: u64,
    /// Start of the new range (avma), 0 on failure.
    pub address: u64,
    /// New length in bytes as asked for.
    pub size: u64,
    /// Identity of the call stack, 0 for none.
    pub stack: u64,
}

/// A `brk` returned.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
#[repr(C)]
pub struct Break {
    /// Common start; `NESTED` applies.
    pub header: Header,
    /// The program break after the call (avma).
    pub address: u64,
    /// Identity of the call stack, 0 for none.
    pub stack: u64,
}

const _: () = {
    assert!(size_of::<Header>() == 24);
    assert!(size_of::<Alloc>() == 48);
    assert!(size_of::<Weighted>() == 56);
    assert!(size_of::<Free>() == 32);
    assert!(size_of::<Pairs>() == 56 + 4 * LIFETIMES);
    assert!(size_of::<Fork>() == 32);
    assert!(size_of::<Program>() == 40);
    assert!(size_of::<Image>() == 64);
    assert!(size_of::<Realloc>() == 56);
    assert!(size_of::<Map>() == 48);
    assert!(size_of::<Unmap>() == 40);
    assert!(size_of::<Remap>() == 64);
    assert!(size_of::<Break>() == 40);
    assert!(size_of::<StackHead>() == 48);
    assert!(size_of::<PythonCode>() == 64);
    assert!(size_of::<JsAllocated>() == 40);
    assert!(size_of::<JsCollected>() == 72);
    assert!(size_of::<JsSampled>() == 48);
    assert!(size_of::<JsShortage>() == 112);
    assert!(size_of::<JsSurvived>() == 40);
    assert!(size_of::<Stack>() == 48 + 8 * STACK_WORDS);
    assert!(core::mem::offset_of!(Stack, words) == 48);
};
