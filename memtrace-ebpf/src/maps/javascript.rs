//! What is known of engines of JavaScript, and the memory for their frames.

use aya_ebpf::{
    bindings::BPF_F_NO_PREALLOC,
    macros::map,
    maps::{Array, HashMap, PerCpuArray},
};
use memtrace_common::{
    event::{JavaScriptCode, JavaScriptFunction},
    javascript,
};

use crate::javascript::PARTS;

/// What was read of a string of JavaScript, to where.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Text {
    /// Where in the tail it begins.
    pub(crate) at: u32,
    /// Bytes at most.
    pub(crate) most: u32,
    /// Bytes so far.
    pub(crate) bytes: u32,
    /// Bytes of a character; 0 as long as there is none.
    pub(crate) width: u32,
    /// Parts that wait to be read.
    pub(crate) waiting: u32,
    /// Not 0 when it is longer.
    pub(crate) cut: u32,
    /// 1 when a part could not be read.
    pub(crate) failed: u32,
}

impl Text {
    pub(crate) const NOTHING: Self = Self {
        at: 0,
        most: 0,
        bytes: 0,
        width: 0,
        waiting: 0,
        cut: 0,
        failed: 0,
    };
}

/// Where the look at a frame of JavaScript is, and the record of a function under construction. Memory of the processor, as [`super::Scratch`].
#[repr(C)]
pub(crate) struct JavaScriptWalk {
    /// The process, and its incarnation.
    pub(crate) pid: u32,
    pub(crate) incarnation: u32,
    /// Its table of codes (avma), once a frame of the stack has asked for it; 0 before.
    pub(crate) table: u64,
    /// Where the interpreter's last frame was that is known for one (avma), or 0: nearly all its calls return to the same address.
    pub(crate) interpreter: u64,
    /// What was read of the frame.
    pub(crate) frame_words: [u64; javascript::FRAME_WORDS],
    /// And of its function.
    pub(crate) seen: javascript::read::Seen,
    /// The position in the bytecode that the interpreter has noted in the frame, or [`javascript::NO_POSITION`].
    pub(crate) noted: u64,
    /// Strings that a string is made of, while it is read.
    pub(crate) parts: [u64; PARTS],
    pub(crate) text: Text,
    /// The record of a function under construction.
    pub(crate) record: JavaScriptFunction,
    /// What follows it: more than may, by what the verifier believes of lengths.
    pub(crate) tail: [u8; 12 << 10],
    /// The record of a piece of code, and what follows it.
    pub(crate) piece: JavaScriptCode,
    pub(crate) piece_tail: [u64; 1 << 10],
}

const _: () = assert!(size_of::<JavaScriptWalk>() <= 32 << 10);

/// The memory of each processor for frames of JavaScript.
#[map]
pub(crate) static JAVASCRIPT: PerCpuArray<JavaScriptWalk> = PerCpuArray::with_max_entries(1, 0);

/// Engines of JavaScript, by [`memtrace_common::state::Process::program`].
#[map]
pub(crate) static ENGINES: HashMap<u32, javascript::EngineLayout> =
    HashMap::with_max_entries(javascript::MAX_LAYOUTS, BPF_F_NO_PREALLOC);

/// How many [`ENGINES`] there are: mostly none, and then there is nothing to look up.
#[map]
pub(crate) static ENGINE_COUNT: Array<u32> = Array::with_max_entries(1, 0);

/// Which functions of JavaScript the collector was told of, as [`super::DEFINED`].
#[map]
pub(crate) static FUNCTIONS: Array<u64> = Array::with_max_entries(javascript::DEFINED_SLOTS, 0);

/// Which code the collector was told of, likewise.
#[map]
pub(crate) static CODES: Array<u64> = Array::with_max_entries(javascript::code::CODE_SLOTS, 0);
