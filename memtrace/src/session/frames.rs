//! The frames of a profile, each once.

use rustc_hash::FxHashMap;

use crate::profile::{Frame, FrameIndex};

/// Functions at which a thread or a program begins: what calls them is not code of the program.
const STARTS: [&str; 8] = [
    "_start",
    "main",
    "__libc_start_call_main",
    "__libc_start_main",
    "start_thread",
    "clone",
    "clone3",
    "__clone",
];

/// Gives equal frames one index.
#[derive(Default)]
pub(super) struct Interner {
    index: FxHashMap<Frame, FrameIndex>,
    pub(super) all: Vec<Frame>,
}

impl Interner {
    pub(super) fn index(&mut self, frame: &Frame) -> FrameIndex {
        if let Some(&index) = self.index.get(frame) {
            return index;
        }
        let index = FrameIndex::try_from(self.all.len()).unwrap_or(FrameIndex::MAX);
        self.all.push(frame.clone());
        self.index.insert(frame.clone(), index);
        index
    }

    /// Whether one of the outermost frames is a start. The C library's own start routine has no name in stripped
    /// libraries, so the frame before the last counts as well.
    pub(super) fn reaches_start(&self, stack: &[FrameIndex]) -> bool {
        stack.iter().rev().take(3).any(|&frame| {
            let function = self.all.get(frame as usize).and_then(|frame| frame.function.as_deref());
            function.is_some_and(|name| {
                let name = name.split('@').next().unwrap_or(name);
                STARTS
                    .iter()
                    .any(|start| name == *start || name.strip_prefix("__GI_") == Some(*start))
            })
        })
    }
}
