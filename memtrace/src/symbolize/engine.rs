//! The only place that names blazesym.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use blazesym::symbolize::{
    CodeInfo, Input, Sym, Symbolized, Symbolizer,
    source::{Elf, Source},
};

use super::demangle::{demangle, limit};

/// Most names for one address. Compilers inline a few dozen calls into each other; debug information of a hostile target
/// may claim any number, and every stack through the address would repeat them.
pub(super) const MAX_INLINED: usize = 256;

/// What is known of one frame.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Name {
    pub(super) function: Option<String>,
    pub(super) file: Option<String>,
    pub(super) line: Option<u32>,
}

/// Reads the symbols and the DWARF of the files of one module.
pub(super) struct Engine<'a> {
    symbolizer: Symbolizer,
    directories: &'a [PathBuf],
}

impl<'a> Engine<'a> {
    /// Debug files are found and verified by `debug_file`; the directories are for what debug files share
    /// (`.gnu_debugaltlink`).
    pub(super) fn new(directories: &'a [PathBuf]) -> Self {
        // A path is a descriptor of ours that always leads to the same file.
        let builder = Symbolizer::builder().enable_auto_reload(false).enable_demangling(false);
        Self {
            symbolizer: builder.set_debug_dirs(Some(directories)).build(),
            directories,
        }
    }

    /// Names of the addresses (svma) in one file, innermost first; an empty list for an address without a symbol.
    /// `dwarf` is whether debug information is used.
    pub(super) fn names(&mut self, path: &Path, dwarf: bool, svmas: &[u64]) -> Vec<Vec<Name>> {
        let source = Source::Elf(Elf {
            debug_syms: dwarf,
            ..Elf::new(path)
        });
        // A parser that meets a malformed file for the first time may panic. That costs the names of this file and not
        // the report; what the parser kept may be half made, so it starts anew.
        let result = catch_unwind(AssertUnwindSafe(|| {
            self.symbolizer
                .symbolize(&source, Input::VirtOffset(svmas))
                .map(|found| {
                    let names: Vec<_> = found.iter().map(names).collect();
                    names
                })
        }));
        match result {
            Ok(Ok(found)) if found.len() == svmas.len() => return found,
            Ok(Ok(_)) => {}
            Ok(Err(error)) => log::info!("{} has no usable symbols: {error:#}", path.display()),
            Err(_panic) => {
                log::warn!(
                    "the symbols of {} could not be read: the parser panicked",
                    path.display()
                );
                *self = Self::new(self.directories);
            }
        }
        vec![Vec::new(); svmas.len()]
    }
}

/// The inlined calls at an address, innermost first, then the function itself.
fn names(symbolized: &Symbolized<'_>) -> Vec<Name> {
    let Symbolized::Sym(Sym {
        name,
        code_info,
        inlined,
        ..
    }) = symbolized
    else {
        return Vec::new();
    };
    let inner = inlined
        .iter()
        .rev()
        .take(MAX_INLINED - 1)
        .map(|call| make(&call.name, call.code_info.as_ref()));
    inner.chain([make(name, code_info.as_deref())]).collect()
}

fn make(name: &str, code: Option<&CodeInfo<'_>>) -> Name {
    Name {
        function: (!name.is_empty()).then(|| demangle(name)),
        file: code.map(|code| limit(&code.to_path().to_string_lossy())),
        line: code.and_then(|code| code.line),
    }
}
