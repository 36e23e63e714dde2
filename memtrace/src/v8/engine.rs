//! Which V8 a file has: its version, and the constants that it exports for debuggers (`v8dbg_*`, tools/gen-postmortem-metadata.py).

use std::{fs::File, ops::Range};

use object::ReadRef;
use rustc_hash::FxHashMap;

use crate::process::{Elf, FileBytes};

/// Bytes of a page, which mappings begin at.
const PAGE: u64 = 4096;

/// Most constants that are kept; V8 has about 550.
const MAX_CONSTANTS: usize = 4096;

/// Bytes of built-in code at most; V8 has 1.5 to 2.5 MB.
const MAX_BUILTINS: u64 = 64 << 20;

/// What a file that has V8 exports, because modules in C++ need it (`v8::Isolate::GetCurrent`, include/v8-isolate.h).
const API: &str = "_ZN2v87Isolate10GetCurrentEv";

/// What it says how large a reference from object to object is, in bytes, and what that is without pointer compression.
const TAGGED_SIZE: &str = "v8dbg_TaggedSize";
const WHOLE: i32 = 8;

/// Versions whose structures are known: those of node 18, 20, 22 and 24.
pub const KNOWN: [(u32, u32); 4] = [(10, 2), (11, 3), (12, 4), (13, 6)];

/// A version of V8.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Version {
    /// As in 10.2.154.
    pub major: u32,
    /// The number after that.
    pub minor: u32,
    /// The number after that.
    pub build: u32,
}

impl std::fmt::Display for Version {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}.{}.{}", self.major, self.minor, self.build)
    }
}

/// A file that has V8, of a version that is known ([`KNOWN`]), for x86-64, with whole pointers.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Engine {
    /// Which one.
    pub version: Version,
    /// Its built-in code (svma), where the file says: symbols of its own tell, which a stripped file has not.
    pub builtins: Option<Range<u64>>,
    constants: FxHashMap<Box<str>, i32>,
    /// How long the instructions of bytecode are, and how many operands operations of translations have, where the file says.
    pub(super) bytecode_sizes: Option<Box<[u8]>>,
    pub(super) operand_counts: Option<Box<[u8]>>,
    /// Where it keeps the address of what has the table of codes (svma), where the file says.
    pub(super) group: Option<u64>,
    /// Code of the file: offset, bytes, svma.
    segments: Vec<(u64, u64, u64)>,
}

impl Engine {
    /// How far its addresses in a process are from those of the file, where code of the file from `offset` on is mapped at `start` (avma).
    pub fn bias(&self, start: u64, offset: u64) -> Option<u64> {
        let &(begin, _, svma) = self
            .segments
            .iter()
            .find(|(begin, size, _)| offset >= begin & !(PAGE - 1) && offset < begin.saturating_add(*size))?;
        Some(start.wrapping_sub(svma.wrapping_add(offset).wrapping_sub(begin)))
    }

    /// What `v8dbg_NAME` is.
    pub fn constant(&self, name: &str) -> Option<i32> {
        self.constants.get(name).copied()
    }
}

/// What a file has to do with V8.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Found {
    /// Nothing that could be recognised.
    Nothing,
    /// It has V8.
    Engine(Box<Engine>),
    /// It has V8, which is not supported, with the reason.
    Refused(String),
}

/// Looks for V8 in a file.
pub fn find(file: &File) -> Found {
    let bytes = FileBytes::new(file);
    let Some(elf) = Elf::parse(&bytes) else {
        return Found::Nothing;
    };
    if !has_v8(&elf) {
        return Found::Nothing;
    }
    engine(&elf).map_or_else(Found::Refused, |engine| Found::Engine(Box::new(engine)))
}

/// Whether a file has V8 of any kind, which [`find`] may refuse.
pub fn is_there(file: &File) -> bool {
    Elf::parse(&FileBytes::new(file)).is_some_and(|elf| has_v8(&elf))
}

fn has_v8<'data, R: ReadRef<'data>>(elf: &Elf<'data, R>) -> bool {
    elf.exported(API).is_some() || elf.exported(TAGGED_SIZE).is_some()
}

/// `v8::internal::Version`: `major_`, `minor_`, `build_` (src/utils/version.h).
const VERSION: [&str; 3] = [
    "_ZN2v88internal7Version6major_E",
    "_ZN2v88internal7Version6minor_E",
    "_ZN2v88internal7Version6build_E",
];

fn engine<'data, R: ReadRef<'data>>(elf: &Elf<'data, R>) -> Result<Engine, String> {
    let tagged_size = elf.exported(TAGGED_SIZE).and_then(|symbol| value(elf, symbol.svma));
    if tagged_size.ok_or("it does not say how its structures lie (v8dbg_...)")? != WHOLE {
        return Err("its pointers are compressed, which is not supported".to_owned());
    }
    let [major, minor, build] = VERSION.map(|name| {
        let symbol = elf.exported(name).or_else(|| elf.own(name))?;
        u32::try_from(value(elf, symbol.svma)?).ok()
    });
    let (Some(major), Some(minor), Some(build)) = (major, minor, build) else {
        return Err("it does not say which version it is (v8::internal::Version)".to_owned());
    };
    let version = Version { major, minor, build };
    if !KNOWN.contains(&(major, minor)) {
        let known = KNOWN.map(|(major, minor)| format!("{major}.{minor}")).join(", ");
        return Err(format!("it is V8 {version}, and {known} are supported"));
    }
    let constants = elf.exported_with("v8dbg_").take(MAX_CONSTANTS);
    let constants = constants.filter_map(|(name, symbol)| Some((name.into(), value(elf, symbol.svma)?)));
    Ok(Engine {
        version,
        builtins: builtins(elf),
        constants: constants.collect(),
        bytecode_sizes: table(elf, BYTECODE_SIZES),
        operand_counts: table(elf, OPERAND_COUNTS),
        group: elf.exported(GROUP).or_else(|| elf.own(GROUP)).map(|symbol| symbol.svma),
        segments: elf
            .segments
            .iter()
            .filter(|segment| segment.executable)
            .map(|segment| (segment.offset, segment.size, segment.svma))
            .collect(),
    })
}

/// `v8::internal::interpreter::Bytecodes::kBytecodeSizes` (src/interpreter/bytecodes.h).
const BYTECODE_SIZES: &str = "_ZN2v88internal11interpreter9Bytecodes14kBytecodeSizesE";

/// The table of `v8::internal::TranslationOpcodeOperandCount` (src/deoptimizer/translation-opcode.h).
const OPERAND_COUNTS: &str = "_ZZN2v88internal29TranslationOpcodeOperandCountENS0_17TranslationOpcodeEE6counts";

/// `v8::internal::IsolateGroup::default_isolate_group_` (src/init/isolate-group.h).
const GROUP: &str = "_ZN2v88internal12IsolateGroup22default_isolate_group_E";

/// Bytes of a table at most; V8's have some 800.
const MAX_TABLE: u64 = 1 << 12;

/// A table of the file that has a symbol.
fn table<'data, R: ReadRef<'data>>(elf: &Elf<'data, R>, name: &str) -> Option<Box<[u8]>> {
    let symbol = elf.exported(name).or_else(|| elf.own(name))?;
    (1..=MAX_TABLE).contains(&symbol.size).then_some(())?;
    Some(elf.bytes(symbol.svma, symbol.size)?.into())
}

/// Where the built-in code is (`v8_Default_embedded_blob_code_`, src/snapshot/embedded; up to 10 that is a pointer, and what it
/// points at has another name).
fn builtins<'data, R: ReadRef<'data>>(elf: &Elf<'data, R>) -> Option<Range<u64>> {
    let begin = elf
        .own("v8_Default_embedded_blob_code_data_")
        .or_else(|| elf.own("v8_Default_embedded_blob_code_"))?;
    let size = elf.own("v8_Default_embedded_blob_code_size_")?;
    let size = value(elf, size.svma).and_then(|size| u64::try_from(size).ok())?;
    (size > 0 && size <= MAX_BUILTINS).then_some(())?;
    Some(begin.svma..begin.svma.checked_add(size)?)
}

/// An `int` of the file; 0 where the file has no bytes for it, as for all that begins as zero.
fn value<'data, R: ReadRef<'data>>(elf: &Elf<'data, R>, svma: u64) -> Option<i32> {
    if let Some(bytes) = elf.bytes(svma, 4) {
        return Some(i32::from_le_bytes(bytes.try_into().ok()?));
    }
    let mut segments = elf.segments.iter();
    let is_mapped = segments.any(|segment| svma.checked_sub(segment.svma).is_some_and(|into| into < segment.memory));
    is_mapped.then_some(0)
}

#[cfg(test)]
pub(super) mod tests;
