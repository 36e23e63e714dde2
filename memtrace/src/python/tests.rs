use std::{fs, io::Write as _, path::PathBuf};

use proptest::prelude::*;

use super::*;

/// Interpreters that may be on this machine, with their versions: Debian's and those that pyenv has built.
pub(super) fn interpreters() -> Vec<(PathBuf, Option<String>)> {
    let mut found = vec![];
    for minor in 8..=14 {
        found.push((PathBuf::from(format!("/usr/bin/python3.{minor}")), None));
    }
    let home = std::env::var_os("HOME").map_or_else(|| PathBuf::from("/root"), PathBuf::from);
    for version in fs::read_dir(home.join(".pyenv/versions"))
        .into_iter()
        .flatten()
        .flatten()
    {
        let name = version.file_name().to_string_lossy().into_owned();
        let minor: Vec<&str> = name.split('.').take(2).collect();
        let minor = minor.join(".");
        for file in [
            format!("lib/libpython{minor}.so.1.0"),
            format!("lib/libpython{minor}m.so.1.0"),
        ] {
            found.push((version.path().join(file), Some(name.clone())));
        }
    }
    found.retain(|(path, _)| path.exists());
    found
}

#[test]
fn interpreters_of_this_machine_tell_their_version_and_others_are_refused() {
    let mut seen = 0;
    for (path, version) in interpreters() {
        let found = find(&File::open(&path).unwrap());
        let known = version.as_deref().is_none_or(|version| {
            let minor = version.split('.').nth(1).and_then(|minor| minor.parse::<u8>().ok());
            minor.is_some_and(|minor| offsets::KNOWN.contains(&minor))
        });
        match found {
            Found::Interpreter(found) if known => {
                seen += 1;
                if let Some(version) = version {
                    assert_eq!(found.version.to_string(), version);
                }
                assert!(!found.evaluator.is_empty(), "{}", path.display());
                let table = offsets::of(found.version.minor).unwrap();
                assert_eq!(found.offsets, table, "{}: what it says of itself", path.display());
            }
            // 3.7 is the first to export `_PyRuntime`.
            Found::Refused(why) if !known => assert!(why.contains("3.8 to 3.10"), "{why}"),
            Found::Nothing if !known => {}
            other => panic!("{}: {other:?}", path.display()),
        }
    }
    if seen == 0 {
        eprintln!("skipped: this machine has no CPython from 3.8 to 3.14");
    }
}

#[test]
fn this_c_library_tells_where_threads_have_their_keys() {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let libc = maps
        .lines()
        .find_map(|line| Some(line.split_whitespace().nth(5)?).filter(|path| path.contains("libc.so")));
    let Some(libc) = libc else {
        eprintln!("skipped: this program has no glibc");
        return;
    };
    let Found::Threads(keys) = find(&File::open(libc).unwrap()) else {
        panic!("{libc} does not tell");
    };
    // The first block of 32 keys is part of the descriptor, and a key has a sequence number and a value.
    assert_eq!((keys.block_shift, keys.entry_bytes, keys.value), (5, 16, 8), "{keys:?}");
    assert!(keys.block_count >= 32 && keys.blocks > 0x310, "{keys:?}");
}

#[test]
fn versions_that_are_not_known_are_refused_by_their_offsets_and_by_their_words() {
    assert!(offsets::of(7).is_none() && offsets::of(15).is_none());
    let version = Version { minor: 14, micro: 0 };
    let mut words = vec![0_u64; debug_offsets::WORDS];
    words[0] = u64::from_le_bytes(*b"xdebugpy");
    words[1] = 0x030e_00f0;
    let apply = |words: &[u64]| {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let mut offsets = offsets::of(14).unwrap();
        debug_offsets::apply(version, &bytes, &mut offsets).map(|()| offsets)
    };
    let table = offsets::of(14).unwrap();
    for (index, offset) in [
        (26, table.state.top),
        (27, table.state.thread_id),
        (32, table.frame.previous),
        (33, table.frame.code),
        (34, table.frame.position_at),
        (36, table.frame.boundary_at),
        (40, table.code.file),
        (42, table.code.name),
        (43, table.code.table),
        (44, table.code.first_line),
        (48, table.code.start),
    ] {
        words[index] = offset.into();
    }
    assert_eq!(apply(&words).unwrap(), table);
    let changed = |index: usize, value: u64| {
        let mut words = words.clone();
        words[index] = value;
        apply(&words).unwrap_err()
    };
    assert!(changed(0, 0).contains("debug offsets"));
    assert!(changed(1, 0x030d_00f0).contains("another version"));
    assert!(changed(2, 1).contains("GIL"));
    assert!(changed(26, 1 << 40).contains("out of range"));
    assert!(changed(48, 250).contains("out of range"));
    assert!(apply(&[]).is_err());
}

#[test]
fn a_layout_is_moved_to_where_the_file_is_mapped() {
    let interpreter = Interpreter {
        version: Version { minor: 11, micro: 7 },
        evaluator: vec![0x1000..0x2000, 0x5000..0x5100],
        runtime: 0x9000,
        code_type: 0x8000,
        offsets: offsets::of(11).unwrap(),
        segments: vec![(0x1800, 0x1000, 0x2800)],
    };
    let layout = interpreter
        .layout(0x7f00_0000_2000, 0x1000, KeyLayout::default())
        .unwrap();
    assert_eq!(layout.key, 0x7f00_0000_0000 + 0x9000 + 0x250);
    assert_eq!(layout.code_type, 0x7f00_0000_8000);
    assert_eq!(interpreter.layout(0x7000, 0x3000, KeyLayout::default()), None);
    assert!(interpreter.evaluates(0x1000) && interpreter.evaluates(0x50ff) && !interpreter.evaluates(0x2000));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn damaged_files_are_survived(at in proptest::collection::vec((0_usize..4096, any::<u8>()), 1..40), cut in 0_usize..200_000) {
        // The C library: small, and with all that is looked for in one kind of file.
        let Ok(mut bytes) = fs::read("/lib/x86_64-linux-gnu/libc.so.6") else { return Ok(()) };
        let length = bytes.len();
        for (place, value) in at {
            // Headers at both ends.
            bytes[place] = value;
            bytes[length - 1 - place] = value;
        }
        bytes.truncate(length - cut.min(length));
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        let _any = find(&file);
    }
}
