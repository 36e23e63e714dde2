//! Names for addresses.
//!
//! Addresses are file offsets in files that are held open since the target had them mapped, so a target that has
//! ended, lives in another mount namespace, or whose files were replaced is named as well as any other. The files are
//! hostile: whatever is in them, a frame comes out, at worst one without a name.

mod binary;
mod bounds;
mod debug_file;
mod demangle;
mod engine;
mod sources;

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustc_hash::FxHashMap;

use self::{
    binary::Binary,
    bounds::Bounds,
    debug_file::DEBUG_DIRECTORIES,
    demangle::limit,
    engine::{Engine, MAX_INLINED, Name},
    sources::Sources,
};
use crate::{
    process::{Location, Module},
    profile::{Frame, FrameKind},
};

/// Names locations, each once.
#[derive(Debug)]
pub struct Symbolizer {
    names: FxHashMap<Location, Vec<Frame>>,
    bounds: Bounds,
    debug_directories: Vec<PathBuf>,
}

/// The separate debug file of a module, if it is installed and belongs to it.
pub fn debug_file(module: &Module) -> Option<File> {
    let directories: Vec<PathBuf> = DEBUG_DIRECTORIES.iter().map(PathBuf::from).collect();
    let binary = Binary::read(module.file()?)?;
    debug_file::find(&binary, Path::new(&module.name), module.root(), &directories).map(|found| found.file)
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
            bounds: Bounds::default(),
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
            for string in strings {
                *string = limit(string);
            }
            (location, frames)
        });
        Self {
            names: names.collect(),
            ..Self::default()
        }
    }

    /// Takes names that are known already of what is in no file.
    pub fn add_names(&mut self, names: impl IntoIterator<Item = (Location, Vec<Frame>)>) {
        self.names.extend(names);
    }

    /// Looks for debug files below these directories too, before all others.
    pub fn look_below(&mut self, directories: impl IntoIterator<Item = PathBuf>) {
        for directory in directories {
            if !self.debug_directories.contains(&directory) {
                self.debug_directories.insert(0, directory);
            }
        }
    }

    /// The frames at a location: an inlined call first, the function that has code of its own last. Never empty.
    pub fn frames(&self, location: Location) -> Option<&[Frame]> {
        self.names.get(&location).map(Vec::as_slice)
    }

    /// Names all locations that have no names yet.
    pub fn resolve(&mut self, modules: &[Arc<Module>], locations: impl IntoIterator<Item = Location>) {
        self.resolve_telling(modules, locations, |_, _| ());
    }

    /// The same; `tell` is told before each module of how many addresses, and of how many in all, names have been looked up.
    pub fn resolve_telling(
        &mut self,
        modules: &[Arc<Module>],
        locations: impl IntoIterator<Item = Location>,
        tell: impl Fn(u64, u64),
    ) {
        let mut wanted: FxHashMap<u32, Vec<u64>> = FxHashMap::default();
        for location in locations {
            if !self.names.contains_key(&location) {
                wanted.entry(location.module).or_default().push(location.address);
            }
        }
        let (mut done, total) = (0, wanted.values().map(|addresses| addresses.len() as u64).sum());
        for (index, mut addresses) in wanted {
            tell(done, total);
            done += addresses.len() as u64;
            addresses.sort_unstable();
            addresses.dedup();
            let module = modules.get(index as usize);
            let short = module.map_or("[unknown]", |module| module.short_name());
            let sources = module.and_then(|module| Sources::of(module, &self.debug_directories, &mut self.bounds));
            let names = match sources {
                // One for each module: what it keeps of a file, descriptors too, is given back.
                Some(sources) => sources.names(&mut Engine::new(&self.debug_directories), &addresses),
                None => vec![Vec::new(); addresses.len()],
            };
            for (address, names) in addresses.into_iter().zip(names) {
                self.names
                    .insert(Location { module: index, address }, frames(short, address, names));
            }
        }
    }
}

/// Frames of one address; the names are innermost first.
fn frames(module: &str, offset: u64, names: Vec<Name>) -> Vec<Frame> {
    let unnamed = Frame {
        function: None,
        module: module.to_owned(),
        offset,
        file: None,
        line: None,
        inlined: false,
        kind: FrameKind::Native,
    };
    let Some(last) = names.len().checked_sub(1) else {
        return vec![unnamed];
    };
    let frame = |(index, Name { function, file, line })| Frame {
        function,
        file,
        line,
        inlined: index < last,
        ..unnamed.clone()
    };
    names.into_iter().enumerate().map(frame).collect()
}

#[cfg(test)]
mod tests;
