//! Whether the functions of a file keep a frame pointer: an estimate from the first instructions of some of them.
//!
//! In files without unwind information, call stacks are followed by frame pointer; where functions set none, stacks end. No
//! file says how it was compiled; but a function that keeps one nearly always starts by setting it.

use object::{
    Endianness, Object as _, ObjectSymbol as _, ReadRef, SymbolKind,
    elf::PT_LOAD,
    read::elf::{ElfFile64, ProgramHeader as _},
};

/// Most functions that are looked at.
const SAMPLES: usize = 500;

/// Functions shorter than this, in bytes, are often only a jump, which needs no frame in any program.
const SHORTEST: u64 = 16;

/// `endbr64`, which may come before everything else (Intel SDM volume 2).
const ENDBR64: [u8; 4] = [0xf3, 0x0f, 0x1e, 0xfa];

/// `push %rbp; mov %rsp,%rbp`, in the two encodings that the move has.
const PROLOGUES: [[u8; 4]; 2] = [[0x55, 0x48, 0x89, 0xe5], [0x55, 0x48, 0x8b, 0xec]];

/// With fewer functions than this nothing is said: the few that every executable has are not its own.
const FEWEST: usize = 5;

/// From this share of functions on, in percent, a file counts as compiled with frame pointers: some functions set theirs
/// later, or are written in assembly.
const MOST: usize = 70;

/// Up to this share it counts as compiled without.
const FEW: usize = 20;

/// What was found in the functions that were looked at.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Estimate {
    /// How many were looked at.
    pub(super) sampled: usize,
    /// How many of them start by setting a frame pointer.
    pub(super) setting: usize,
}

/// What an estimate means.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Verdict {
    /// Functions keep frame pointers.
    Yes,
    /// Some do.
    Partly,
    /// They do not.
    No,
    /// The file names too few functions.
    Unknown,
}

impl Estimate {
    pub(super) const fn verdict(self) -> Verdict {
        if self.sampled < FEWEST {
            return Verdict::Unknown;
        }
        match self.setting * 100 / self.sampled {
            MOST.. => Verdict::Yes,
            0..=FEW => Verdict::No,
            _ => Verdict::Partly,
        }
    }
}

/// Looks at functions spread evenly over a file.
///
/// # Errors
/// What is wrong with the file.
pub(super) fn estimate<'data, R: ReadRef<'data>>(data: R) -> object::read::Result<Estimate> {
    let file = ElfFile64::<Endianness, R>::parse(data)?;
    let mut estimate = Estimate::default();
    let functions = functions(&file);
    for &address in functions.iter().step_by(functions.len().div_ceil(SAMPLES).max(1)) {
        let length = (ENDBR64.len() + PROLOGUES[0].len()) as u64;
        let Some(first) = file_offset(&file, address).and_then(|offset| data.read_bytes_at(offset, length).ok()) else {
            continue;
        };
        estimate.sampled += 1;
        estimate.setting += usize::from(sets_frame_pointer(first));
    }
    Ok(estimate)
}

/// Whether code starts by setting a frame pointer.
fn sets_frame_pointer(code: &[u8]) -> bool {
    let code = code.strip_prefix(&ENDBR64).unwrap_or(code);
    PROLOGUES.iter().any(|prologue| code.starts_with(prologue))
}

/// Where functions start (svma), each once and in order: from the symbol table, or where that was stripped, from
/// the exported symbols.
fn functions<'data, R: ReadRef<'data>>(file: &ElfFile64<'data, Endianness, R>) -> Vec<u64> {
    let starts = |symbol: object::read::elf::ElfSymbol64<'data, '_, Endianness, R>| {
        (symbol.kind() == SymbolKind::Text && symbol.is_definition() && symbol.size() >= SHORTEST)
            .then(|| symbol.address())
    };
    let mut functions: Vec<u64> = file.symbols().filter_map(starts).collect();
    if functions.is_empty() {
        functions = file.dynamic_symbols().filter_map(starts).collect();
    }
    functions.sort_unstable();
    functions.dedup();
    functions
}

fn file_offset<'data, R: ReadRef<'data>>(file: &ElfFile64<'data, Endianness, R>, svma: u64) -> Option<u64> {
    let endian = file.endian();
    file.elf_program_headers()
        .iter()
        .filter(|segment| segment.p_type(endian) == PT_LOAD)
        .find_map(|segment| {
            let into = svma.checked_sub(segment.p_vaddr(endian))?;
            (into < segment.p_filesz(endian)).then(|| segment.p_offset(endian).checked_add(into))?
        })
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn prologues() {
        assert!(sets_frame_pointer(&[0x55, 0x48, 0x89, 0xe5, 0x90]));
        assert!(sets_frame_pointer(&[0x55, 0x48, 0x8b, 0xec]));
        assert!(sets_frame_pointer(&[0xf3, 0x0f, 0x1e, 0xfa, 0x55, 0x48, 0x89, 0xe5]));
        assert!(!sets_frame_pointer(&[0xf3, 0x0f, 0x1e, 0xfa, 0x41, 0x57, 0x41, 0x56]));
        assert!(!sets_frame_pointer(&[0x55, 0x48, 0x89]));
        assert!(!sets_frame_pointer(&[]));
    }

    #[test]
    fn verdicts() {
        let verdict = |sampled, setting| Estimate { sampled, setting }.verdict();
        assert_eq!(verdict(0, 0), Verdict::Unknown);
        assert_eq!(verdict(4, 0), Verdict::Unknown);
        assert_eq!(verdict(10, 10), Verdict::Yes);
        assert_eq!(verdict(10, 7), Verdict::Yes);
        assert_eq!(verdict(1000, 699), Verdict::Partly);
        assert_eq!(verdict(1000, 210), Verdict::Partly);
        assert_eq!(verdict(5, 1), Verdict::No);
    }

    /// A compiler is asked for one and for the other.
    #[test]
    fn the_compilers_flag_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("a.c");
        // Each function calls another, for a leaf may do without a frame in any case.
        let functions: Vec<_> = (0..40)
            .map(|n| format!("int f{n}(int a) {{ return g(a * {n}) + g(a) + 1; }}\n"))
            .collect();
        std::fs::write(&source, format!("int g(int);\n{}", functions.concat())).unwrap();
        for (flag, wanted) in [
            ("-fno-omit-frame-pointer", Verdict::Yes),
            ("-fomit-frame-pointer", Verdict::No),
        ] {
            let library = folder.path().join("a.so");
            let compiled = Command::new("cc")
                .args(["-O2", "-shared", "-fPIC", "-nostdlib", flag, "-o"])
                .args([&library, &source])
                .status()
                .unwrap();
            assert!(compiled.success());
            let bytes = std::fs::read(&library).unwrap();
            let found = estimate(&*bytes).unwrap();
            assert_eq!((found.sampled, found.verdict()), (40, wanted), "{flag}: {found:?}");
        }
    }

    proptest! {
        #[test]
        fn damaged_files_are_survived(at in 0usize..8192, bytes in proptest::collection::vec(any::<u8>(), 1..32), cut: u16) {
            let mut file = super::super::debug_info::tests::small_library().to_vec();
            let at = at % file.len();
            for (old, new) in file[at..].iter_mut().zip(&bytes) {
                *old = *new;
            }
            if cut < 2000 {
                file.truncate(usize::from(cut));
            }
            if let Ok(found) = estimate(&*file) {
                prop_assert!(found.setting <= found.sampled && found.sampled <= SAMPLES);
            }
        }
    }
}
