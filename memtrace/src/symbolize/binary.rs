//! What an ELF file says of its own debug information, and where its parts lie.

use std::fs::File;

use object::{
    Endianness, ReadRef,
    elf::{ELF_NOTE_GNU, FileHeader64, NT_GNU_BUILD_ID, PF_X, PT_LOAD, SHT_NOBITS},
    read::elf::{
        CompressionHeader as _, FileHeader as _, NoteIterator, ProgramHeader as _, SectionHeader as _, SectionTable,
    },
};

use crate::process::FileBytes;

type Header = FileHeader64<Endianness>;

/// Build ids that are believed, in bytes: linkers write 8 (xxhash), 16 (MD5, UUID) or 20 (SHA-1), and the first byte of
/// one becomes a directory's name.
const BUILD_ID_BYTES: std::ops::RangeInclusive<usize> = 4..=64;

/// Facts of one ELF file.
#[derive(Debug, Default)]
pub(super) struct Binary {
    /// The linker's hash of the content, the same in a binary and its debug file.
    pub(super) build_id: Option<Vec<u8>>,
    /// Whether it has DWARF (`.debug_info`): source lines and inlined functions.
    pub(super) dwarf: bool,
    /// The name of its debug file (`.gnu_debuglink`).
    pub(super) link: Option<DebugLink>,
    /// Whether it refers to a file shared by several debug files (`.gnu_debugaltlink`, `.debug_sup`).
    pub(super) supplement: bool,
    /// Bytes that its compressed sections claim to need once unpacked.
    pub(super) unpacked_bytes: u64,
    /// What is loaded: code first, then in the order of the file.
    pub(super) loads: Vec<Load>,
}

/// The content of `.gnu_debuglink`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct DebugLink {
    /// File name; may hold anything.
    pub(super) name: Vec<u8>,
    /// CRC-32 of the whole debug file.
    pub(super) crc: u32,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    file_offset: u64,
    file_size: u64,
    svma: u64,
    executable: bool,
}

impl Binary {
    /// Reads a file; `None` for one that is not a 64-bit ELF file.
    pub(super) fn read(file: &File) -> Option<Self> {
        let data = &FileBytes::new(file);
        let header = Header::parse(data).ok()?;
        let endian = header.endian().ok()?;
        let mut binary = Self::default();
        for segment in header.program_headers(endian, data).ok()? {
            if segment.p_type(endian) == PT_LOAD {
                binary.loads.push(Load {
                    file_offset: segment.p_offset(endian),
                    file_size: segment.p_filesz(endian),
                    svma: segment.p_vaddr(endian),
                    executable: segment.p_flags(endian) & PF_X != 0,
                });
            }
            if let Ok(Some(notes)) = segment.notes(endian, data) {
                binary.take_build_id(endian, notes);
            }
        }
        binary.loads.sort_by_key(|load| !load.executable);
        // A file whose section headers are gone or damaged still runs.
        if let Ok(sections) = header.sections(endian, data) {
            binary.read_sections(endian, data, &sections);
        }
        Some(binary)
    }

    fn read_sections<'data, R: ReadRef<'data>>(
        &mut self,
        endian: Endianness,
        data: R,
        sections: &SectionTable<'data, Header, R>,
    ) {
        for section in sections.iter() {
            // A debug file keeps the headers of all sections, those without content as this.
            if section.sh_type(endian) == SHT_NOBITS {
                continue;
            }
            if let Ok(Some((compression, ..))) = section.compression(endian, data) {
                self.unpacked_bytes = self.unpacked_bytes.saturating_add(compression.ch_size(endian));
            }
            if let Ok(Some(notes)) = section.notes(endian, data) {
                self.take_build_id(endian, notes);
            }
            match sections.section_name(endian, section) {
                Ok(b".debug_info") => self.dwarf = true,
                Ok(b".gnu_debugaltlink" | b".debug_sup") => self.supplement = true,
                Ok(b".gnu_debuglink") => self.link = section.data(endian, data).ok().and_then(parse_link),
                _ => {}
            }
        }
    }

    fn take_build_id(&mut self, endian: Endianness, mut notes: NoteIterator<'_, Header>) {
        while let Ok(Some(note)) = notes.next() {
            let is_id = note.name() == ELF_NOTE_GNU && note.n_type(endian) == NT_GNU_BUILD_ID;
            if is_id && self.build_id.is_none() && BUILD_ID_BYTES.contains(&note.desc().len()) {
                self.build_id = Some(note.desc().to_vec());
            }
        }
    }

    /// The svma of a file offset. Two parts can share a page of the file but not a byte; code is preferred should a
    /// malformed file say otherwise.
    pub(super) fn svma(&self, file_offset: u64) -> Option<u64> {
        self.loads.iter().find_map(|load| {
            let into = file_offset.checked_sub(load.file_offset)?;
            (into < load.file_size).then(|| load.svma.checked_add(into))?
        })
    }
}

/// A name, a zero byte, padding to four bytes, the CRC (GDB manual, "Separate Debug Files").
fn parse_link(content: &[u8]) -> Option<DebugLink> {
    let end = content.iter().position(|&byte| byte == 0)?;
    let crc_at = (end + 1).next_multiple_of(4);
    let crc = content.get(crc_at..crc_at + 4)?.try_into().ok();
    Some(DebugLink {
        name: content[..end].to_vec(),
        crc: crc.map(u32::from_le_bytes)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_links() {
        let wanted = |name: &[u8]| {
            Some(DebugLink {
                name: name.to_vec(),
                crc: 0x0403_0201,
            })
        };
        assert_eq!(parse_link(b"a.debug\0\x01\x02\x03\x04"), wanted(b"a.debug"));
        assert_eq!(parse_link(b"ab.debug\0\0\0\0\x01\x02\x03\x04"), wanted(b"ab.debug"));
        for broken in [&b""[..], b"name", b"a.debug\0\x01\x02\x03", b"\0"] {
            assert_eq!(parse_link(broken), None);
        }
    }

    #[test]
    fn this_program() {
        let binary = Binary::read(&File::open("/proc/self/exe").unwrap()).unwrap();
        assert!(binary.dwarf && binary.link.is_none() && binary.svma(0).is_some());
        assert_eq!(binary.svma(u64::MAX), None);
        assert!(Binary::read(&tempfile::tempfile().unwrap()).is_none());
    }
}
