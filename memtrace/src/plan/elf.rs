//! The dynamic symbols of an ELF file, as far as hooks need them.

use object::{
    Endianness, ReadRef,
    elf::{self, FileHeader64, PT_INTERP, PT_LOAD, STT_FUNC, STT_GNU_IFUNC},
    read::elf::{FileHeader as _, ProgramHeader as _, Sym as _},
};
use rustc_hash::FxHashMap;

/// A function that a file exports.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Export {
    /// Offset of its code in the file.
    pub offset: u64,
    /// Whether its address is chosen at run time (`STT_GNU_IFUNC`): the symbol is then not the function.
    pub indirect: bool,
}

/// What a file exports, and whether it names a dynamic loader.
#[derive(Debug, Default)]
pub struct Exports {
    /// Functions by name; of several versions of one name the default, else any.
    pub functions: FxHashMap<String, Export>,
    /// Whether the file is an executable that wants a dynamic loader.
    pub dynamic: bool,
}

/// Reads the exports of a 64-bit little-endian ELF file whose names `wanted` asks for.
///
/// # Errors
/// What is wrong with the file.
pub fn exports<'data, R: ReadRef<'data>>(
    data: R,
    wanted: impl Fn(&str) -> bool,
) -> Result<Exports, object::read::Error> {
    let header = FileHeader64::<Endianness>::parse(data)?;
    let endian = header.endian()?;
    let segments = header.program_headers(endian, data)?;
    let mut exports = Exports {
        dynamic: segments.iter().any(|segment| segment.p_type(endian) == PT_INTERP),
        ..Exports::default()
    };
    let sections = header.sections(endian, data)?;
    let symbols = sections.symbols(endian, data, elf::SHT_DYNSYM)?;
    let strings = symbols.strings();
    let file_offset = |svma: u64| {
        segments
            .iter()
            .filter(|segment| segment.p_type(endian) == PT_LOAD)
            .find_map(|segment| {
                let into = svma.checked_sub(segment.p_vaddr(endian))?;
                (into < segment.p_filesz(endian)).then(|| segment.p_offset(endian).checked_add(into))?
            })
    };
    for symbol in symbols.iter() {
        let kind = symbol.st_type();
        if !matches!(kind, STT_FUNC | STT_GNU_IFUNC) || symbol.is_undefined(endian) {
            continue;
        }
        let Some(name) = symbol
            .name(endian, strings)
            .ok()
            .and_then(|name| std::str::from_utf8(name).ok())
        else {
            continue;
        };
        if !wanted(name) {
            continue;
        }
        if let Some(offset) = file_offset(symbol.st_value(endian)) {
            exports.functions.entry(name.to_owned()).or_insert(Export {
                offset,
                indirect: kind == STT_GNU_IFUNC,
            });
        }
    }
    Ok(exports)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn this_machines_c_library() {
        let space = crate::process::AddressSpace::read(std::process::id()).unwrap();
        let libc = space
            .modules()
            .iter()
            .find(|module| module.short_name().starts_with("libc.so"))
            .unwrap();
        let bytes = std::fs::read(libc.path().unwrap()).unwrap();
        let exports = exports(&*bytes, |name| matches!(name, "malloc" | "free")).unwrap();
        assert_eq!(exports.functions.len(), 2);
        assert!(
            exports
                .functions
                .values()
                .all(|export| !export.indirect && export.offset < bytes.len() as u64)
        );
        // What was found is what the linker finds: the bytes there are the bytes of the function in memory.
        let location = {
            let mut space = crate::process::AddressSpace::read(std::process::id()).unwrap();
            space.locate(libc::malloc as *const () as u64).unwrap()
        };
        assert_eq!(exports.functions["malloc"].offset, location.address);
    }

    proptest! {
        #[test]
        fn damaged_files_are_errors_not_panics(cut in 0usize..4096, at in 0usize..4096, byte: u8) {
            let mut bytes = vec![0; 8192];
            std::fs::File::open("/proc/self/exe").unwrap().read_exact(&mut bytes).unwrap();
            bytes[at] = byte;
            bytes.truncate(cut.max(at));
            let _either = exports(&*bytes, |_| true);
        }
    }
}
