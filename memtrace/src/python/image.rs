//! The parts of an interpreter's file: for who looks at its heap, and at the tables of its allocators.

use std::{fs::File, ops::Range};

use super::{Segment, version, version::Version};
use crate::process::{Elf, FileBytes};

/// The file of an interpreter, in its own addresses (svma).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Image {
    /// Which one it is, or why that is not known.
    pub version: Result<Version, String>,
    /// `_PyRuntime`, which every interpreter since 3.7 exports, because modules in C need it; nobody else defines it.
    pub runtime: u64,
    /// `PyType_Type`, the type of types.
    pub type_type: u64,
    /// What is mapped.
    pub segments: Vec<Segment>,
    /// What is read-only once the program has been linked (`PT_GNU_RELRO`).
    pub constant: Range<u64>,
}

/// Reads it; `None` for a file that has no interpreter.
pub fn image(file: &File) -> Option<Image> {
    let bytes = FileBytes::new(file);
    let elf = Elf::parse(&bytes)?;
    Some(Image {
        runtime: elf.exported("_PyRuntime")?.svma,
        type_type: elf.exported("PyType_Type")?.svma,
        version: version::of(&elf),
        constant: elf.constant.clone(),
        segments: elf.segments,
    })
}
