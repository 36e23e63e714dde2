//! CPython: which interpreter a file is, and how the Python stack of its threads is found in memory.
//!
//! A pure function of files, and of the bytes that the BPF side has read; what is not understood gives a reason, and native
//! tracing goes on without it.

mod debug_offsets;
mod image;
mod judge;
mod keys;
pub mod lines;
pub mod merge;
mod offsets;
pub mod read;
mod text;
mod version;

use std::{fs::File, ops::Range};

use memtrace_common::python::{KeyLayout, Layout};

use self::offsets::Offsets;
pub use self::{
    image::{Image, image},
    judge::{Judged, Mapped, judge},
    text::text,
    version::Version,
};
pub use crate::process::Segment;
use crate::process::{Elf, FileBytes};

/// The function that executes Python code. It is exported, so every file has its name.
pub const EVALUATOR: &str = "_PyEval_EvalFrameDefault";

/// What a compiler calls the part of it that is seldom executed.
const COLD: &str = "_PyEval_EvalFrameDefault.cold";

/// Bytes of a page, of which the kernel maps whole ones.
const PAGE: u64 = 4096;

/// A file that has an interpreter.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Interpreter {
    /// Which one.
    pub version: Version,
    /// Where the evaluator is (file offsets).
    pub evaluator: Vec<Range<u64>>,
    /// `_PyRuntime` (svma).
    runtime: u64,
    /// `PyCode_Type` (svma).
    code_type: u64,
    offsets: Offsets,
    segments: Segments,
}

/// Executable segments: offset in the file, size in bytes, svma.
type Segments = Vec<(u64, u64, u64)>;

/// What a file has to do with Python.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Found {
    /// Nothing.
    Nothing,
    /// It is the C library, or its part for threads.
    Threads(KeyLayout),
    /// It has an interpreter.
    Interpreter(Box<Interpreter>),
    /// It has one whose Python stacks are not supported, with the reason.
    Refused(String),
}

/// Looks for an interpreter, or for what it needs of the C library, in a file.
pub fn find(file: &File) -> Found {
    let bytes = FileBytes::new(file);
    let Some(elf) = Elf::parse(&bytes) else {
        return Found::Nothing;
    };
    let Some(runtime) = elf.exported("_PyRuntime") else {
        return keys::of(&elf).map_or(Found::Nothing, Found::Threads);
    };
    match interpreter(&elf, runtime.svma) {
        Ok(interpreter) => Found::Interpreter(Box::new(interpreter)),
        Err(why) => Found::Refused(why),
    }
}

fn interpreter<'data>(elf: &Elf<'data, &'data FileBytes<'_>>, runtime: u64) -> Result<Interpreter, String> {
    let version = version::of(elf)?;
    let mut offsets = offsets::of(version.minor).ok_or_else(|| {
        let (first, last) = (offsets::KNOWN.start(), offsets::KNOWN.end());
        format!("it is Python {version}, and 3.{first} to 3.{last} are supported")
    })?;
    let bytes = elf.bytes(runtime, 8 * debug_offsets::WORDS as u64);
    debug_offsets::apply(version, bytes.unwrap_or_default(), &mut offsets)?;
    let code_type = elf.exported("PyCode_Type").ok_or("it does not export PyCode_Type")?;
    let evaluator = elf
        .exported(EVALUATOR)
        .filter(|symbol| symbol.size > 0)
        .ok_or_else(|| format!("it does not tell where {EVALUATOR} is"))?;
    let parts = [Some(evaluator), elf.own(COLD)].into_iter().flatten();
    let parts = parts.filter_map(|part| {
        let begin = elf.file_offset(part.svma)?;
        Some(begin..begin.checked_add(part.size)?)
    });
    let segments = elf.segments.iter().filter(|segment| segment.executable);
    Ok(Interpreter {
        version,
        evaluator: parts.collect(),
        runtime,
        code_type: code_type.svma,
        offsets,
        segments: segments
            .map(|segment| (segment.offset, segment.size, segment.svma))
            .collect(),
    })
}

impl Interpreter {
    /// Whether code at an offset in the file is the evaluator's.
    pub fn evaluates(&self, offset: u64) -> bool {
        self.evaluator.iter().any(|part| part.contains(&offset))
    }

    /// How its structures lie in a process that has mapped code of it at `start` (avma) from `offset` in the file on, with a C
    /// library that keeps what threads have in such a way. `None` when no code of the file is there.
    pub fn layout(&self, start: u64, offset: u64, keys: KeyLayout) -> Option<Layout> {
        let &(begin, _, svma) = self
            .segments
            .iter()
            .find(|(begin, size, _)| offset >= begin & !(PAGE - 1) && offset < begin.saturating_add(*size))?;
        let bias = start.wrapping_sub(svma.wrapping_add(offset).wrapping_sub(begin));
        let runtime = self.runtime.wrapping_add(bias);
        let at = |offset: u32| runtime.wrapping_add(offset.into());
        Some(Layout {
            key: at(self.offsets.key),
            current: self.offsets.current.map_or(0, at),
            code_type: self.code_type.wrapping_add(bias),
            frame: self.offsets.frame,
            keys,
            state: self.offsets.state,
            code: self.offsets.code,
            text: self.offsets.text,
        })
    }
}

#[cfg(test)]
mod tests;
