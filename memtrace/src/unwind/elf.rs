//! What of an ELF file is needed: where its code is, and where its call frame information.

use std::ops::Range;

use object::{
    LittleEndian,
    elf::{self, FileHeader64, ProgramHeader64, SectionHeader64},
    pod,
    read::elf::{FileHeader as _, ProgramHeader as _, SectionHeader as _},
};

use super::{
    error::{TableError, bounded},
    limits,
    source::{ReadAt, Source},
};

type Header = FileHeader64<LittleEndian>;
type Program = ProgramHeader64<LittleEndian>;
type Section = SectionHeader64<LittleEndian>;

const LE: LittleEndian = LittleEndian;

/// A part of the file and where it is in memory.
#[derive(Clone, Debug)]
pub(super) struct Part {
    /// Its first address as the file says.
    pub(super) svma: u64,
    /// Its bytes in the file.
    pub(super) file: Range<u64>,
    /// Whether it is compressed.
    pub(super) compressed: bool,
}

impl Part {
    /// Addresses of it.
    pub(super) const fn addresses(&self) -> Range<u64> {
        self.svma..self.svma.saturating_add(self.file.end - self.file.start)
    }

    /// The part of it from an address on.
    pub(super) fn from(&self, svma: u64) -> Option<Self> {
        let into = svma.checked_sub(self.svma)?;
        let start = self.file.start.checked_add(into)?;
        (start < self.file.end).then_some(Self {
            svma,
            file: start..self.file.end,
            compressed: self.compressed,
        })
    }
}

/// Where things are in a file.
#[derive(Debug, Default)]
pub(super) struct Elf {
    /// Segments that are loaded.
    pub(super) loaded: Vec<Part>,
    /// Those of them that are executable, by address, without overlap.
    pub(super) executable: Vec<Part>,
    /// `PT_GNU_EH_FRAME`: the index of the call frame information.
    pub(super) eh_frame_hdr: Option<Part>,
    /// `.eh_frame`
    pub(super) eh_frame: Option<Part>,
    /// `.debug_frame`
    pub(super) debug_frame: Option<Part>,
    /// Address of `.text`, which call frame information may count from.
    pub(super) text: Option<u64>,
    /// Address of `.got`, likewise.
    pub(super) got: Option<u64>,
}

impl Elf {
    /// Reads the headers.
    pub(super) fn read<S: ReadAt + ?Sized>(source: &Source<'_, S>) -> Result<Self, TableError> {
        let bytes = source.read("the ELF header", 0, size_of::<Header>() as u64, u64::MAX)?;
        let (header, _) =
            pod::from_bytes::<Header>(&bytes).map_err(|()| TableError::Damaged("its header is not whole"))?;
        if !header.is_supported() || !header.is_class_64() || !header.is_little_endian() {
            return Err(TableError::Foreign("another class, byte order or version"));
        }
        if header.e_machine(LE) != elf::EM_X86_64 {
            return Err(TableError::Foreign("another machine"));
        }
        let mut parts = Self::default();
        parts.add_segments(source, header)?;
        parts.add_sections(source, header)?;
        Ok(parts)
    }

    fn add_segments<S: ReadAt + ?Sized>(&mut self, source: &Source<'_, S>, header: &Header) -> Result<(), TableError> {
        let count = header.e_phnum(LE);
        let programs: Vec<Program> = headers(
            source,
            "program headers",
            header.e_phoff(LE),
            count,
            header.e_phentsize(LE),
        )?;
        for program in &programs {
            let part = Part {
                svma: program.p_vaddr(LE),
                file: within(source, program.p_offset(LE), program.p_filesz(LE)),
                compressed: false,
            };
            if part.file.is_empty() {
                continue;
            }
            match program.p_type(LE) {
                elf::PT_LOAD => {
                    if program.p_flags(LE) & elf::PF_X != 0 {
                        self.executable.push(part.clone());
                    }
                    self.loaded.push(part);
                }
                elf::PT_GNU_EH_FRAME => self.eh_frame_hdr = Some(part),
                _ => {}
            }
        }
        self.check_executable()
    }

    /// Sorts the executable segments and refuses what no loader would take.
    fn check_executable(&mut self) -> Result<(), TableError> {
        let segments = &mut self.executable;
        bounded(
            "executable segments",
            segments.len() as u64,
            limits::MAX_SEGMENTS as u64,
        )?;
        segments.sort_by_key(|segment| segment.svma);
        let mut end = 0;
        let mut bytes = 0_u64;
        for segment in segments {
            let length = segment.file.end - segment.file.start;
            if segment.svma < end || segment.svma.checked_add(length).is_none() {
                return Err(TableError::Damaged("its executable segments overlap"));
            }
            end = segment.addresses().end;
            bytes = bytes.saturating_add(length);
        }
        bounded("bytes of code", bytes, limits::MAX_TEXT)
    }

    /// Notes the sections that matter. A file needs none to run: where something is wrong with them, they are absent.
    fn add_sections<S: ReadAt + ?Sized>(&mut self, source: &Source<'_, S>, header: &Header) -> Result<(), TableError> {
        match self.try_add_sections(source, header) {
            Err(error @ TableError::Read { .. }) => Err(error),
            _ => Ok(()),
        }
    }

    fn try_add_sections<S: ReadAt + ?Sized>(
        &mut self,
        source: &Source<'_, S>,
        header: &Header,
    ) -> Result<(), TableError> {
        let sections: Vec<Section> = headers(
            source,
            "section headers",
            header.e_shoff(LE),
            header.e_shnum(LE),
            header.e_shentsize(LE),
        )?;
        let Some(table) = sections.get(usize::from(header.e_shstrndx(LE))) else {
            return Ok(());
        };
        let names = source.read(
            "the names of the sections",
            table.sh_offset(LE),
            table.sh_size(LE),
            limits::MAX_NAMES,
        )?;
        for section in &sections {
            let svma = section.sh_addr(LE);
            let part = Part {
                svma,
                file: within(source, section.sh_offset(LE), section.sh_size(LE)),
                compressed: section.sh_flags(LE) & u64::from(elf::SHF_COMPRESSED) != 0,
            };
            let absent = section.sh_type(LE) == elf::SHT_NOBITS || part.file.is_empty();
            let name = usize::try_from(section.sh_name(LE))
                .ok()
                .and_then(|at| names.get(at..))
                .unwrap_or_default();
            // With their zero: a search for it might take long, and a section's name may begin with another's.
            if name.starts_with(b".text\0") {
                self.text = Some(svma);
            } else if name.starts_with(b".got\0") {
                self.got = Some(svma);
            } else if name.starts_with(b".eh_frame\0") && !absent {
                self.eh_frame = Some(part);
            } else if name.starts_with(b".debug_frame\0") && !absent {
                self.debug_frame = Some(part);
            }
        }
        Ok(())
    }
}

/// A range of the file, cut at the file's end.
fn within<S: ReadAt + ?Sized>(source: &Source<'_, S>, offset: u64, length: u64) -> Range<u64> {
    let start = offset.min(source.size());
    start..offset.saturating_add(length).clamp(start, source.size())
}

/// Reads `count` headers of one kind.
fn headers<T: pod::Pod + Copy, S: ReadAt + ?Sized>(
    source: &Source<'_, S>,
    what: &'static str,
    offset: u64,
    count: u16,
    size: u16,
) -> Result<Vec<T>, TableError> {
    bounded(what, count.into(), limits::MAX_HEADERS.into())?;
    if count == 0 {
        return Ok(Vec::new());
    }
    if usize::from(size) != size_of::<T>() {
        return Err(TableError::Damaged("its headers have another size"));
    }
    let bytes = source.read(what, offset, u64::from(count) * u64::from(size), u64::MAX)?;
    let (headers, _) = pod::slice_from_bytes::<T>(&bytes, count.into())
        .map_err(|()| TableError::Damaged("its headers are not whole"))?;
    Ok(headers.to_vec())
}
