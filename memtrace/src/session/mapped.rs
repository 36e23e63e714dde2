//! The files of a profile.

use std::collections::BTreeSet;

use super::report::Raw;
use crate::{
    process::{Module, build_id_digits},
    profile,
    store::ModuleFacts,
};

/// The files that the stacks go through, in the order in which they were found. Each is read for its build id, unless a recording
/// has it.
pub(super) fn modules(raw: &Raw) -> Vec<profile::Module> {
    let used: BTreeSet<u32> = raw.snapshot.locations().map(|location| location.module).collect();
    let mut found = Vec::new();
    for index in used {
        let mapped = raw.modules.get(index as usize).map(|module| facts(module));
        let Some(facts) = mapped.or_else(|| raw.recorded.get(index as usize).cloned()) else {
            continue;
        };
        let module = profile::Module {
            name: Module::short(&facts.name).to_owned(),
            path: facts.name,
            build_id: facts.build_id,
        };
        // One file can be many modules: a mapping of each process.
        if !found.contains(&module) {
            found.push(module);
        }
    }
    found
}

/// What is kept of a module.
pub(super) fn facts(module: &Module) -> ModuleFacts {
    let file = module.file();
    ModuleFacts {
        name: module.name.clone(),
        build_id: file.and_then(build_id_digits),
        size: file.and_then(|file| Some(file.metadata().ok()?.len())),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    fn the_build_id_of_a_file_is_found() {
        let path = std::env::current_exe().unwrap();
        let file = File::open(&path).unwrap();
        let length = file.metadata().unwrap().len();
        let module = Module::of(path.display().to_string(), file);
        let facts = facts(&module);
        assert_eq!((&facts.name, facts.size), (&module.name, Some(length)));
        assert_eq!(facts.build_id, build_id_digits(module.file().unwrap()));
    }
}
