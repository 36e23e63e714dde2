//! The files that `fuzz/` starts from, so that its corpus is what the tests here know.

use std::{env, fs, path::Path};

use super::{
    cfi_bytes::{CfiBytes, USUAL},
    elf_file::{ElfFile, TEXT},
};

/// Small files by name that have something of everything.
pub(super) fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let mut cfi = CfiBytes::eh_frame();
    cfi.cie("", USUAL);
    // push %rbp; mov %rsp, %rbp; a way out in the middle; leave
    cfi.fde(
        TEXT,
        64,
        false,
        &[
            0x41, 0x0e, 16, 0x86, 2, 0x43, 0x0d, 6, 0x48, 0x0a, 0x0c, 7, 8, 0x41, 0x0b, 0x50, 0xc6,
        ],
    );
    let plt = [0x0f, 11, 0x77, 8, 0x80, 0, 0x3f, 0x1a, 0x3b, 0x2a, 0x33, 0x24, 0x22];
    cfi.fde(TEXT + 64, 32, false, &plt);
    cfi.fde(TEXT + 96, 32, false, &[0x0f, 3, 0x76, 0x78, 0x06, 0x10, 6, 2, 0x76, 0]);
    cfi.fde(TEXT + 160, 16, false, &[7, 16]);
    cfi.cie("zS", USUAL);
    cfi.fde(TEXT + 176, 16, true, &[]);
    let mut text = vec![0x90; 256];
    text[10..15].copy_from_slice(&[0xe8, 1, 0, 0, 0]);
    text[100..102].copy_from_slice(&[0xff, 0xd0]);
    text[200..209].copy_from_slice(&[0x48, 0xc7, 0xc0, 15, 0, 0, 0, 0x0f, 5]);
    let with_sections = ElfFile {
        text,
        eh_frame: cfi.end(),
        ..ElfFile::default()
    };
    let without_sections = ElfFile {
        without_sections: true,
        ..with_sections.clone()
    };
    let mut cfi = CfiBytes::debug_frame();
    cfi.cie("", USUAL);
    cfi.fde(TEXT, 64, false, &[0x41, 0x0e, 16, 0x86, 2]);
    let debug_frame = ElfFile {
        eh_frame: Vec::new(),
        debug_frame: cfi.bytes,
        ..with_sections.clone()
    };
    vec![
        ("sections", with_sections.bytes()),
        ("segments", without_sections.bytes()),
        ("debug_frame", debug_frame.bytes()),
    ]
}

/// With `MEMTRACE_WRITE_SEEDS` set it writes them instead.
#[test]
fn the_fuzzers_corpus_is_these() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/unwind_table");
    for (name, seed) in seeds() {
        let path = directory.join(name);
        if env::var_os("MEMTRACE_WRITE_SEEDS").is_some() {
            fs::create_dir_all(&directory).unwrap();
            fs::write(&path, &seed).unwrap();
        }
        assert!(fs::read(&path).unwrap() == seed, "{} is another file", path.display());
    }
}
