//! Files made by hand: what is found where, and what becomes of it.

use std::io::Write as _;

use flate2::{Compression, write::ZlibEncoder};
use memtrace_common::unwind::{Cfa, Rbp, Rule};
use object::{LittleEndian as Little, U32, U64, elf, pod};

use super::{
    super::{Pruning, Segment, Table},
    cfi_bytes::{CfiBytes, USUAL},
    elf_file::{ElfFile, TEXT},
};

/// The rule of the usual initial instructions.
const ENTRY: Rule = Rule::new(Cfa::Rsp, 8, Rbp::Same, 0);

/// A file of 512 bytes of code with this call frame information.
fn file(eh_frame: CfiBytes) -> ElfFile {
    ElfFile {
        text: vec![0x90; 512],
        eh_frame: eh_frame.end(),
        ..ElfFile::default()
    }
}

fn whole(file: &ElfFile) -> Table {
    Table::build_with(&*file.bytes(), Pruning::None, &[]).unwrap()
}

/// The rule after instructions.
fn rule_of(instructions: &[u8]) -> Rule {
    let mut cfi = CfiBytes::eh_frame();
    cfi.cie("", USUAL);
    cfi.fde(TEXT, 16, false, instructions);
    whole(&file(cfi)).lookup(TEXT)
}

#[test]
fn expressions_of_compilers_and_linkers() {
    let cfa = |expression: &[u8]| rule_of(&[&[0x0f, u8::try_from(expression.len()).unwrap()], expression].concat());
    let deref = |cfa, offset, add| Rule::deref(cfa, offset, add, Rbp::Same, 0);
    // GNU ld's procedure linkage table, and lld's.
    let plt = |threshold| cfa(&[0x77, 8, 0x80, 0, 0x3f, 0x1a, threshold, 0x2a, 0x33, 0x24, 0x22]);
    assert_eq!(plt(0x3b), Rule::new(Cfa::Plt, 11, Rbp::Same, 0));
    assert_eq!(plt(0x3a), Rule::new(Cfa::Plt, 10, Rbp::Same, 0));
    assert_eq!(plt(0x40), Rule::UNSUPPORTED);
    // gcc, where main aligns its stack: *(rbp - 8).
    assert_eq!(cfa(&[0x76, 0x78, 0x06]), deref(Cfa::DerefRbp, -8, 0));
    // OpenSSL: *(rsp + 24) + 8
    assert_eq!(cfa(&[0x77, 0x18, 0x06, 0x23, 0x08]), deref(Cfa::DerefRsp, 24, 8));
    assert_eq!(
        cfa(&[0x77, 0x18, 0x23, 0x08, 0x06, 0x38, 0x22]),
        deref(Cfa::DerefRsp, 32, 8)
    );
    assert_eq!(cfa(&[0x77, 0x18]), Rule::new(Cfa::Rsp, 24, Rbp::Same, 0));
    // Twice, other registers, nothing, not an expression, an offset that does not fit.
    assert_eq!(cfa(&[0x77, 0x18, 0x06, 0x06]), Rule::UNSUPPORTED);
    assert_eq!(cfa(&[0x7a, 0x18, 0x06]), Rule::UNSUPPORTED);
    assert_eq!(cfa(&[]), Rule::UNSUPPORTED);
    assert_eq!(cfa(&[0xff, 0xff]), Rule::UNSUPPORTED);
    assert_eq!(cfa(&[0x77, 0x80, 0x80, 0x04, 0x06]), Rule::UNSUPPORTED);
}

#[test]
fn places_of_rbp_and_of_the_return_address() {
    let rsp8 = |rbp, offset| Rule::new(Cfa::Rsp, 8, rbp, offset);
    assert_eq!(rule_of(&[]), ENTRY);
    assert_eq!(rule_of(&[0x86, 2]), rsp8(Rbp::AtCfa, -16));
    assert_eq!(rule_of(&[0x10, 6, 2, 0x76, 0x08]), rsp8(Rbp::AtRbp, 8));
    assert_eq!(rule_of(&[0x86, 2, 7, 6]), ENTRY);
    assert_eq!(rule_of(&[0x86, 2, 8, 6]), ENTRY);
    assert_eq!(rule_of(&[0x86, 2, 0xc6]), ENTRY);
    assert_eq!(rule_of(&[9, 6, 3]), Rule::UNSUPPORTED);
    assert_eq!(rule_of(&[0x14, 6, 2]), Rule::UNSUPPORTED);
    assert_eq!(rule_of(&[0x10, 6, 2, 0x77, 0x08]), Rule::UNSUPPORTED);
    assert_eq!(rule_of(&[0x86, 0x80, 0x80, 1]), Rule::UNSUPPORTED);
    assert_eq!(rule_of(&[7, 16]), Rule::END);
    assert_eq!(rule_of(&[0x90, 2]), Rule::UNSUPPORTED);
    assert_eq!(rule_of(&[8, 16]), Rule::UNSUPPORTED);
    assert_eq!(rule_of(&[0x10, 16, 2, 0x77, 0x08]), Rule::UNSUPPORTED);
    assert_eq!(rule_of(&[0x90, 2, 0xd0]), ENTRY);
    // A CFA of another register, and one that does not fit.
    assert_eq!(rule_of(&[0x0d, 10]), Rule::UNSUPPORTED);
    assert_eq!(rule_of(&[0x0e, 0x80, 0x80, 0x80, 0x80, 0x08]), Rule::UNSUPPORTED);
}

#[test]
fn a_file_without_call_frame_information_has_an_empty_table() {
    let table = whole(&file(CfiBytes::eh_frame()));
    assert!(table.is_empty());
    assert!(!table.words().is_empty());
    assert_eq!(table.lookup(TEXT), Rule::NONE);
}

#[test]
fn functions_are_sorted_cut_and_dropped() {
    let mut cfi = CfiBytes::eh_frame();
    cfi.cie("", USUAL);
    let saves = |offset: u8| [0x86, offset];
    cfi.fde(TEXT + 300, 1_000_000, false, &saves(5));
    cfi.fde(TEXT + 100, 80, false, &saves(3));
    cfi.fde(TEXT + 50, 70, false, &saves(2));
    cfi.fde(TEXT + 100, 20, false, &saves(4));
    cfi.fde(0, 5_000, false, &saves(6));
    cfi.fde(TEXT + 200, 0, false, &saves(6));
    cfi.fde(TEXT + 600, 20, false, &saves(6));
    cfi.fde(TEXT + 190, u64::MAX, false, &saves(6));
    let table = whole(&file(cfi));
    let at = |into| table.lookup(TEXT + into);
    let rule = |offset: i16| Rule::new(Cfa::Rsp, 8, Rbp::AtCfa, -8 * offset);
    assert_eq!(table.counts().functions, 4);
    assert_eq!(
        (at(0), at(49), at(50), at(99)),
        (Rule::NONE, Rule::NONE, rule(2), rule(2))
    );
    // The first in the file of two, and its rule up to the next: ten bytes between are padding.
    assert_eq!((at(100), at(179), at(189)), (rule(3), rule(3), rule(3)));
    assert_eq!(
        (at(190), at(299), at(300), at(511)),
        (rule(6), rule(6), rule(5), rule(5))
    );
    assert_eq!(table.lookup(TEXT + 512), Rule::NONE);
}

#[test]
fn gaps_have_no_rule_unless_they_are_padding() {
    let mut cfi = CfiBytes::eh_frame();
    cfi.cie("", USUAL);
    cfi.fde(TEXT, 16, false, &[]);
    cfi.fde(TEXT + 31, 16, false, &[]);
    cfi.fde(TEXT + 31 + 16 + 16, 16, false, &[]);
    let table = whole(&file(cfi));
    assert_eq!(table.lookup(TEXT + 20), ENTRY);
    assert_eq!(table.lookup(TEXT + 31 + 16), Rule::NONE);
    assert_eq!(table.lookup(TEXT + 31 + 32), ENTRY);
    assert_eq!(table.lookup(TEXT + 31 + 48), Rule::NONE);
}

#[test]
fn pruning_keeps_calls_ends_and_signals() {
    let mut cfi = CfiBytes::eh_frame();
    cfi.cie("", USUAL);
    // From 16 on the CFA is rsp + 16, from 32 on rsp + 24, and so on.
    cfi.fde(TEXT, 64, false, &[0x50, 0x0e, 16, 0x50, 0x0e, 24, 0x50, 0x0e, 32]);
    cfi.fde(TEXT + 64, 16, false, &[7, 16]);
    cfi.cie("zS", USUAL);
    cfi.fde(TEXT + 80, 16, true, &[]);
    let mut file = file(cfi);
    file.text[20..22].copy_from_slice(&[0xff, 0xd0]);
    let table = Table::build(&*file.bytes()).unwrap();
    let at = |into| table.lookup(TEXT + into);
    let rsp16 = Rule::new(Cfa::Rsp, 16, Rbp::Same, 0);
    assert_eq!(
        (at(0), at(16), at(21), at(40), at(63)),
        (Rule::NONE, rsp16, rsp16, rsp16, rsp16)
    );
    assert_eq!(
        (at(64), at(80), at(95), at(96)),
        (Rule::END, Rule::SIGNAL, Rule::SIGNAL, Rule::NONE)
    );
    assert_eq!(table.counts().rows, 4);
    assert_eq!(whole(&file).lookup(TEXT + 40), Rule::new(Cfa::Rsp, 24, Rbp::Same, 0));
}

#[test]
fn a_return_from_signals_that_is_not_described_is_found() {
    let code = [0x48, 0xc7, 0xc0, 15, 0, 0, 0, 0x0f, 5];
    for pruning in [Pruning::None, Pruning::Calls] {
        let mut cfi = CfiBytes::eh_frame();
        cfi.cie("", USUAL);
        cfi.fde(TEXT, 64, false, &[]);
        let mut file = file(cfi);
        file.text[100..109].copy_from_slice(&code);
        // In a described function it is what the description says.
        file.text[20..29].copy_from_slice(&code);
        let table = Table::build_with(&*file.bytes(), pruning, &[]).unwrap();
        let at = |into| table.lookup(TEXT + into);
        assert_eq!(
            (at(28), at(98), at(99), at(108), at(109)),
            (ENTRY, Rule::NONE, Rule::SIGNAL, Rule::SIGNAL, Rule::NONE)
        );
    }
}

#[test]
fn debug_frame_describes_what_eh_frame_does_not() {
    let mut eh_frame = CfiBytes::eh_frame();
    eh_frame.cie("", USUAL);
    eh_frame.fde(TEXT + 100, 50, false, &[]);
    let mut cfi = CfiBytes::debug_frame();
    cfi.cie("", USUAL);
    for begin in [0, 50, 100, 120, 150] {
        cfi.fde(TEXT + begin, 50, false, &[0x86, 2]);
    }
    let saved = Rule::new(Cfa::Rsp, 8, Rbp::AtCfa, -16);
    let mut file = file(eh_frame);
    let header = elf::CompressionHeader64 {
        ch_type: U32::new(Little, elf::ELFCOMPRESS_ZLIB),
        ch_reserved: U32::new(Little, 0),
        ch_size: U64::new(Little, cfi.bytes.len() as u64),
        ch_addralign: U64::new(Little, 8),
    };
    let mut encoder = ZlibEncoder::new(pod::bytes_of(&header).to_vec(), Compression::default());
    encoder.write_all(&cfi.bytes).unwrap();
    file.debug_frame = cfi.bytes;
    let both = whole(&file);
    let at = |into| both.lookup(TEXT + into);
    assert_eq!(
        (at(0), at(99), at(100), at(149), at(150), at(200)),
        (saved, saved, ENTRY, ENTRY, saved, Rule::NONE)
    );

    file.debug_frame = encoder.finish().unwrap();
    file.compressed = true;
    assert_eq!(whole(&file).words(), both.words());
    file.eh_frame.clear();
    assert_eq!(whole(&file).lookup(TEXT + 120), saved);
    let length = file.debug_frame.len();
    file.debug_frame.truncate(length - 10);
    let error = Table::build(&*file.bytes()).unwrap_err().to_string();
    assert_eq!(error, "damaged ELF file: its compressed .debug_frame is not whole");
}

#[test]
fn the_segment_of_a_mapping_is_the_executable_one() {
    // As lld lays out: the end of one segment and the beginning of the next in one page of the file.
    let segment = |svma: u64, offset: u64, length: u64| Segment {
        svma: svma..svma + length,
        offset: offset..offset + length,
        page_base: 0,
    };
    let segments = vec![segment(0x2_1560, 0x1560, 0x5000), segment(0x4_6700, 0x6700, 0x100)];
    let table = Table {
        words: Vec::new(),
        segments: segments.clone(),
        counts: super::super::Counts::default(),
    };
    assert_eq!(Segment::mapped_from(table.segments(), 0), None);
    assert_eq!(Segment::mapped_from(table.segments(), 0x1000), Some(&segments[0]));
    assert_eq!(Segment::mapped_from(table.segments(), 0x2000), Some(&segments[0]));
    assert_eq!(Segment::mapped_from(table.segments(), 0x6000), Some(&segments[1]));
    assert_eq!(Segment::mapped_from(table.segments(), 0x7000), None);
}
