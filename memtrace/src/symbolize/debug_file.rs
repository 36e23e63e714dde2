//! Debug files that belong to a binary by build id.
//!
//! Distributions put them under `/usr/lib/debug/.build-id`. blazesym looks there only for files with a `.gnu_debuglink`, and
//! by the file's path, which says nothing when the target lives in another mount namespace.

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use object::{
    Endianness,
    elf::{FileHeader64, PT_LOAD},
    read::elf::{FileHeader as _, ProgramHeader as _},
};

use crate::process::{FileBytes, build_id};

/// Where debug files are looked for.
pub(super) const DEBUG_DIRECTORIES: [&str; 2] = ["/usr/lib/debug", "/lib/debug"];

/// A debug file, and what is needed to look addresses of the binary up in it.
#[derive(Debug)]
pub(super) struct DebugFile {
    /// Path of the debug file.
    pub(super) path: PathBuf,
    segments: Vec<(u64, u64, u64)>,
}

impl DebugFile {
    /// The debug file with the build id of a binary that has no debug information itself.
    pub(super) fn find(binary: &File, directories: &[PathBuf]) -> Option<Self> {
        let data = FileBytes::new(binary);
        let header = FileHeader64::<Endianness>::parse(&data).ok()?;
        let endian = header.endian().ok()?;
        let sections = header.sections(endian, &data).ok()?;
        if sections.section_by_name(endian, b".debug_info").is_some() {
            return None;
        }
        let id = build_id(&data)?;
        let (first, rest) = id.split_first()?;
        let rest = rest
            .iter()
            .fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
        let path = directories
            .iter()
            .map(|directory| directory.join(format!(".build-id/{first:02x}/{rest}.debug")))
            .find(|path| has_build_id(path, &id))?;
        let segments = header
            .program_headers(endian, &data)
            .ok()?
            .iter()
            .filter(|segment| segment.p_type(endian) == PT_LOAD)
            .map(|segment| {
                (
                    segment.p_offset(endian),
                    segment.p_filesz(endian),
                    segment.p_vaddr(endian),
                )
            })
            .collect();
        Some(Self { path, segments })
    }

    /// The svma of a file offset of the binary.
    pub(super) fn svma(&self, file_offset: u64) -> Option<u64> {
        self.segments.iter().find_map(|&(offset, size, svma)| {
            let into = file_offset.checked_sub(offset)?;
            if into < size { svma.checked_add(into) } else { None }
        })
    }
}

fn has_build_id(path: &Path, id: &[u8]) -> bool {
    File::open(path).is_ok_and(|file| build_id(&FileBytes::new(&file)).is_some_and(|found| found == id))
}
