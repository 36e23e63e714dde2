//! Call stacks.

use super::Header;
use crate::{limits::MAX_FRAMES, python::MAX_ENTRIES};

numbered! {
    /// Why a stack has no more frames.
    #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
    pub enum StackEnd;
    /// It is whole: the last frame is where the thread or the program begins.
    Start = 0;
    /// It has as many frames as are ever taken.
    Deep = 1;
    /// No table speaks of the last frame's code, and its frame pointer leads nowhere.
    NoTable = 2;
    /// The stack's memory could not be read: paged out, or the last frames are wrong.
    Unreadable = 3;
    /// The last frame's table needs what the BPF side cannot compute.
    Unsupported = 4;
}

/// Bits of [`StackHead::notes`].
pub mod note {
    /// Some frames were found by frame pointer, for want of a table.
    pub const FRAME_POINTER: u8 = 1;
    /// The table of some frame was not there yet.
    pub const EARLY: u8 = 2;
    /// The stack goes through a signal that may have interrupted code at an instruction that is not a call: the tables
    /// are sure about calls only, so the frames beyond may be wrong.
    pub const SIGNAL: u8 = 4;
    /// Outer Python frames are missing.
    pub const PYTHON_CUT: u8 = 8;
}

/// Words of a stack: room for all frames and all Python frames, two words for each, rounded up to a power of two, which is what the
/// verifier believes of an index.
pub const STACK_WORDS: usize = 512;

/// A call stack, sent before the first event that names it. On the wire only the first words are present: the frames, then the
/// Python frames.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(C)]
pub struct Stack {
    /// Fixed part.
    pub head: StackHead,
    /// Addresses (avma), leaf first. Frame 0 is an instruction; all others are return addresses. The address of a frame of JavaScript is
    /// followed by two words: [`crate::javascript::Key::identity`], which has [`crate::javascript::MARK`], and
    /// [`crate::javascript::position`]. Then the Python frames, innermost
    /// first: [`crate::python::Code::identity`], or 0, and the offset in the bytecode with bits of [`crate::python::entry`].
    pub words: [u64; STACK_WORDS],
}

/// The fixed part of a [`Stack`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
#[repr(C)]
pub struct StackHead {
    /// Common start; no flags apply.
    pub header: Header,
    /// The identity of the stack: [`crate::identity::Identity::id`].
    pub id: u64,
    /// What the addresses mean: [`crate::space::Space::epoch`]; or, for a stack through code that is newer than the space
    /// ([`note::EARLY`]), when that code came.
    pub epoch: u64,
    /// Words of frames that follow.
    pub count: u32,
    /// [`StackEnd`] as its number.
    pub end: u8,
    /// Bits of [`note`].
    pub notes: u8,
    /// Python frames that follow these, with the marks between them. None where there are frames of JavaScript.
    pub python: u16,
}

const _: () = assert!(STACK_WORDS >= 3 * MAX_FRAMES);
const _: () = assert!(STACK_WORDS.is_power_of_two() && STACK_WORDS >= MAX_FRAMES + 2 * MAX_ENTRIES);
