//! Small ELF files of which every byte is known. Addresses are offsets in the file.

/// Where the functions begin, and how far one is from the next.
const CODE: u64 = 0x1000;
const APART: u64 = 0x100;
/// Where the global offset table begins.
const GOT: u64 = 0x8000;

/// A file in the making.
#[derive(Clone, Debug, Default)]
pub(super) struct Made {
    functions: Vec<(String, Vec<u8>, u8)>,
    imports: Vec<String>,
    note: Vec<u8>,
    constants: Vec<u8>,
    more: Vec<String>,
}

/// Address of the function of that number.
pub(super) const fn function(index: u64) -> u64 {
    CODE + index * APART
}

/// A five-byte jump (`e9`) or call (`e8`) at an address.
pub(super) fn near(opcode: u8, at: u64, target: u64) -> Vec<u8> {
    let distance = i32::try_from(target.cast_signed() - at.cast_signed() - 5).unwrap();
    [&[opcode][..], &distance.to_le_bytes()].concat()
}

/// `jmp` (`25`) or `call` (`15`) by the slot of an import, at an address.
pub(super) fn by_slot(kind: u8, at: u64, import: u64) -> Vec<u8> {
    let distance = i32::try_from((GOT + import * 8).cast_signed() - at.cast_signed() - 6).unwrap();
    [&[0xff, kind][..], &distance.to_le_bytes()].concat()
}

impl Made {
    /// Adds a function.
    pub(super) fn with(mut self, name: &str, code: &[u8]) -> Self {
        self.functions.push((name.to_owned(), code.to_vec(), 2));
        self
    }

    /// Adds one whose code is chosen at run time.
    pub(super) fn with_indirect(mut self, name: &str) -> Self {
        self.functions.push((name.to_owned(), vec![0xc3], 10));
        self
    }

    /// Adds an import.
    pub(super) fn importing(mut self, name: &str) -> Self {
        self.imports.push(name.to_owned());
        self
    }

    /// Adds notes of static probes.
    pub(super) fn noting(mut self, note: &[u8]) -> Self {
        self.note.extend(note);
        self
    }

    /// Adds a constant.
    pub(super) fn saying(mut self, constant: &str) -> Self {
        self.constants.extend(constant.as_bytes());
        self
    }

    /// Adds an empty section of this name.
    pub(super) fn with_section(mut self, name: &str) -> Self {
        self.more.push(name.to_owned());
        self
    }

    /// The file.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut file = vec![0; 0xa000];
        let words = |words: &[u64]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<_>>();
        let mut strings = vec![0];
        let mut symbols = vec![0; 24];
        let mut symbol = |name: &str, kind: u8, section: u16, svma: u64| {
            symbols.extend(u32::try_from(strings.len()).unwrap().to_le_bytes());
            symbols.extend([1 << 4 | kind, 0]);
            symbols.extend(section.to_le_bytes());
            symbols.extend(words(&[svma, 0]));
            strings.extend(name.as_bytes());
            strings.push(0);
        };
        let mut relocations = Vec::new();
        for (index, name) in (0..).zip(&self.imports) {
            symbol(name, 2, 0, 0);
            // R_X86_64_GLOB_DAT
            relocations.extend(words(&[GOT + index * 8, (index + 1) << 32 | 6, 0]));
        }
        for (index, (name, code, kind)) in (0..).zip(&self.functions) {
            let begin = usize::try_from(function(index)).unwrap();
            file[begin..begin + code.len()].copy_from_slice(code);
            symbol(name, *kind, 1, function(index));
        }
        let mut names = vec![0];
        let mut headers = vec![0; 64];
        let mut section = |file: &mut Vec<u8>, name: &str, kind: u32, link: u32, content: Result<&[u8], (u64, u64)>| {
            let (offset, size) = match content {
                Ok(content) => {
                    file.resize(file.len().next_multiple_of(8), 0);
                    let offset = file.len() as u64;
                    file.extend(content);
                    (offset, content.len() as u64)
                }
                Err(place) => place,
            };
            headers.extend(
                [u32::try_from(names.len()).unwrap(), kind]
                    .into_iter()
                    .flat_map(u32::to_le_bytes),
            );
            headers.extend(words(&[0, offset, offset, size]));
            headers.extend([link, 0].into_iter().flat_map(u32::to_le_bytes));
            headers.extend(words(&[8, 0]));
            names.extend(name.as_bytes());
            names.push(0);
            names.clone()
        };
        section(&mut file, ".dynsym", 11, 2, Ok(&symbols));
        section(&mut file, ".dynstr", 3, 0, Ok(&strings));
        section(&mut file, ".rela.dyn", 4, 1, Ok(&relocations));
        section(&mut file, ".got", 1, 0, Err((GOT, 0x1000)));
        section(&mut file, ".note.stapsdt", 7, 0, Ok(&self.note));
        section(&mut file, ".rodata", 1, 0, Ok(&self.constants));
        for name in &self.more {
            section(&mut file, name, 1, 0, Ok(&[]));
        }
        let names_at = file.len().next_multiple_of(8) as u64;
        let mut names = section(&mut file, ".shstrtab", 3, 0, Err((names_at, 0x100)));
        names.resize(0x100, 0);
        file.resize(usize::try_from(names_at).unwrap(), 0);
        file.extend(names);
        let headers_at = file.len() as u64;
        file.extend(headers);
        let end = file.len() as u64;
        // The header: 64 bits, little endian, a shared library for x86-64.
        file[..16].copy_from_slice(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
        file[16..24].copy_from_slice(&[3, 0, 62, 0, 1, 0, 0, 0]);
        file[24..48].copy_from_slice(&words(&[0, 64, headers_at]));
        let more = u8::try_from(self.more.len()).unwrap();
        file[52..64].copy_from_slice(&[64, 0, 56, 0, 1, 0, 64, 0, 8 + more, 0, 7 + more, 0]);
        // One segment that can be read and executed.
        file[64..72].copy_from_slice(&[1, 0, 0, 0, 5, 0, 0, 0]);
        file[72..120].copy_from_slice(&words(&[0, 0, 0, end, end, 4096]));
        file
    }
}
