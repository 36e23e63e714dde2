//! An ELF file as far as planning needs it: segments, sections, functions by name.

use object::{
    Endianness, ReadRef,
    elf::{self, EM_X86_64, FileHeader64, PT_INTERP, PT_LOAD, STT_FUNC, STT_GNU_IFUNC, Sym64},
    read::elf::{FileHeader as _, ProgramHeader as _, SectionHeader as _, Sym as _},
};
use rustc_hash::FxHashSet;

/// Most sections that are looked at, segments, and functions by wanted names. Real files have some tens of each, or
/// hundreds; a malformed one must not make work.
const MAX_SECTIONS: usize = 4096;
const MAX_SEGMENTS: usize = 256;
const MAX_FUNCTIONS: usize = 1024;
/// Longest name that is looked at, in bytes.
const MAX_NAME: usize = 512;

/// A part of the file that is mapped, or that has another meaning for who runs it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    pub(super) kind: u32,
    pub(super) svma: u64,
    pub(super) offset: u64,
    /// Bytes in the file.
    pub(super) size: u64,
    pub(super) executable: bool,
}

/// A section with its name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Section<'data> {
    pub(super) name: &'data [u8],
    pub(super) kind: u32,
    pub(super) svma: u64,
    pub(super) offset: u64,
    pub(super) size: u64,
    pub(super) link: u32,
}

/// A function of the file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Function {
    pub(super) name: String,
    pub(super) svma: u64,
    /// Whether its address is chosen at run time (`STT_GNU_IFUNC`): the symbol is then not the function.
    pub(super) indirect: bool,
}

/// A 64-bit file for x86-64.
#[derive(Debug)]
pub(super) struct Elf<'data, R> {
    data: R,
    endian: Endianness,
    pub(super) segments: Vec<Segment>,
    pub(super) sections: Vec<Section<'data>>,
}

impl<'data, R: ReadRef<'data>> Elf<'data, R> {
    /// Reads the headers.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub(super) fn parse(data: R) -> Result<Self, String> {
        let text = |error: object::read::Error| error.to_string();
        let header = FileHeader64::<Endianness>::parse(data).map_err(text)?;
        let endian = header.endian().map_err(text)?;
        if header.e_machine(endian) != EM_X86_64 || endian != Endianness::Little {
            return Err("it is not for x86-64".to_owned());
        }
        let segments = header.program_headers(endian, data).map_err(text)?;
        let segments = segments.iter().take(MAX_SEGMENTS).map(|segment| Segment {
            kind: segment.p_type(endian),
            svma: segment.p_vaddr(endian),
            offset: segment.p_offset(endian),
            size: segment.p_filesz(endian),
            executable: segment.p_flags(endian) & elf::PF_X != 0,
        });
        let headers = header.section_headers(endian, data).map_err(text)?;
        let names = match header.section_strings_index(endian, data) {
            Ok(index) => headers
                .get(index.0)
                .and_then(|names| names.data(endian, data).ok())
                .unwrap_or_default(),
            Err(_) => &[],
        };
        let sections = headers.iter().take(MAX_SECTIONS).map(|section| Section {
            name: string(names, section.sh_name(endian)),
            kind: section.sh_type(endian),
            svma: section.sh_addr(endian),
            offset: section.sh_offset(endian),
            size: section.sh_size(endian),
            link: section.sh_link(endian),
        });
        Ok(Self {
            data,
            endian,
            segments: segments.collect(),
            sections: sections.collect(),
        })
    }

    /// Bytes of the file.
    pub(super) fn bytes(&self, offset: u64, size: u64) -> Option<&'data [u8]> {
        self.data.read_bytes_at(offset, size).ok()
    }

    /// The part that an address is mapped from.
    pub(super) fn mapped(&self, svma: u64) -> Option<&Segment> {
        self.segments
            .iter()
            .filter(|segment| segment.kind == PT_LOAD)
            .find(|segment| segment.contains(svma))
    }

    /// Where an address is in the file.
    pub(super) fn file_offset(&self, svma: u64) -> Option<u64> {
        let segment = self.mapped(svma)?;
        segment.offset.checked_add(svma.checked_sub(segment.svma)?)
    }

    /// The same, when there is code.
    pub(super) fn code_offset(&self, svma: u64) -> Option<u64> {
        self.mapped(svma).filter(|segment| segment.executable)?;
        self.file_offset(svma)
    }

    /// The address of code at an offset in the file.
    pub(super) fn code_at(&self, offset: u64) -> Option<u64> {
        self.segments
            .iter()
            .filter(|segment| segment.kind == PT_LOAD && segment.executable)
            .find_map(|segment| {
                let into = offset.checked_sub(segment.offset)?;
                (into < segment.size).then(|| segment.svma.checked_add(into))?
            })
    }

    /// Whether it is a program that needs no dynamic loader, or is one.
    pub(super) fn is_static(&self) -> bool {
        !self.segments.iter().any(|segment| segment.kind == PT_INTERP)
    }

    /// A section by name.
    pub(super) fn section(&self, name: &[u8]) -> Option<Section<'data>> {
        self.sections.iter().copied().find(|section| section.name == name)
    }

    /// The content of a section.
    pub(super) fn content(&self, section: Section<'_>) -> Option<&'data [u8]> {
        (section.kind != elf::SHT_NOBITS)
            .then(|| self.bytes(section.offset, section.size))
            .flatten()
    }

    /// The entries of a section, as they are in the file.
    pub(super) fn entries<T: object::pod::Pod>(&self, section: Section<'_>) -> Option<&'data [T]> {
        let bytes = self.content(section)?;
        let count = bytes.len().checked_div(size_of::<T>())?;
        object::pod::slice_from_bytes(bytes, count)
            .ok()
            .map(|(entries, _)| entries)
    }

    /// The first symbol table of a kind, with its names. Both are read as a whole: one by one, the names of a browser's
    /// millions of symbols would take seconds.
    pub(super) fn symbols(&self, kind: u32) -> Result<(&'data [Sym64<Endianness>], &'data [u8]), String> {
        let Some(&table) = self.sections.iter().find(|section| section.kind == kind) else {
            return Ok((&[], &[]));
        };
        let names = self.sections.get(table.link as usize).copied();
        match (self.entries(table), names.and_then(|names| self.content(names))) {
            (Some(symbols), Some(names)) => Ok((symbols, names)),
            _ => Err("its symbols cannot be read".to_owned()),
        }
    }

    /// Adds the functions of both symbol tables whose names `wanted` asks for.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub(super) fn functions(&self, wanted: impl Fn(&str) -> bool) -> Result<Vec<Function>, String> {
        let mut functions = Vec::new();
        let mut known = FxHashSet::default();
        for kind in [elf::SHT_DYNSYM, elf::SHT_SYMTAB] {
            let (symbols, names) = self.symbols(kind)?;
            for symbol in symbols {
                let kind = symbol.st_type();
                if !matches!(kind, STT_FUNC | STT_GNU_IFUNC) || symbol.is_undefined(self.endian) {
                    continue;
                }
                let Ok(name) = std::str::from_utf8(string(names, symbol.st_name(self.endian))) else {
                    continue;
                };
                let svma = symbol.st_value(self.endian);
                if wanted(name) && functions.len() < MAX_FUNCTIONS && known.insert((name, svma)) {
                    functions.push(Function {
                        name: name.to_owned(),
                        svma,
                        indirect: kind == STT_GNU_IFUNC,
                    });
                }
            }
        }
        Ok(functions)
    }

    /// Byte order of the file's words.
    pub(super) const fn endian(&self) -> Endianness {
        self.endian
    }
}

impl Segment {
    fn contains(&self, svma: u64) -> bool {
        svma.checked_sub(self.svma).is_some_and(|into| into < self.size)
    }
}

/// A name in a table of names; empty when it is not one.
pub(super) fn string(names: &[u8], at: u32) -> &[u8] {
    let rest = names.get(at as usize..).unwrap_or_default();
    let rest = rest.get(..MAX_NAME).unwrap_or(rest);
    memchr::memchr(0, rest)
        .and_then(|end| rest.get(..end))
        .unwrap_or_default()
}
