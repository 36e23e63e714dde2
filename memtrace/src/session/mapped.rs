//! The files of a profile.

use std::{collections::BTreeSet, fmt::Write as _};

use super::report::Raw;
use crate::{
    process::{FileBytes, Module, build_id},
    profile,
};

/// The files that the stacks go through, in the order in which they were found. Each is read for its build id.
pub(super) fn modules(raw: &Raw) -> Vec<profile::Module> {
    let used: BTreeSet<u32> = raw.snapshot.locations().map(|location| location.module).collect();
    let mut found = Vec::new();
    for module in used.into_iter().filter_map(|index| raw.modules.get(index as usize)) {
        let module = described(module);
        // One file can be many modules: a mapping of each process.
        if !found.contains(&module) {
            found.push(module);
        }
    }
    found
}

fn described(module: &Module) -> profile::Module {
    let id = module.file().and_then(|file| build_id(&FileBytes::new(file)));
    profile::Module {
        name: module.short_name().to_owned(),
        path: module.name.clone(),
        build_id: id.map(|id| hexadecimal(&id)),
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut digits, byte| {
            // Writing to a string does not fail.
            let _done = write!(digits, "{byte:02x}");
            digits
        })
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    fn the_build_id_of_a_file_is_found() {
        let path = std::env::current_exe().unwrap();
        let module = Module::of(path.display().to_string(), File::open(&path).unwrap());
        let described = described(&module);
        assert_eq!(described.path, module.name);
        assert_eq!(described.name, path.file_name().unwrap().to_str().unwrap());
        let expected = build_id(&FileBytes::new(module.file().unwrap()));
        assert_eq!(described.build_id.map(|id| id.len()), expected.map(|id| id.len() * 2));
    }

    #[test]
    fn digits_keep_their_zeros() {
        assert_eq!(hexadecimal(&[0x00, 0x0a, 0xff]), "000aff");
    }
}
