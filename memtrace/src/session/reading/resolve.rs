//! Names for what has none in a recording: from files of this machine that are the very ones, by their build ids.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
};

use rustc_hash::FxHashSet;

use super::super::naming;
use crate::{
    process::{Location, Module, build_id_digits},
    profile::{Frame, FrameKind},
    progress::{self, Total},
    store::{ModuleFacts, Names, content::NamedFrame},
    symbolize::Symbolizer,
};

/// Where names may be looked up.
#[derive(Clone, Debug, Default)]
pub struct Lookup {
    /// Directories with the files of the recorded machine, below which they are looked for by path and by build id.
    pub directories: Vec<PathBuf>,
    /// Whether debuginfod servers are asked.
    pub debuginfod: bool,
}

/// The locations of a block of names with their frames; what refers to nothing is left out.
pub(super) fn named(names: &Names) -> impl Iterator<Item = (Location, Vec<Frame>)> {
    let string = |number: u32| Some(names.strings.get((number as usize).checked_sub(1)?)?.clone());
    let frame = move |named: &NamedFrame| Frame {
        function: string(named.function),
        module: string(named.module).unwrap_or_default(),
        offset: named.offset,
        file: string(named.file),
        line: named.line,
        inlined: named.inlined,
        kind: FrameKind::Native,
    };
    names.locations.iter().filter_map(move |(module, address, frames)| {
        let frames: Vec<Frame> = frames
            .iter()
            .filter_map(|&number| names.frames.get(number as usize).map(frame))
            .collect();
        let location = Location {
            module: *module,
            address: *address,
        };
        // Without a name it is looked up again.
        let is_named = frames.last().is_some_and(|frame| frame.function.is_some());
        is_named.then_some((location, frames))
    })
}

impl Symbolizer {
    /// Names those locations that have no name yet, as far as the files of their modules are found here.
    pub(super) fn look_up(
        &mut self,
        modules: &[ModuleFacts],
        locations: impl Iterator<Item = Location>,
        lookup: &Lookup,
    ) {
        let missing: Vec<Location> = locations.filter(|&at| self.frames(at).is_none()).collect();
        let wanted: FxHashSet<u32> = missing.iter().map(|at| at.module).collect();
        self.look_below(lookup.directories.iter().cloned());
        let mut found = Vec::with_capacity(modules.len());
        let total = Total::Of(modules.len() as u64, "files");
        let stage = progress::stage(
            if lookup.debuginfod {
                "asking debuginfod"
            } else {
                "looking for files"
            },
            total,
        );
        for (number, facts) in (0..).zip(modules) {
            stage.at(u64::from(number));
            let file = wanted.contains(&number).then(|| find(facts, lookup)).flatten();
            if let Some(cache) = file.as_ref().and_then(|_| cached_debug_file(facts, lookup)) {
                self.look_below([cache]);
            }
            found.push(Arc::new(match file {
                Some(file) => Module::of(facts.name.clone(), file),
                None => Module::without_file(facts.name.clone()),
            }));
        }
        drop(stage);
        naming::resolve(self, &found, missing);
    }
}

/// The very file that was recorded, if it is here: a file without build id is never taken for it.
fn find(facts: &ModuleFacts, lookup: &Lookup) -> Option<File> {
    let wanted = facts.build_id.as_deref()?;
    let name = facts.name.strip_suffix(" (deleted)").unwrap_or(&facts.name);
    let inside = Path::new(name).strip_prefix("/").ok();
    let below = lookup.directories.iter().flat_map(|directory| {
        let by_path = inside.map(|inside| directory.join(inside));
        let by_name = Path::new(name).file_name().map(|name| directory.join(name));
        by_path.into_iter().chain(by_name)
    });
    below
        .chain(inside.map(|_| PathBuf::from(name)))
        .find_map(|path| same(&path, wanted))
        .or_else(|| same(&from_debuginfod("executable", wanted, lookup)?, wanted))
}

/// The file, if it has this build id.
fn same(path: &Path, wanted: &str) -> Option<File> {
    // A pipe would make the reader wait.
    if !fs::metadata(path).ok()?.is_file() {
        return None;
    }
    let file = File::open(path).ok()?;
    (build_id_digits(&file)? == wanted).then_some(file)
}

/// The cache with the debug file of a module, which a server had.
fn cached_debug_file(facts: &ModuleFacts, lookup: &Lookup) -> Option<PathBuf> {
    let path = from_debuginfod("debuginfo", facts.build_id.as_deref()?, lookup)?;
    path.ancestors().nth(2).map(Path::to_owned)
}

/// A file as a server has it. elfutils' own client is asked, which knows servers, caches and timeouts (debuginfod-find(1)).
fn from_debuginfod(what: &str, build_id: &str, lookup: &Lookup) -> Option<PathBuf> {
    if !lookup.debuginfod || build_id.is_empty() || !build_id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let asked = Command::new("debuginfod-find")
        .args([what, build_id])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .inspect_err(|error| log::warn!("debuginfod-find (of elfutils) could not be started: {error}"))
        .ok()?;
    let path = String::from_utf8(asked.stdout).ok()?;
    asked.status.success().then(|| PathBuf::from(path.trim_end()))
}
