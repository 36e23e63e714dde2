//! That V8 ran out of memory, or came near the limit of a heap.

use std::time::Duration;

pub use memtrace_common::v8_heap::shortage::Shortage;

use super::{Frame, FrameKind, Profile};

/// One such moment of a thread that runs JavaScript.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct JsShortage {
    /// When it was, since the start of the observation.
    pub at: Duration,
    /// Process id.
    pub pid: u32,
    /// The thread.
    pub tid: u32,
    /// What happened.
    pub what: Shortage,
    /// The limit of old objects, in bytes; `None` where it is not known.
    pub limit: Option<u64>,
    /// Object bytes, young ones too: those after the last collection, and what was taken since. `None` where no collection was seen.
    pub used: Option<u64>,
    /// The place in V8 that gave up, in V8's words; empty where there are none.
    pub words: String,
    /// Index into [`Profile::stacks`], or `None` when the stack was lost.
    pub stack: Option<usize>,
}

impl Profile {
    /// The frames of a shortage, leaf first; none when its stack was lost.
    pub fn shortage_stack(&self, shortage: &JsShortage) -> impl Iterator<Item = &Frame> {
        let stack = shortage.stack.and_then(|stack| self.stacks.get(stack));
        let frames = stack.into_iter().flatten();
        frames.filter_map(|&index| self.frames.get(index as usize))
    }

    /// Those that say who wanted the memory, innermost first: from the first function of JavaScript on, and all where there is none.
    pub fn shortage_callers(&self, shortage: &JsShortage) -> Vec<&Frame> {
        let frames: Vec<_> = self.shortage_stack(shortage).collect();
        let first = frames.iter().position(|frame| frame.kind == FrameKind::JavaScript);
        frames[first.unwrap_or(0)..].to_vec()
    }
}
