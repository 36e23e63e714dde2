//! The source of a script, from the memory of its process, or from its file.
//!
//! The process goes on meanwhile and may move the source: it is believed only where the object that has it is still the same afterwards. A
//! file may have been changed since it was loaded: it is believed only where it is as long as what was loaded.

use std::{fs::File, io::Read as _, os::unix::fs::FileExt as _, path::Path};

use memtrace_common::{event::JavaScriptFunction, javascript::STRING_HEAD};

use crate::{
    process::files::{open_regular_in, open_root},
    v8::positions::{Lines, SOURCE},
};

/// Where the lines of a script begin; `name` is that of the script. `None` where its source cannot be read.
pub(super) fn lines(head: &JavaScriptFunction, told: &[u8], name: &str) -> Option<Lines> {
    if !told.is_empty() {
        return Lines::of(told, head.source_width);
    }
    let moved = || on_disk(head, name).and_then(|source| Lines::of(&source, 2));
    read(head)
        .and_then(|source| Lines::of(&source, head.source_width))
        .or_else(moved)
}

/// Reads the file that a script was loaded from, in UTF-16.
fn on_disk(head: &JavaScriptFunction, name: &str) -> Option<Vec<u8>> {
    let path = name.strip_prefix("file://").unwrap_or(name);
    if !path.starts_with('/') || !SOURCE.contains(&head.source_length) {
        return None;
    }
    let root = open_root(head.header.pid).ok()?;
    let file = open_regular_in(&root, Path::new(path)).ok()?;
    // A unit has three bytes of UTF-8 at most, and there may be a mark of the order of bytes.
    let most = 3 * u64::from(head.source_length) + 3;
    if file.metadata().ok()?.len() > most {
        return None;
    }
    let mut text = String::new();
    file.take(most).read_to_string(&mut text).ok()?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let units: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    (units.len() / 2 == usize::try_from(head.source_length).ok()?).then_some(units)
}

/// Reads it from memory; `None` where it cannot be read, or is not there any more.
fn read(head: &JavaScriptFunction) -> Option<Vec<u8>> {
    if head.source == 0 || !SOURCE.contains(&head.source_length) || !matches!(head.source_width, 1 | 2) {
        return None;
    }
    let memory = File::open(format!("/proc/{}/mem", head.header.pid)).ok()?;
    let length = usize::try_from(head.source_length).ok()? * usize::from(head.source_width);
    let mut bytes = vec![0; length];
    memory.read_exact_at(&mut bytes, head.source).ok()?;
    is_same(&memory, head)?.then_some(bytes)
}

/// Whether the object is of the same map, and not shorter than what was read of it.
fn is_same(memory: &File, head: &JavaScriptFunction) -> Option<bool> {
    if head.source_object == 0 {
        return Some(true);
    }
    let mut object = [[0; 8]; 2];
    memory
        .read_exact_at(object.as_flattened_mut(), head.source_object)
        .ok()?;
    let [map, head_word] = object.map(u64::from_le_bytes);
    // After the map come the hash, which may be worked out at any time, and the length.
    const { assert!(STRING_HEAD == 8) };
    Some(map == head.source_map && head_word >> 32 >= u64::from(head.source_length))
}

#[cfg(test)]
mod tests {
    use super::{super::functions, *};

    /// What is told of a script of so many units that lies nowhere any more.
    fn head(source_length: u32) -> JavaScriptFunction {
        JavaScriptFunction {
            source: 8,
            source_object: 8,
            source_length,
            ..functions::tests::head(1)
        }
    }

    #[test]
    fn what_has_moved_is_read_from_its_file_if_that_is_as_long() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.js");
        std::fs::write(&path, "\u{feff}größe();\nf();\n").unwrap();
        let name = path.to_str().unwrap();
        let found = lines(&head(14), b"", name).unwrap();
        assert_eq!(found.place(9), (2, 1));
        assert_eq!(lines(&head(14), b"", &format!("file://{name}")), Some(found));
        for (length, name) in [
            (13, name),
            (15, name),
            (14, "node:fs"),
            (14, "/dev/zero"),
            (14, "/no/such/file"),
            (0, name),
        ] {
            assert_eq!(lines(&head(length), b"", name), None, "{length} {name}");
        }
    }
}
