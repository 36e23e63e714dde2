//! Files made to hurt: each gives a table or an error, soon.

use std::time::{Duration, Instant};

use memtrace_common::unwind::Rule;
use object::{elf, pod};

use super::{
    super::{Pruning, ReadAt, Table, TableError},
    cfi_bytes::{CfiBytes, USUAL},
    elf_file::{ElfFile, TEXT, segment},
    seeds::seeds,
};

/// More than any of these files takes, also without optimization on a busy machine; what is not bounded takes hours.
const SOON: Duration = Duration::from_mins(1);

fn build(file: &[u8]) -> Result<Table, TableError> {
    let start = Instant::now();
    let table = Table::build_with(file, Pruning::None, &[]);
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
    table
}

fn file(eh_frame: Vec<u8>) -> ElfFile {
    ElfFile {
        text: vec![0xe8; 0x4000],
        eh_frame,
        ..ElfFile::default()
    }
}

#[test]
fn a_file_cut_anywhere_is_a_table_or_an_error() {
    for (_, seed) in seeds() {
        for length in 0..seed.len() {
            let _either = build(&seed[..length]);
        }
    }
}

#[test]
fn what_is_no_program_of_this_machine_is_named() {
    let error = |file: &[u8]| build(file).unwrap_err().to_string();
    let good = file(Vec::new()).bytes();
    let with = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        bytes
    };
    assert_eq!(error(b""), "damaged ELF file: something lies beyond its end");
    assert_eq!(
        error(&[0; 100]),
        "not an x86-64 ELF file: another class, byte order or version"
    );
    assert_eq!(
        error(&with(4, 1)),
        "not an x86-64 ELF file: another class, byte order or version"
    );
    assert_eq!(error(&with(18, 0xb7)), "not an x86-64 ELF file: another machine");
    assert_eq!(error(&with(54, 55)), "damaged ELF file: its headers have another size");
}

#[test]
fn lengths_beyond_the_section_end_the_reading() {
    for length in [5_u32, 0x100, 0x7fff_ffff, 0xffff_fff0, 0xffff_ffff] {
        let mut cfi = CfiBytes::eh_frame();
        cfi.cie("", USUAL);
        cfi.fde(TEXT, 16, false, &[]);
        cfi.bytes.extend(length.to_le_bytes());
        cfi.bytes.extend([0xff; 12]);
        let table = build(&file(cfi.bytes).bytes()).unwrap();
        assert_eq!((table.counts().functions, table.counts().damaged), (1, 1), "{length:x}");
    }
}

#[test]
fn functions_as_large_as_all_addresses_are_cut() {
    let mut cfi = CfiBytes::eh_frame();
    cfi.cie("", USUAL);
    for begin in (TEXT..TEXT + 0x4000).step_by(2) {
        cfi.fde(begin, u64::MAX, false, &[]);
        cfi.fde(begin, u64::MAX - begin, false, &[0x86, 2]);
        cfi.fde(1, u64::MAX, false, &[]);
    }
    let table = build(&file(cfi.end()).bytes()).unwrap();
    assert_eq!(table.counts().functions, 0x2000);
    assert_eq!(table.counts().rows, 2);
}

#[test]
fn many_functions_of_the_same_code_are_one() {
    let mut cfi = CfiBytes::eh_frame();
    cfi.cie("", USUAL);
    // A program that is long, but only of the one that stays.
    for _ in 0..200_000 {
        cfi.fde(TEXT, 0x4000, false, &[0x40; 100]);
    }
    let table = build(&file(cfi.end()).bytes()).unwrap();
    assert_eq!(table.counts().functions, 1);
}

#[test]
fn programs_that_never_advance_end() {
    let mut cfi = CfiBytes::eh_frame();
    cfi.cie("", USUAL);
    // remember_state; advance by 0; set_loc to the same; offsets that change nothing's address.
    for (begin, instructions) in [(0, [0x0a; 64].repeat(20_000)), (64, [0x40, 0x86, 2].repeat(400_000))] {
        cfi.fde(TEXT + begin, 64, false, &instructions);
    }
    let table = build(&file(cfi.end()).bytes()).unwrap();
    assert_eq!(table.lookup(TEXT), Rule::UNSUPPORTED);
    assert_eq!(table.lookup(TEXT + 64).rbp_offset(), -16);
}

#[test]
fn common_parts_that_overlap_are_not_read_again_and_again() {
    // Each function points to another byte of a common part full of what could be common parts.
    let mut cfi = CfiBytes::eh_frame();
    cfi.cie("", &vec![0; 400_000]);
    for back in 0..100_000_u32 {
        cfi.fde(TEXT, 16, false, &[]);
        let at = cfi.bytes.len() - 24;
        let pointer = u32::from_le_bytes(cfi.bytes[at + 4..at + 8].try_into().unwrap());
        cfi.bytes[at + 4..at + 8].copy_from_slice(&(pointer - 4 - 4 * back.min(90_000)).to_le_bytes());
    }
    let table = build(&file(cfi.end()).bytes()).unwrap();
    assert_eq!((table.counts().functions, table.counts().damaged), (0, 100_000));
}

/// A file with these segments, all of zeros.
fn with_segments(segments: &[elf::ProgramHeader64<object::LittleEndian>], size: usize) -> Vec<u8> {
    let mut bytes = file(Vec::new()).bytes();
    bytes.truncate(64);
    bytes[0x28..0x30].fill(0);
    bytes[0x38..0x3a].copy_from_slice(&u16::try_from(segments.len()).unwrap().to_le_bytes());
    bytes[0x3c..0x40].fill(0);
    for segment in segments {
        bytes.extend(pod::bytes_of(segment));
    }
    bytes.resize(bytes.len().max(size), 0);
    bytes
}

fn code(svma: u64, offset: u64, length: usize) -> elf::ProgramHeader64<object::LittleEndian> {
    segment(elf::PT_LOAD, elf::PF_X, svma, offset, length)
}

#[test]
fn segments_that_no_loader_takes_are_refused() {
    let error = |segments: &[_]| build(&with_segments(segments, 0x4000)).unwrap_err().to_string();
    let overlap = "damaged ELF file: its executable segments overlap";
    assert_eq!(error(&[code(0x1000, 0, 0x1000), code(0x1fff, 0x1000, 0x1000)]), overlap);
    assert_eq!(error(&[code(u64::MAX - 10, 0, 0x1000)]), overlap);
    let many: Vec<_> = (0..65).map(|number| code(number << 20, 0, 0x1000)).collect();
    assert_eq!(error(&many), "too large: 65 executable segments, at most 64 are read");
    // A segment is as long as what the file has of it.
    let huge = build(&with_segments(&[code(0x1000, 0x1000, usize::MAX)], 0x4000)).unwrap();
    assert_eq!(huge.segments()[0].svma, 0x1000..0x4000);
}

/// A file of zeros behind its headers, as large as it says.
struct Sparse(Vec<u8>, u64);

impl ReadAt for Sparse {
    fn size(&self) -> std::io::Result<u64> {
        Ok(self.1)
    }

    fn read_at(&self, into: &mut [u8], offset: u64) -> std::io::Result<()> {
        into.fill(0);
        let start = usize::try_from(offset).unwrap().min(self.0.len());
        let length = into.len().min(self.0.len() - start);
        into[..length].copy_from_slice(&self.0[start..start + length]);
        Ok(())
    }
}

#[test]
fn files_of_holes_are_read_as_far_as_bounds_go() {
    let error = |segments: &[_]| {
        let sparse = Sparse(with_segments(segments, 0), 1 << 45);
        Table::build(&sparse).unwrap_err().to_string()
    };
    assert_eq!(
        error(&[code(0x1000, 0, 1 << 40)]),
        "too large: 1099511627776 bytes of code, at most 4294967296 are read"
    );
    let twice: Vec<_> = (1..60).map(|number| code(number << 32, 0, 0x1000_0000)).collect();
    assert_eq!(
        error(&twice),
        "too large: 15837691904 bytes of code, at most 4294967296 are read"
    );
}
