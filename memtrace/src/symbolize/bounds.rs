//! Whether debug information is nested no deeper than blazesym can follow.
//!
//! blazesym goes down into inlined calls by recursion, a level for each that lies in another (`InlinedFunction::parse`). A file can claim
//! a level with every byte; the stack would overflow, which ends the whole program. So what a target brings itself is looked
//! through before: nothing is kept but one unit.

use std::{
    fs::File,
    io::{self, BufReader, Read},
    os::unix::fs::{FileExt as _, MetadataExt as _},
};

use flate2::read::ZlibDecoder;
use gimli::{Abbreviations, DebugAbbrev, DebugAbbrevOffset, DebugInfo, EndianSlice, LittleEndian};
use object::{
    Endianness,
    elf::{ELFCOMPRESS_ZLIB, ELFCOMPRESS_ZSTD, FileHeader64},
    read::elf::{CompressionHeader as _, FileHeader as _, SectionHeader as _},
};
use rustc_hash::FxHashMap;

use crate::process::FileBytes;

/// Deepest entry that is followed. Compilers nest namespaces, functions, blocks and inlined calls some dozen deep, and a thread of
/// 2 MiB can follow so many, which a test does.
const MAX_DEPTH: isize = 512;

/// Longest unit and longest table of abbreviations that are looked at, in bytes: that of a unit of Chromium has some MiB.
const MAX_BYTES: u64 = 512 << 20;

/// What tells files apart: device, inode, size and time of the last change.
type Key = (u64, u64, u64, (i64, i64));

/// What was found out, each file once.
#[derive(Debug, Default)]
pub(super) struct Bounds(FxHashMap<Key, bool>);

impl Bounds {
    /// Whether the debug information of a file can be followed. What cannot be read is not read by blazesym either.
    pub(super) fn hold(&mut self, file: &File) -> bool {
        let Ok(metadata) = file.metadata() else { return false };
        let key = (
            metadata.dev(),
            metadata.ino(),
            metadata.len(),
            (metadata.mtime(), metadata.mtime_nsec()),
        );
        *self.0.entry(key).or_insert_with(|| is_shallow(file).unwrap_or(false))
    }
}

fn is_shallow(file: &File) -> io::Result<bool> {
    let mut table = Vec::new();
    if let Some(abbreviations) = section(file, b".debug_abbrev")? {
        abbreviations.take(MAX_BYTES + 1).read_to_end(&mut table)?;
    }
    if table.len() as u64 > MAX_BYTES {
        return Ok(false);
    }
    let table = DebugAbbrev::from(EndianSlice::new(&table, LittleEndian));
    let Some(mut info) = section(file, b".debug_info")? else {
        return Ok(true);
    };
    // Units of one program share few tables, one after the other.
    let mut last = None;
    let mut unit = Vec::new();
    while next_unit(&mut info, &mut unit)? {
        if !is_shallow_unit(&unit, &table, &mut last).unwrap_or(true) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Reads the next unit, with its length; `false` where there is none.
fn next_unit(info: &mut impl Read, unit: &mut Vec<u8>) -> io::Result<bool> {
    unit.clear();
    if info.by_ref().take(4).read_to_end(unit)? < 4 {
        return Ok(false);
    }
    let number = |bytes: &[u8]| {
        bytes
            .iter()
            .rev()
            .fold(0, |number, &byte| number << 8 | u64::from(byte))
    };
    let mut length = number(unit);
    // The mark of the 64-bit format (DWARF 5, 7.4).
    if length == 0xffff_ffff {
        if info.by_ref().take(8).read_to_end(unit)? < 8 {
            return Ok(false);
        }
        length = number(&unit[4..]);
    }
    if length > MAX_BYTES {
        return Err(io::Error::other("a unit is too long"));
    }
    // One that is cut off is the last.
    Ok(info.by_ref().take(length).read_to_end(unit)? as u64 == length)
}

/// A table of abbreviations and where it begins.
type Last = Option<(DebugAbbrevOffset, Abbreviations)>;

/// Up to the first entry that cannot be understood, which is where blazesym ends too.
fn is_shallow_unit(
    unit: &[u8],
    table: &DebugAbbrev<EndianSlice<'_, LittleEndian>>,
    last: &mut Last,
) -> gimli::Result<bool> {
    let info = DebugInfo::new(unit, LittleEndian);
    let Some(header) = info.units().next()? else {
        return Ok(true);
    };
    let offset = header.debug_abbrev_offset();
    let (_, abbreviations) = match last.take().filter(|(known, _)| *known == offset) {
        Some(known) => last.insert(known),
        None => last.insert((offset, header.abbreviations(table)?)),
    };
    let mut entries = header.entries_raw(abbreviations, None)?;
    while !entries.is_empty() {
        if entries.next_depth() > MAX_DEPTH {
            return Ok(false);
        }
        if let Some(abbreviation) = entries.read_abbreviation()? {
            entries.skip_attributes(abbreviation.attributes())?;
        }
    }
    Ok(true)
}

/// The content of a section, unpacked as it is read.
fn section<'file>(file: &'file File, name: &[u8]) -> io::Result<Option<Box<dyn Read + 'file>>> {
    let damaged = |error: object::Error| io::Error::other(error.to_string());
    let data = &FileBytes::new(file);
    let header = FileHeader64::<Endianness>::parse(data).map_err(damaged)?;
    let endian = header.endian().map_err(damaged)?;
    let sections = header.sections(endian, data).map_err(damaged)?;
    let Some((_, section)) = sections.section_by_name(endian, name) else {
        return Ok(None);
    };
    let part = |at: u64, left: u64| BufReader::with_capacity(1 << 16, Part { file, at, left });
    let Some((compression, offset, size)) = section.compression(endian, data).map_err(damaged)? else {
        let (offset, size) = section.file_range(endian).unwrap_or_default();
        return Ok(Some(Box::new(part(offset, size))));
    };
    let packed = part(offset, size);
    match compression.ch_type(endian) {
        ELFCOMPRESS_ZLIB => Ok(Some(Box::new(ZlibDecoder::new(packed)))),
        ELFCOMPRESS_ZSTD => Ok(Some(Box::new(zstd::Decoder::with_buffer(packed)?))),
        _ => Err(io::ErrorKind::Unsupported.into()),
    }
}

/// A part of a file.
struct Part<'file> {
    file: &'file File,
    at: u64,
    left: u64,
}

impl Read for Part<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let wanted = into.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let read = self.file.read_at(&mut into[..wanted], self.at)?;
        self.at += read as u64;
        self.left -= read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::{fmt::Write as _, fs};

    use super::super::tests::{frames, run};

    /// A function at line 3 of `v.c`, and debug information of so many calls that are inlined each into the one before.
    fn nested(levels: usize) -> String {
        let mut text = "\
            .section .debug_line,\"\",@progbits\nLlines:\n.text\n.file 1 \"v.c\"\n\
            .globl victim\n.type victim,@function\nvictim:\n.loc 1 3 0\nnop\nret\n.size victim,.-victim\nLend:\n\
            .section .debug_abbrev,\"\",@progbits\n"
            .to_owned();
        // A unit with addresses and lines, a function with a name, and inlined calls without anything (DWARF 5, 7.5.3).
        for byte in [
            &[1, 0x11, 1, 0x11, 1, 0x12, 7, 0x10, 0x17, 0, 0][..],
            &[2, 0x2e, 1, 3, 8, 0x11, 1, 0x12, 7, 0, 0],
            &[3, 0x1d, 1, 0, 0, 0],
        ]
        .concat()
        {
            writeln!(text, ".byte {byte}").unwrap();
        }
        let place = ".quad victim\n.quad Lend-victim\n";
        write!(
            text,
            ".section .debug_info,\"\",@progbits\n.long Lafter-Lunit\nLunit:\n.value 4\n.long 0\n.byte 8\n\
             .byte 1\n{place}.long Llines\n.byte 2\n.string \"victim\"\n{place}\
             .fill {levels},1,3\n.fill {},1,0\nLafter:\n",
            levels + 2
        )
        .unwrap();
        text
    }

    /// Threads of tests have 2 MiB of stack, as most of memtrace's.
    #[test]
    fn calls_that_are_nested_too_deep_cost_the_lines_and_not_the_stack() {
        let folder = tempfile::tempdir().unwrap();
        for pack in ["none", "zlib", "zstd"] {
            for (levels, has_line) in [(10, true), (500, true), (600, false), (200_000, false)] {
                fs::write(folder.path().join("v.s"), nested(levels)).unwrap();
                let gcc = ["-shared", "-nostdlib", "-o", "v.so", "v.s"];
                run("gcc", &gcc, folder.path());
                run(
                    "objcopy",
                    &[&format!("--compress-debug-sections={pack}"), "v.so"],
                    folder.path(),
                );
                let path = folder.path().join("v.so");
                let bytes = fs::read(&path).unwrap();
                let file = object::File::parse(&*bytes).unwrap();
                let symbols = object::Object::symbols(&file);
                let victim = symbols
                    .filter(|symbol| object::ObjectSymbol::name(symbol) == Ok("victim"))
                    .map(|symbol| object::ObjectSymbol::address(&symbol))
                    .next();
                // The code of such a library lies at its address in the file.
                let found = frames(&path, victim.unwrap(), folder.path());
                assert_eq!(found[0].function.as_deref(), Some("victim"), "{levels}, {pack}");
                assert_eq!(found[0].line, has_line.then_some(3), "{levels}, {pack}");
            }
        }
    }
}
