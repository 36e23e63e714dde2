//! Reads the Python stack of a thread from the memory of a process, as the BPF side does: by the same layouts, with the same checks.
//!
//! The memory is the target's: whatever is in it, a walk ends when what it was allowed is used up.

use std::{cell::Cell, sync::Arc};

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

/// Longest line table that is read, in bytes. That of a function of ten thousand lines has some hundred KiB.
const MAX_TABLE: u64 = 4 << 20;

/// Bytes of a string's head, and of a `bytes` object's.
const TEXT_HEAD: u32 = 40;
const BYTES_HEAD: u32 = 24;

/// What a read costs besides its bytes, in bytes: about as long as the system call takes, that many could be copied.
const READ: u64 = 64;

/// The memory of a process.
pub trait Memory {
    /// Fills `bytes` with what is at an address (avma); `false` when that cannot be read.
    fn read(&self, address: u64, bytes: &mut [u8]) -> bool;
}

/// What may be spent on stacks; a walk takes from it what it has used.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Allowance {
    /// Frames, with the marks between them.
    pub entries: usize,
    /// Bytes that are read and looked through, with some for each read.
    pub bytes: u64,
}

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
    memory: &impl Memory,
    layout: &Layout,
    form: Form,
    thread: u64,
    allowance: &mut Allowance,
) -> Option<PythonStack> {
    let left = Cell::new(allowance.bytes);
    let mut walk = Walk {
        memory: &Metered { memory, left: &left },
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
    let mut next = top(walk.memory, layout, thread).filter(|&top| top != 0)?;
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
            Err(_) if left.get() == 0 => break End::Deep,
            Err(end) => break end,
        }
    };
    allowance.entries -= walk.stack.entries.len();
    allowance.bytes = left.get();
    Some(PythonStack { end, ..walk.stack })
}

/// A walk, and what it knows already: recursion comes through the same code again.
struct Walk<'a, M> {
    memory: &'a M,
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

impl<M: Spent> Walk<'_, M> {
    /// Takes a frame; where its caller's is.
    fn frame(&mut self, at: u64) -> Result<u64, End> {
        let layout = self.layout;
        let read = words::<FRAME_WORDS>(self.memory, at, layout.frame.bytes).ok_or(End::Unreadable)?;
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
        let read = words::<CODE_WORDS>(memory, at, layout.code.bytes).ok_or(End::Unreadable)?;
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

/// Memory whose reading is paid for.
struct Metered<'a, M> {
    memory: &'a M,
    left: &'a Cell<u64>,
}

/// What is paid for.
trait Spent: Memory {
    /// Pays, and tells whether something is left.
    fn spend(&self, bytes: u64) -> bool;
}

impl<M: Memory> Spent for Metered<'_, M> {
    fn spend(&self, bytes: u64) -> bool {
        let left = self.left.get().saturating_sub(bytes);
        self.left.set(left);
        left > 0
    }
}

impl<M: Memory> Memory for Metered<'_, M> {
    fn read(&self, address: u64, bytes: &mut [u8]) -> bool {
        self.spend(READ + bytes.len() as u64) && self.memory.read(address, bytes)
    }
}

/// The innermost frame of a thread.
fn top(memory: &impl Memory, layout: &Layout, thread: u64) -> Option<u64> {
    let holder = (layout.current != 0).then(|| word(memory, layout.current)).flatten();
    let of_state = |state: u64| {
        let read = words::<STATE_WORDS>(memory, state, layout.state.bytes)?;
        let (thread_id, top) = layout.state.read(&read);
        (thread_id == thread).then_some(top)
    };
    let top = holder
        .and_then(of_state)
        .or_else(|| of_state(under_key(memory, layout, thread)?))?;
    if layout.state.via == DIRECT || top == 0 {
        Some(top)
    } else {
        word(memory, top.wrapping_add(layout.state.via.into()))
    }
}

/// What a thread has under the interpreter's key.
fn under_key(memory: &impl Memory, layout: &Layout, thread: u64) -> Option<u64> {
    let place = layout.keys.place(word(memory, layout.key)?)?;
    let block = word(memory, thread.wrapping_add(place.block)).filter(|&block| block != 0)?;
    word(memory, block.wrapping_add(place.value))
}

fn word(memory: &impl Memory, address: u64) -> Option<u64> {
    let mut bytes = [0; 8];
    memory.read(address, &mut bytes).then(|| u64::from_le_bytes(bytes))
}

/// The words of a structure; those that are not read are 0.
fn words<const N: usize>(memory: &impl Memory, address: u64, bytes: u32) -> Option<[u64; N]> {
    let read = content(memory, address, (bytes as usize).min(8 * N))?;
    let mut words = [0; N];
    for (word, bytes) in words.iter_mut().zip(read.chunks_exact(8)) {
        *word = bytes.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte));
    }
    Some(words)
}

fn content(memory: &impl Memory, address: u64, length: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0; length];
    memory.read(address, &mut bytes).then_some(bytes)
}

fn string(memory: &impl Memory, layout: &Layout, address: u64, most: usize) -> Option<String> {
    let head = words::<TEXT_WORDS>(memory, address, TEXT_HEAD)?;
    let found = layout.text.read(&head, address)?;
    let room = most & !3;
    let length = usize::try_from(found.bytes).unwrap_or(usize::MAX);
    let known = text(&content(memory, found.address, length.min(room))?, found.width)?;
    Some(if length > room { known + "…" } else { known })
}

fn table(memory: &impl Memory, address: u64) -> Option<Vec<u8>> {
    let head = words::<TEXT_WORDS>(memory, address, BYTES_HEAD)?;
    let length = bytes_length(&head);
    let length = usize::try_from(length).ok().filter(|_| length <= MAX_TABLE)?;
    content(memory, address.wrapping_add(BYTES_CONTENT), length)
}

#[cfg(test)]
mod tests;
