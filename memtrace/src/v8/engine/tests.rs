use std::{
    fs,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use super::*;

/// Files with V8 that may be on this machine, with the version that node's number stands for.
pub(in crate::v8) fn engines() -> Vec<(PathBuf, Option<(u32, u32)>)> {
    let modules = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools/readers/node_modules");
    let known = [18, 20, 22, 24].into_iter().zip(KNOWN);
    let mut found: Vec<_> = known
        .map(|(node, version)| (modules.join(format!("node{node}/bin/node")), Some(version)))
        .collect();
    found.push(("/usr/bin/node".into(), None));
    found.retain(|(path, _)| path.exists());
    found
}

/// An engine that says so much of itself.
pub(in crate::v8) fn engine_of(version: Version, constants: &[(&str, i32)]) -> Engine {
    Engine {
        version,
        builtins: None,
        constants: constants.iter().map(|&(name, value)| (name.into(), value)).collect(),
        bytecode_sizes: None,
        operand_counts: None,
        group: None,
        segments: Vec::new(),
    }
}

fn found(path: &Path) -> Found {
    find(&File::open(path).unwrap())
}

#[test]
fn engines_of_this_machine_tell_their_version_and_their_constants() {
    let engines = engines();
    if engines.is_empty() {
        eprintln!("skipped: this machine has no node");
    }
    for (path, version) in engines {
        let engine = match found(&path) {
            Found::Engine(engine) => engine,
            // The system's node may be any.
            Found::Refused(why) if version.is_none() => {
                assert!(!why.is_empty());
                continue;
            }
            other => panic!("{}: {other:?}", path.display()),
        };
        let Version { major, minor, .. } = engine.version;
        assert!(
            version.is_none_or(|known| known == (major, minor)),
            "{}",
            path.display()
        );
        // The ABI of generated code on x86-64, and constants that have no bytes in the file.
        assert_eq!(engine.constant("off_fp_function"), Some(-16), "{}", path.display());
        assert_eq!(engine.constant("SmiTag"), Some(0), "{}", path.display());
        assert_eq!(engine.constant("SmiTagMask"), Some(1), "{}", path.display());
        assert_eq!(engine.constant("NoSuchThing"), None);
        if version.is_some() {
            let builtins = engine.builtins.unwrap();
            assert!(builtins.end - builtins.start > 1 << 20, "{builtins:?}");
        }
    }
}

#[test]
fn files_without_v8_are_passed_over() {
    assert_eq!(found(Path::new("/proc/self/exe")), Found::Nothing);
    assert_eq!(found(Path::new("/etc/passwd")), Found::Nothing);
}

#[test]
fn another_version_is_refused() {
    let Some((path, _)) = engines()
        .into_iter()
        .find(|(path, _)| matches!(found(path), Found::Engine(_)))
    else {
        eprintln!("skipped: this machine has no node");
        return;
    };
    let content = fs::read(&path).unwrap();
    let place = |name: &str| {
        let elf = Elf::parse(&*content).unwrap();
        elf.file_offset(elf.exported(name).unwrap().svma).unwrap()
    };
    let changed = |name: &str, value: i32| {
        let copy = tempfile::tempfile().unwrap();
        copy.write_all_at(&content, 0).unwrap();
        copy.write_all_at(&value.to_le_bytes(), place(name)).unwrap();
        find(&copy)
    };
    let refused = |found: Found, why: &str| {
        assert!(
            matches!(&found, Found::Refused(text) if text.contains(why)),
            "{found:?}"
        );
    };
    refused(changed(VERSION[0], 99), "it is V8 99.");
    refused(changed(VERSION[1], -1), "does not say which version");
    refused(changed(TAGGED_SIZE, 4), "compressed");
}
