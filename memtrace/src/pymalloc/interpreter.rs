//! The file that an interpreter of Python is in: the program itself, or `libpython`.

use std::{io, ops::Range, sync::Arc};

use thiserror::Error;

use super::memory::Memory;
use crate::{
    process::{AddressSpace, Module},
    python::{Image, Segment, Version, image},
};

/// Most segments of a file that are looked at, and most bytes of data: an interpreter has four and some megabytes, and what a file says
/// may be anything.
const MOST_SEGMENTS: usize = 64;
const MOST_DATA: u64 = 64 << 20;

/// Why no interpreter was found.
#[derive(Debug, Error)]
pub enum FindError {
    /// The process cannot be read.
    #[error("failed to read the mappings of process {pid}: {source}")]
    Mappings {
        /// The process.
        pid: u32,
        /// The system's answer.
        source: io::Error,
    },
    /// There is none.
    #[error("process {0} has no interpreter of CPython 3.7 or newer in it: no file that it maps defines _PyRuntime")]
    None(u32),
    /// Its version is not told.
    #[error("what is where in the memory of the interpreter in {file} is not known: {why}")]
    Version {
        /// Its file.
        file: String,
        /// What is not told.
        why: String,
    },
}

/// An interpreter in a process.
#[derive(Clone, Debug)]
pub(super) struct Interpreter {
    /// The file that it is in, as the process sees it.
    pub(super) file: String,
    /// Its version.
    pub(super) version: Version,
    /// What the file's own addresses (svma) are moved by.
    pub(super) bias: u64,
    /// The file, held open.
    pub(super) module: Arc<Module>,
    /// Where its code is (avma).
    pub(super) code: Vec<Range<u64>>,
    /// Where its data are (avma): what it can write to, without what it gets at run time.
    pub(super) data: Vec<Range<u64>>,
    /// All that the file is mapped to, from first to last (avma).
    pub(super) range: Range<u64>,
    /// `PyType_Type` (avma).
    pub(super) type_type: u64,
    /// `_PyRuntime` (avma).
    pub(super) runtime: u64,
}

impl Interpreter {
    /// Finds it among what a process has mapped.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) fn find(pid: u32) -> Result<Self, FindError> {
        let space = AddressSpace::read(pid).map_err(|source| FindError::Mappings { pid, source })?;
        let modules = space.modules();
        for code in space.code() {
            let Some((module, file)) = modules
                .get(code.module as usize)
                .and_then(|module| Some((module, module.file()?)))
            else {
                continue;
            };
            if let Some(found) = image(file).and_then(|image| Self::placed(module, &image, code.start, code.offset)) {
                return found;
            }
        }
        Err(FindError::None(pid))
    }

    /// An image whose code at a file offset is mapped at an address.
    fn placed(module: &Arc<Module>, image: &Image, start: u64, offset: u64) -> Option<Result<Self, FindError>> {
        let segments = || image.segments.iter().take(MOST_SEGMENTS);
        let code = segments().find(|segment| segment.executable && pages(segment).contains(&offset))?;
        let bias = start
            .wrapping_sub(code.svma)
            .wrapping_add(code.offset.wrapping_sub(offset));
        let moved = |svma: u64| svma.wrapping_add(bias);
        let place = |segment: &Segment| moved(segment.svma)..moved(segment.svma).saturating_add(segment.memory);
        let parts = |wanted: fn(&&Segment) -> bool| segments().filter(wanted).map(place).collect::<Vec<_>>();
        let fixed = moved(image.constant.start)..moved(image.constant.end);
        let data = parts(|segment| segment.writable)
            .into_iter()
            .flat_map(|part| without(&part, &fixed))
            .map(aligned);
        let data: Vec<_> = limited(data).collect();
        let constant = parts(|segment| !segment.writable);
        let version = match &image.version {
            Ok(version) => *version,
            Err(why) => {
                return Some(Err(FindError::Version {
                    file: module.name.clone(),
                    why: why.clone(),
                }));
            }
        };
        let all = data.iter().chain(&constant);
        Some(Ok(Self {
            file: module.name.clone(),
            version,
            bias,
            module: Arc::clone(module),
            code: parts(|segment| segment.executable),
            range: all.clone().map(|part| part.start).min()?..all.map(|part| part.end).max()?,
            data,
            type_type: moved(image.type_type),
            runtime: moved(image.runtime),
        }))
    }
}

impl Interpreter {
    /// Whether it runs without a lock around all of it, from 3.13 on: what debuggers are told at the start of `_PyRuntime` says so
    /// (`_Py_DebugOffsets`: eight letters, version, this).
    pub(super) fn is_free_threaded(&self, memory: &impl Memory) -> bool {
        let words = memory.record::<24>(self.runtime);
        words.is_some_and(|bytes| bytes.starts_with(b"xdebugpy") && bytes[16..] != [0; 8])
    }
}

/// File offsets that are mapped for it: whole pages.
fn pages(segment: &Segment) -> Range<u64> {
    let start = segment.offset & !4095;
    start..segment.offset.saturating_add(segment.size).max(start + 1)
}

/// What is left of a part: before and behind what is taken out.
fn without(part: &Range<u64>, out: &Range<u64>) -> [Range<u64>; 2] {
    if out.is_empty() || out.end <= part.start || part.end <= out.start {
        return [part.clone(), part.end..part.end];
    }
    [part.start..out.start.max(part.start), out.end.min(part.end)..part.end]
}

/// As much of it as is looked through.
fn limited(parts: impl Iterator<Item = Range<u64>>) -> impl Iterator<Item = Range<u64>> {
    parts.scan(MOST_DATA, |room, part| {
        let end = part.end.min(part.start.saturating_add(*room));
        *room -= end.saturating_sub(part.start);
        Some(part.start..end)
    })
}

/// From the first word on: what a program points to is there.
fn aligned(part: Range<u64>) -> Range<u64> {
    part.start.next_multiple_of(8).min(part.end)..part.end
}
