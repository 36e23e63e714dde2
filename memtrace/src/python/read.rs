//! Reads the Python stack of a thread from the memory of a process, as the BPF side does: by the same layouts, with the same checks.
//!
//! The memory is the target's: whatever is in it, a walk ends when what it was allowed is used up.

use std::sync::Arc;

use memtrace_common::python::{
    BYTES_CONTENT, CODE_WORDS, DIRECT, FILE_BYTES, FRAME_WORDS, Layout, NAME_BYTES, STATE_WORDS, TEXT_WORDS,
    bytes_length, entry,
};
use rustc_hash::FxHashMap;

use super::{
    lines::{Form, line},
    merge::Entry,
    text,
};
use crate::process::metered::{Allowance, Fill, Metered};

/// Longest line table that is read, in bytes. That of a function of ten thousand lines has some hundred KiB.
const MAX_TABLE: u64 = 4 << 20;

/// Bytes of a string's head, and of a `bytes` object's.
const TEXT_HEAD: u32 = 40;
const BYTES_HEAD: u32 = 24;

/// A Python frame.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PythonFrame {
    /// Its name, qualified from 3.11 on.
    pub function: Arc<str>,
    /// The path of its source.
    pub file: Arc<str>,
    /// The line, where the table has one.
    pub line: Option<u32>,
}

/// The Python stack of a thread, innermost frame first.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PythonStack {
    /// Its frames.
    pub frames: Vec<PythonFrame>,
    /// The same by index, with the marks between them: what is merged with native frames.
    pub entries: Vec<Entry<usize>>,
    /// Why there are no more.
    pub end: End,
}

/// Why there are no more frames.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum End {
    /// It is whole.
    Start,
    /// What was allowed is used up.
    Deep,
    /// Memory could not be read.
    Unreadable,
    /// What should be code is something else.
    Foreign,
}

/// The stack of a thread. `thread` is its thread pointer. `None` when it runs no Python.
pub fn stack(
    memory: &impl Fill,
    layout: &Layout,
    form: Form,
    thread: u64,
    allowance: &mut Allowance,
) -> Option<PythonStack> {
    let memory = &Metered::new(memory, allowance.bytes);
    let mut walk = Walk {
        memory,
        layout,
        form,
        codes: FxHashMap::default(),
        lines: FxHashMap::default(),
        stack: PythonStack {
            frames: Vec::new(),
            entries: Vec::new(),
            end: End::Start,
        },
    };
    let mut next = top(memory, layout, thread).filter(|&top| top != 0)?;
    let end = loop {
        if next == 0 {
            break End::Start;
        }
        if walk.stack.entries.len() >= allowance.entries {
            break End::Deep;
        }
        match walk.frame(next) {
            Ok(previous) => next = previous,
            // What cannot be paid for looks like memory that is not there.
            Err(_) if memory.left() == 0 => break End::Deep,
            Err(end) => break end,
        }
    };
    allowance.entries -= walk.stack.entries.len();
    allowance.bytes = memory.left();
    Some(PythonStack { end, ..walk.stack })
}

/// A walk, and what it knows already: recursion comes through the same code again.
struct Walk<'a, M> {
    memory: &'a Metered<'a, M>,
    layout: &'a Layout,
    form: Form,
    codes: FxHashMap<u64, Code>,
    lines: FxHashMap<(u64, i32), Option<u32>>,
    stack: PythonStack,
}

/// A code object.
#[derive(Clone)]
struct Code {
    function: Arc<str>,
    file: Arc<str>,
    first_line: u32,
    table: Option<Arc<[u8]>>,
}

impl<M: Fill> Walk<'_, M> {
    /// Takes a frame; where its caller's is.
    fn frame(&mut self, at: u64) -> Result<u64, End> {
        let layout = self.layout;
        let read = self
            .memory
            .words::<FRAME_WORDS>(at, layout.frame.bytes)
            .ok_or(End::Unreadable)?;
        let frame = layout.frame.read(&read);
        if frame.flags & entry::SHIM != 0 {
            self.stack.entries.push(Entry::Mark);
            return Ok(frame.previous);
        }
        let code = self.code(frame.code)?;
        let offset = layout.frame.offset(frame.position, frame.code, layout.code.start);
        let known = self.lines.get(&(frame.code, offset)).copied();
        let line = known.unwrap_or_else(|| match &code.table {
            Some(table) if self.memory.spend(table.len() as u64) => line(self.form, table, code.first_line, offset),
            _ => Some(code.first_line),
        });
        // A frame of which a part could not be paid for is none.
        if !self.memory.spend(0) {
            return Err(End::Deep);
        }
        self.lines.insert((frame.code, offset), line);
        self.stack.entries.push(Entry::Frame {
            at: self.stack.frames.len(),
            outermost: frame.flags & entry::OUTERMOST != 0,
        });
        self.stack.frames.push(PythonFrame {
            function: code.function,
            file: code.file,
            line,
        });
        Ok(frame.previous)
    }

    fn code(&mut self, at: u64) -> Result<Code, End> {
        if let Some(known) = self.codes.get(&at) {
            return Ok(known.clone());
        }
        let (memory, layout) = (self.memory, self.layout);
        let read = memory
            .words::<CODE_WORDS>(at, layout.code.bytes)
            .ok_or(End::Unreadable)?;
        let code = layout.code.read(&read);
        if code.of_type != layout.code_type {
            return Err(End::Foreign);
        }
        let name = string(memory, layout, code.name, NAME_BYTES).unwrap_or_else(|| "<unknown>".to_owned());
        let file = string(memory, layout, code.file, FILE_BYTES).unwrap_or_default();
        let code = Code {
            function: name.into(),
            file: file.into(),
            first_line: code.first_line,
            table: table(memory, code.table).map(Into::into),
        };
        self.codes.insert(at, code.clone());
        Ok(code)
    }
}

/// The innermost frame of a thread.
fn top(memory: &Metered<'_, impl Fill>, layout: &Layout, thread: u64) -> Option<u64> {
    let holder = (layout.current != 0).then(|| memory.word(layout.current)).flatten();
    let of_state = |state: u64| {
        let read = memory.words::<STATE_WORDS>(state, layout.state.bytes)?;
        let (thread_id, top) = layout.state.read(&read);
        (thread_id == thread).then_some(top)
    };
    let top = holder
        .and_then(of_state)
        .or_else(|| of_state(under_key(memory, layout, thread)?))?;
    if layout.state.via == DIRECT || top == 0 {
        Some(top)
    } else {
        memory.word(top.wrapping_add(layout.state.via.into()))
    }
}

/// What a thread has under the interpreter's key.
fn under_key(memory: &Metered<'_, impl Fill>, layout: &Layout, thread: u64) -> Option<u64> {
    let place = layout.keys.place(memory.word(layout.key)?)?;
    let block = memory
        .word(thread.wrapping_add(place.block))
        .filter(|&block| block != 0)?;
    memory.word(block.wrapping_add(place.value))
}

fn string(memory: &Metered<'_, impl Fill>, layout: &Layout, address: u64, most: usize) -> Option<String> {
    let head = memory.words::<TEXT_WORDS>(address, TEXT_HEAD)?;
    let found = layout.text.read(&head, address)?;
    let room = most & !3;
    let length = usize::try_from(found.bytes).unwrap_or(usize::MAX);
    let known = text(&memory.content(found.address, length.min(room))?, found.width)?;
    Some(if length > room { known + "…" } else { known })
}

fn table(memory: &Metered<'_, impl Fill>, address: u64) -> Option<Vec<u8>> {
    let head = memory.words::<TEXT_WORDS>(address, BYTES_HEAD)?;
    let length = bytes_length(&head);
    let length = usize::try_from(length).ok().filter(|_| length <= MAX_TABLE)?;
    memory.content(address.wrapping_add(BYTES_CONTENT), length)
}

#[cfg(test)]
mod tests;
