//! Which files tell the names in a module, best first.

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use super::{
    binary::Binary,
    bounds::Bounds,
    debug_file,
    engine::{Engine, Name},
};
use crate::process::{Module, files::descriptor_path};

/// Most bytes that the compressed sections of a file may claim to unpack to. A debug build of Chromium has about 2 GiB
/// of debug information.
const MAX_UNPACKED_BYTES: u64 = 4 << 30;

/// The files that tell the names in one module.
#[derive(Debug)]
pub(super) struct Sources {
    /// The module itself, by which offsets become addresses (svma).
    binary: Binary,
    attempts: Vec<Attempt>,
}

/// One way to get names.
#[derive(Debug)]
struct Attempt {
    /// Whether DWARF is read, or the symbol tables only.
    dwarf: bool,
    /// Length of the file when it was first looked at, in bytes.
    length: u64,
    /// A handle of our own.
    file: File,
}

impl Sources {
    /// Finds out where the names of a module are; `None` for a module that cannot be read.
    pub(super) fn of(module: &Module, directories: &[PathBuf], bounds: &mut Bounds) -> Option<Self> {
        let file = module.file()?;
        let binary = Binary::read(file)?;
        let mut attempts = Vec::new();
        // What it has in itself is enough only when it has DWARF.
        if !binary.dwarf {
            let found = debug_file::find(&binary, Path::new(&module.name), module.root(), directories);
            attempts.extend(found.and_then(|found| {
                let dwarf = may_read_dwarf(&found.binary, found.trusted) && (found.trusted || bounds.hold(&found.file));
                let length = found.file.metadata().ok()?.len();
                may_read(&found.binary).then_some(Attempt {
                    dwarf,
                    length,
                    file: found.file,
                })
            }));
        }
        let ways = [true, false]
            .into_iter()
            .filter(|&dwarf| may_read(&binary) && (!dwarf || may_read_dwarf(&binary, false) && bounds.hold(file)));
        for dwarf in ways {
            attempts.push(Attempt {
                dwarf,
                length: file.metadata().ok()?.len(),
                file: file.try_clone().ok()?,
            });
        }
        Some(Self { binary, attempts })
    }

    /// Names of the offsets in the module's file, innermost first.
    pub(super) fn names(&self, engine: &mut Engine<'_>, offsets: &[u64]) -> Vec<Vec<Name>> {
        let mut names = vec![Vec::new(); offsets.len()];
        let mut missing: Vec<(usize, u64)> = offsets
            .iter()
            .enumerate()
            .filter_map(|(index, &offset)| Some((index, self.binary.svma(offset)?)))
            .collect();
        for attempt in &self.attempts {
            if missing.is_empty() {
                break;
            }
            if !attempt.is_whole() {
                continue;
            }
            let svmas: Vec<_> = missing.iter().map(|&(_, svma)| svma).collect();
            let found = engine.names(&descriptor_path(&attempt.file), attempt.dwarf, &svmas);
            for (&(index, _), found) in missing.iter().zip(found) {
                if has_function(&found) || names[index].is_empty() {
                    names[index] = found;
                }
            }
            missing.retain(|&(index, _)| !has_function(&names[index]));
        }
        names
    }
}

/// Whether the function itself has a name: a source line alone is less than a symbol from a poorer source.
fn has_function(names: &[Name]) -> bool {
    names.last().is_some_and(|name| name.function.is_some())
}

impl Attempt {
    /// Whether the file is at least as long as it was. blazesym maps files, and reading a mapping beyond the end of a file
    /// that shrank would end memtrace with SIGBUS: a program that is rebuilt in place while it is observed must not do
    /// that.
    fn is_whole(&self) -> bool {
        self.file.metadata().is_ok_and(|metadata| metadata.len() >= self.length)
    }
}

/// Whether blazesym may read a file at all: it unpacks any section that is compressed, and must not fill the memory.
const fn may_read(binary: &Binary) -> bool {
    binary.unpacked_bytes <= MAX_UNPACKED_BYTES
}

/// Whether blazesym may read the debug information of a file. It follows links to further files wherever they lead, so a
/// file may have them only when this system's administrator has installed it.
const fn may_read_dwarf(binary: &Binary, trusted: bool) -> bool {
    binary.dwarf && binary.link.is_none() && (trusted || !binary.supplement)
}
