//! Which version an interpreter is.

use object::ReadRef;

use crate::process::Elf;

/// A version of Python 3.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Version {
    /// The number after `3.`.
    pub minor: u8,
    /// The number after that.
    pub micro: u8,
}

impl std::fmt::Display for Version {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "3.{}.{}", self.minor, self.micro)
    }
}

/// First and last minor version that does not tell its version by a symbol and that is known here.
const SILENT: std::ops::RangeInclusive<u8> = 8..=10;

/// The version of a file that defines an interpreter, or why it is not known.
pub(super) fn of<'data, R: ReadRef<'data>>(elf: &Elf<'data, R>) -> Result<Version, String> {
    if let Some(symbol) = elf.exported("Py_Version") {
        // `PY_VERSION_HEX`, Include/patchlevel.h, from 3.11 on.
        let word = elf.bytes(symbol.svma, 4).and_then(|bytes| bytes.try_into().ok());
        let word = u32::from_le_bytes(word.ok_or("its version (Py_Version) cannot be read")?);
        let [_, micro, minor, major] = word.to_le_bytes();
        return if major == 3 {
            Ok(Version { minor, micro })
        } else {
            Err(format!("it is Python {major}.{minor}, and 3.8 to 3.14 are supported"))
        };
    }
    let mut found = literals(elf);
    found.sort_unstable();
    found.dedup_by_key(|version| version.minor);
    if found.len() > 1 {
        // Others may be a library's. Where its own modules are, only the interpreter says.
        found.retain(|version| says(elf, format!("python3.{}", version.minor).as_bytes()));
    }
    match found[..] {
        [version] => Ok(version),
        [] => Err("it names no version from 3.8 to 3.10, and has no Py_Version as later ones have".to_owned()),
        _ => Err("it is older than 3.11 and names several versions".to_owned()),
    }
}

/// Versions that strings of the file end with: what `Py_GetVersion` puts together begins with one, which the linker may have made
/// the end of another.
fn literals<'data, R: ReadRef<'data>>(elf: &Elf<'data, R>) -> Vec<Version> {
    let mut found = Vec::new();
    for bytes in contents(elf) {
        for at in memchr::memmem::find_iter(bytes, b"3.") {
            let begins = at.checked_sub(1).and_then(|before| bytes.get(before));
            if begins.is_some_and(|before| before.is_ascii_digit() || *before == b'.') {
                continue;
            }
            let rest = bytes.get(at + 2..).unwrap_or_default();
            let end = rest.iter().take(8).position(|&byte| byte == 0);
            let text = end.and_then(|end| std::str::from_utf8(rest.get(..end)?).ok());
            if let Some((minor, micro)) = text.and_then(|text| text.split_once('.'))
                && let (Ok(minor), Ok(micro)) = (minor.parse(), micro.parse())
                && SILENT.contains(&minor)
            {
                found.push(Version { minor, micro });
            }
        }
    }
    found
}

/// Whether the file has such bytes.
fn says<'data, R: ReadRef<'data>>(elf: &Elf<'data, R>, what: &[u8]) -> bool {
    contents(elf).any(|bytes| memchr::memmem::find(bytes, what).is_some())
}

/// What is not code.
fn contents<'data, R: ReadRef<'data>>(elf: &Elf<'data, R>) -> impl Iterator<Item = &'data [u8]> {
    let data = elf.segments.iter().filter(|segment| !segment.executable);
    data.filter_map(|&segment| elf.content(segment))
}
