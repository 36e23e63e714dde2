//! Files of this machine, against gimli's own rows.

use std::{fs::File, path::PathBuf};

use gimli::{
    BaseAddresses, CieOrFde, EhFrame, EndianSlice, LittleEndian, RegisterRule, UnwindContext, UnwindSection as _,
    X86_64,
};
use memtrace_common::unwind::Rule;
use object::{Object as _, ObjectSection as _, ObjectSegment as _};

use super::{
    super::{Pruning, ReadAt, Table, state::Bytes},
    meaning::{Registers, Said, of_row, of_rule},
};
use crate::process::AddressSpace;

/// The C library that runs here.
fn c_library() -> PathBuf {
    let space = AddressSpace::read(std::process::id()).unwrap();
    let modules = space.modules();
    let module = modules
        .iter()
        .find(|module| module.short_name().starts_with("libc.so"))
        .unwrap();
    std::fs::canonicalize(module.path().unwrap()).unwrap()
}

fn this_program() -> PathBuf {
    std::env::current_exe().unwrap()
}

/// What gimli says of a file: calls `row` with each row that is not empty, and with its addresses.
fn each_row(data: &[u8], mut row: impl FnMut(&EhFrame<Bytes<'_>>, bool, &gimli::UnwindTableRow<usize>)) -> usize {
    let elf = object::File::parse(data).unwrap();
    let section = elf.section_by_name(".eh_frame").unwrap();
    let eh_frame = EhFrame::from(EndianSlice::new(section.data().unwrap(), LittleEndian));
    let bases = BaseAddresses::default().set_eh_frame(section.address());
    let mut entries = eh_frame.entries(&bases);
    let mut context = UnwindContext::new();
    let mut rows = 0;
    while let Some(entry) = entries.next().unwrap() {
        let CieOrFde::Fde(partial) = entry else {
            continue;
        };
        let fde = partial.parse(EhFrame::cie_from_offset).unwrap();
        let mut table = fde.rows(&eh_frame, &bases, &mut context).unwrap();
        while let Some(found) = table.next_row().unwrap() {
            if found.start_address() < found.end_address() {
                row(&eh_frame, fde.is_signal_trampoline(), found);
                rows += 1;
            }
        }
    }
    rows
}

/// What gimli says of every row is what the table says at its first and its last address. How many rows there are, and
/// how many of them rules cannot say.
fn compare(path: &PathBuf) -> (usize, usize) {
    let table = Table::build_with(&File::open(path).unwrap(), Pruning::None, &[]).unwrap();
    let data = std::fs::read(path).unwrap();
    let mut unsupported = 0;
    let rows = each_row(&data, |section, signal, row| {
        for rip in [row.start_address(), row.end_address() - 1] {
            let rule = table.lookup(rip);
            if !table.segments().iter().any(|segment| segment.svma.contains(&rip)) {
                // Assemblers' mistakes: functions among read-only data.
                assert_eq!(rule, Rule::NONE);
                continue;
            }
            if signal {
                assert_eq!(rule, Rule::SIGNAL, "{rip:x}");
                continue;
            }
            let at = Registers {
                rip,
                rsp: 0x7fff_0000_1230,
                rbp: 0x7fff_0000_4560,
            };
            let (said, simple) = of_row(section, row, at);
            if rule == Rule::UNSUPPORTED {
                assert!(!simple, "{rip:x}: {row:?}");
                unsupported += usize::from(rip == row.start_address());
                // Only what rules cannot say: other registers for the CFA, other places of the return address.
                let elsewhere = row.register(X86_64::RA) != Some(RegisterRule::Offset(-8));
                assert!(elsewhere || said == Said::Other, "{rip:x}: {row:?}");
            } else {
                assert_eq!(of_rule(rule, at), said, "{rip:x}: {row:?}");
            }
        }
    });
    (rows, unsupported)
}

#[test]
fn every_row_of_the_c_library_says_what_gimli_says() {
    let (rows, unsupported) = compare(&c_library());
    assert!(rows > 10_000 && unsupported < 100, "{unsupported} of {rows}");
}

#[test]
fn every_row_of_this_program_says_what_gimli_says() {
    let (rows, unsupported) = compare(&this_program());
    assert!(rows > 10_000 && unsupported < 100, "{unsupported} of {rows}");
}

/// At each byte before a return address the pruned table says what the whole one says.
fn compare_pruned(path: &PathBuf) {
    let file = File::open(path).unwrap();
    let whole = Table::build_with(&file, Pruning::None, &[]).unwrap();
    let pruned = Table::build(&file).unwrap();
    assert!(pruned.counts().rows * 2 < whole.counts().rows);
    let data = std::fs::read(path).unwrap();
    let elf = object::File::parse(&*data).unwrap();
    let mut calls = 0;
    each_row(&data, |_, _, row| {
        let segment = elf
            .segments()
            .find(|segment| (segment.address()..segment.address() + segment.size()).contains(&row.start_address()))
            .unwrap();
        let at = usize::try_from(row.start_address() - segment.address()).unwrap();
        let length = usize::try_from(row.end_address() - row.start_address()).unwrap();
        let code = &segment.data().unwrap()[at..at + length];
        for index in 0..length {
            // Where each instruction that puts a return address somewhere would end if it began here.
            let ends: &[usize] = match code[index..] {
                [0xe8, ..] => &[5],
                [0xff, modrm, ..] if modrm & 0x38 == 0x10 => &[2, 3, 4, 6, 7],
                [0x0f, 0x05, ..] => &[2],
                _ => continue,
            };
            for end in ends.iter().filter(|&&end| index + end <= length) {
                let last = row.start_address() + (index + end - 1) as u64;
                assert_eq!(pruned.lookup(last), whole.lookup(last), "{last:x}");
                calls += 1;
            }
        }
    });
    assert!(calls > 1_000, "{calls}");
}

#[test]
fn pruning_keeps_the_rules_of_return_addresses() {
    compare_pruned(&c_library());
    compare_pruned(&this_program());
}

#[test]
fn a_file_without_section_headers_has_the_same_table() {
    let mut data = std::fs::read(c_library()).unwrap();
    let with = Table::build(&*data).unwrap();
    // e_shoff, then e_shnum and e_shstrndx
    data[0x28..0x30].fill(0);
    data[0x3c..0x40].fill(0);
    let without = Table::build(&*data).unwrap();
    assert_eq!(with.counts(), without.counts());
    assert_eq!(with.words(), without.words());
    assert_eq!(with.segments(), without.segments());
}

/// A file whose size is no longer true.
struct Shrunk<'f>(&'f File, u64);
impl ReadAt for Shrunk<'_> {
    fn size(&self) -> std::io::Result<u64> {
        Ok(self.1)
    }

    fn read_at(&self, into: &mut [u8], offset: u64) -> std::io::Result<()> {
        self.0.read_at(into, offset)
    }
}

#[test]
fn a_file_that_becomes_shorter_is_an_error() {
    let path = tempfile::NamedTempFile::new().unwrap();
    std::fs::copy(c_library(), path.path()).unwrap();
    let file = File::options().read(true).write(true).open(path.path()).unwrap();
    let size = file.metadata().unwrap().len();
    for length in [size / 2, 100_000, 100, 10, 0] {
        file.set_len(length).unwrap();
        let error = Table::build(&Shrunk(&file, size)).unwrap_err().to_string();
        assert!(error.starts_with("failed to read "), "{error}");
        assert!(Table::build(&file).is_err() || length > 100);
    }
}
