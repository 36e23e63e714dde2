//! Names for addresses. The only module that names blazesym.
//!
//! Addresses are file offsets in files that are held open since the target had them mapped, so a target that has
//! ended, lives in another mount namespace, or whose files were replaced is named as well as any other.

mod debug_file;

use std::{path::PathBuf, sync::Arc};

use blazesym::symbolize::{
    CodeInfo, Input, Sym, Symbolized, Symbolizer as Blazesym,
    source::{Elf, Source},
};
use rustc_hash::FxHashMap;

use self::debug_file::{DEBUG_DIRECTORIES, DebugFile};
use crate::{
    process::{Location, Module},
    profile::Frame,
};

/// Longest name that is kept, in bytes. Names of C++ templates can have many thousands.
const MAX_NAME: usize = 4096;

/// Most frames kept for one address. Compilers inline a few dozen calls into each other; debug information of a hostile
/// target may claim any number, and every stack through the address would repeat them.
const MAX_INLINED: usize = 256;

/// Names locations, each once.
#[derive(Debug)]
pub struct Symbolizer {
    names: FxHashMap<Location, Vec<Frame>>,
    debug_directories: Vec<PathBuf>,
}

impl Default for Symbolizer {
    fn default() -> Self {
        Self::new(DEBUG_DIRECTORIES.iter().map(PathBuf::from).collect())
    }
}

impl Symbolizer {
    /// A symbolizer that looks for debug files below these directories.
    pub fn new(debug_directories: Vec<PathBuf>) -> Self {
        Self {
            names: FxHashMap::default(),
            debug_directories,
        }
    }

    /// Takes names that are known already, as a recording has them, within the bounds of those that are found.
    pub fn with_names(names: impl IntoIterator<Item = (Location, Vec<Frame>)>) -> Self {
        let names = names.into_iter().map(|(location, mut frames)| {
            frames.truncate(MAX_INLINED);
            let strings = frames.iter_mut().flat_map(|frame| {
                let module = Some(&mut frame.module);
                module.into_iter().chain(&mut frame.function).chain(&mut frame.file)
            });
            for string in strings.filter(|string| string.len() > MAX_NAME) {
                *string = bounded(string);
            }
            (location, frames)
        });
        Self {
            names: names.collect(),
            ..Self::default()
        }
    }

    /// The frames at a location: an inlined call first, the function that has code of its own last. Never empty.
    pub fn frames(&self, location: Location) -> Option<&[Frame]> {
        self.names.get(&location).map(Vec::as_slice)
    }

    /// Names all locations that have no names yet.
    pub fn resolve(&mut self, modules: &[Arc<Module>], locations: impl IntoIterator<Item = Location>) {
        let mut wanted: FxHashMap<u32, Vec<u64>> = FxHashMap::default();
        for location in locations {
            if !self.names.contains_key(&location) {
                wanted.entry(location.module).or_default().push(location.address);
            }
        }
        if wanted.is_empty() {
            return;
        }
        let blazesym = Blazesym::builder()
            .enable_code_info(true)
            .enable_inlined_fns(true)
            .enable_demangling(true)
            .set_debug_dirs(Some(&self.debug_directories))
            .build();
        for (index, mut addresses) in wanted {
            addresses.sort_unstable();
            addresses.dedup();
            let module = modules.get(index as usize);
            let named = module
                .and_then(|module| self.module(&blazesym, module, &addresses))
                .unwrap_or_default();
            let short = module.map_or("[unknown]", |module| module.short_name());
            for (at, address) in addresses.into_iter().enumerate() {
                let frames = named.get(at).filter(|frames| !frames.is_empty()).cloned();
                let frames = frames.unwrap_or_else(|| vec![unnamed(short, address)]);
                self.names.insert(Location { module: index, address }, frames);
            }
        }
    }

    /// The frames at offsets of one file, or `None` when the file cannot be understood.
    fn module(&self, blazesym: &Blazesym, module: &Module, offsets: &[u64]) -> Option<Vec<Vec<Frame>>> {
        let path = module.path()?;
        let short = module.short_name();
        let by_build_id = module
            .file()
            .and_then(|file| DebugFile::find(file, &self.debug_directories));
        if let Some(debug) = by_build_id {
            let svmas: Vec<u64> = offsets
                .iter()
                .map(|&offset| debug.svma(offset).unwrap_or(u64::MAX))
                .collect();
            let source = Source::from(Elf::new(&debug.path));
            if let Ok(found) = blazesym.symbolize(&source, Input::VirtOffset(&svmas)) {
                return Some(frames(&found, short, offsets));
            }
        }
        let mut elf = Elf::new(path);
        // Damaged debug information, or a debug file that is not of this build: the symbol table may still do.
        let with_debug = blazesym.symbolize(&Source::from(elf.clone()), Input::FileOffset(offsets));
        let found = with_debug.or_else(|error| {
            log::info!("{}: debug information cannot be used: {error:#}", module.name);
            elf.debug_syms = false;
            blazesym.symbolize(&Source::from(elf), Input::FileOffset(offsets))
        });
        match found {
            Ok(found) => Some(frames(&found, short, offsets)),
            Err(error) => {
                log::info!("{} has no usable symbols: {error:#}", module.name);
                None
            }
        }
    }
}

fn frames(found: &[Symbolized<'_>], module: &str, offsets: &[u64]) -> Vec<Vec<Frame>> {
    found
        .iter()
        .zip(offsets)
        .map(|(symbolized, &offset)| match symbolized {
            Symbolized::Sym(symbol) => chain(symbol, module, offset),
            Symbolized::Unknown(_) => Vec::new(),
        })
        .collect()
}

/// The inlined calls at an address, innermost first, then the function itself.
fn chain(symbol: &Sym<'_>, module: &str, offset: u64) -> Vec<Frame> {
    let frame = |name: &str, code: Option<&CodeInfo<'_>>, inlined| Frame {
        function: Some(bounded(name)),
        module: module.to_owned(),
        offset,
        file: code.map(|code| code.to_path().to_string_lossy().into_owned()),
        line: code.and_then(|code| code.line),
        inlined,
    };
    let mut chain: Vec<Frame> = symbol
        .inlined
        .iter()
        .rev()
        .take(MAX_INLINED - 1)
        .map(|call| frame(&call.name, call.code_info.as_ref(), true))
        .collect();
    chain.push(frame(&symbol.name, symbol.code_info.as_deref(), false));
    chain
}

fn unnamed(module: &str, offset: u64) -> Frame {
    Frame {
        function: None,
        module: module.to_owned(),
        offset,
        file: None,
        line: None,
        inlined: false,
    }
}

fn bounded(name: &str) -> String {
    if name.len() <= MAX_NAME {
        return name.to_owned();
    }
    format!("{}…", &name[..name.floor_char_boundary(MAX_NAME)])
}

#[cfg(test)]
mod tests;
