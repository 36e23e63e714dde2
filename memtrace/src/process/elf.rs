//! An ELF file as far as an interpreter or an engine is looked for in it: segments, and symbols by name.

use std::ops::Range;

use object::{
    Endianness, ReadRef,
    elf::{EM_X86_64, FileHeader64, PF_W, PF_X, PT_GNU_RELRO, PT_LOAD, SHT_DYNSYM, SHT_SYMTAB, SectionHeader64, Sym64},
    read::elf::{FileHeader as _, ProgramHeader as _, SectionHeader as _, Sym as _},
};

/// Most segments and sections that are looked at.
const MAX_PARTS: usize = 4096;

/// Largest symbol table and largest table of names that are read, in bytes. Those of an interpreter with its debug information
/// have a megabyte.
const MAX_TABLE: u64 = 64 << 20;

/// Longest rest of a name that [`Elf::exported_with`] gives, in bytes.
const MAX_NAME: usize = 512;

/// A part of the file that is mapped.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Segment {
    /// Where it begins in the file's own addresses.
    pub svma: u64,
    /// Where it begins in the file.
    pub offset: u64,
    /// Bytes in the file.
    pub size: u64,
    /// Bytes in memory: those that the file has not are zero at first.
    pub memory: u64,
    /// Whether it is code.
    pub executable: bool,
    /// Whether the program writes to it.
    pub writable: bool,
}

/// A symbol that the file defines.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Symbol {
    /// Its address.
    pub svma: u64,
    /// Bytes, 0 where that is not told.
    pub size: u64,
}

impl Symbol {
    fn of(symbol: &Sym64<Endianness>) -> Self {
        Self {
            svma: symbol.st_value(Endianness::Little),
            size: symbol.st_size(Endianness::Little),
        }
    }
}

/// A 64-bit file for x86-64.
#[derive(Debug)]
pub struct Elf<'data, R> {
    data: R,
    /// What is mapped.
    pub segments: Vec<Segment>,
    /// What is read-only once the program has been linked (svma).
    pub constant: Range<u64>,
    exported: Table<'data>,
    /// Where the symbol table with all symbols is, and its names: offset and size.
    all: Option<[(u64, u64); 2]>,
}

/// A symbol table with its names.
#[derive(Clone, Copy, Debug, Default)]
struct Table<'data> {
    symbols: &'data [Sym64<Endianness>],
    names: &'data [u8],
}

impl<'data, R: ReadRef<'data>> Elf<'data, R> {
    /// Reads headers and symbol tables; `None` for a file of another kind.
    pub fn parse(data: R) -> Option<Self> {
        let header = FileHeader64::<Endianness>::parse(data).ok()?;
        let endian = header.endian().ok()?;
        if header.e_machine(endian) != EM_X86_64 || endian != Endianness::Little {
            return None;
        }
        let headers = header.program_headers(endian, data).ok()?.iter().take(MAX_PARTS);
        let mut constant = headers
            .clone()
            .filter(|segment| segment.p_type(endian) == PT_GNU_RELRO)
            .map(|segment| segment.p_vaddr(endian)..segment.p_vaddr(endian).saturating_add(segment.p_memsz(endian)));
        let constant = constant.next().unwrap_or_default();
        let segments = headers
            .filter(|segment| segment.p_type(endian) == PT_LOAD)
            .map(|segment| Segment {
                svma: segment.p_vaddr(endian),
                offset: segment.p_offset(endian),
                size: segment.p_filesz(endian),
                memory: segment.p_memsz(endian),
                executable: segment.p_flags(endian) & PF_X != 0,
                writable: segment.p_flags(endian) & PF_W != 0,
            });
        let sections = header.section_headers(endian, data).unwrap_or_default();
        let place = |section: &SectionHeader64<Endianness>| (section.sh_offset(endian), section.sh_size(endian));
        let table = |kind: u32| {
            let mut all = sections.iter().take(MAX_PARTS);
            let section = all.find(|section| section.sh_type(endian) == kind)?;
            let names = sections.get(usize::try_from(section.sh_link(endian)).ok()?)?;
            Some([place(section), place(names)])
        };
        Some(Self {
            segments: segments.collect(),
            constant,
            exported: table(SHT_DYNSYM)
                .and_then(|places| Table::read(data, places))
                .unwrap_or_default(),
            all: table(SHT_SYMTAB),
            data,
        })
    }

    /// A symbol that other files can use.
    pub fn exported(&self, name: &str) -> Option<Symbol> {
        self.exported.find(name)
    }

    /// Symbols that other files can use whose names begin in a way, with the rest of their names: one pass, however many there are.
    pub fn exported_with(&self, begin: &str) -> impl Iterator<Item = (&'data str, Symbol)> {
        let Table { symbols, names } = self.exported;
        let begin = begin.to_owned();
        symbols.iter().filter_map(move |symbol| {
            let at = usize::try_from(symbol.st_name(Endianness::Little)).ok()?;
            let rest = names.get(at..)?.strip_prefix(begin.as_bytes())?;
            let name = rest.get(..memchr::memchr(0, rest.get(..MAX_NAME).unwrap_or(rest))?)?;
            (!symbol.is_undefined(Endianness::Little)).then_some(())?;
            Some((std::str::from_utf8(name).ok()?, Symbol::of(symbol)))
        })
    }

    /// A symbol of the file's own, which is there as long as the file is not stripped.
    pub fn own(&self, name: &str) -> Option<Symbol> {
        Table::read(self.data, self.all?)?.find(name)
    }

    /// Where an address is in the file.
    pub fn file_offset(&self, svma: u64) -> Option<u64> {
        let inside = |segment: &&Segment| svma.checked_sub(segment.svma).is_some_and(|into| into < segment.size);
        let segment = self.segments.iter().find(inside)?;
        segment.offset.checked_add(svma - segment.svma)
    }

    /// What the file has at an address, as many bytes.
    pub fn bytes(&self, svma: u64, size: u64) -> Option<&'data [u8]> {
        self.data.read_bytes_at(self.file_offset(svma)?, size).ok()
    }

    /// The content of a segment.
    pub fn content(&self, segment: Segment) -> Option<&'data [u8]> {
        self.data.read_bytes_at(segment.offset, segment.size).ok()
    }
}

impl<'data> Table<'data> {
    fn read<R: ReadRef<'data>>(data: R, places: [(u64, u64); 2]) -> Option<Self> {
        let [symbols, names] = places.map(|(offset, size)| {
            let read = (size <= MAX_TABLE).then(|| data.read_bytes_at(offset, size));
            read?.ok()
        });
        let (symbols, names) = (symbols?, names?);
        let count = symbols.len() / size_of::<Sym64<Endianness>>();
        let (symbols, _) = object::pod::slice_from_bytes(symbols, count).ok()?;
        Some(Self { symbols, names })
    }

    fn find(&self, name: &str) -> Option<Symbol> {
        // Most files have no such name at all: that is told by one search through the names.
        memchr::memmem::find(self.names, name.as_bytes())?;
        let is_named = |symbol: &&Sym64<Endianness>| {
            let at = usize::try_from(symbol.st_name(Endianness::Little)).unwrap_or(usize::MAX);
            let rest = self.names.get(at..).unwrap_or_default();
            rest.strip_prefix(name.as_bytes())
                .is_some_and(|rest| rest.first() == Some(&0))
        };
        let mut named = self.symbols.iter().filter(is_named);
        let symbol = named.find(|symbol| !symbol.is_undefined(Endianness::Little))?;
        Some(Symbol::of(symbol))
    }
}
