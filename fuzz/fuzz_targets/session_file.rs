//! Reads any bytes as a recording: `cargo +nightly fuzz run session_file`.
//!
//! Sums are checked before a block is unpacked, so bytes that were only changed would never get far: what is fuzzed are the
//! contents, to which right heads are put.

#![no_main]

use std::{io::Cursor, path::Path, sync::LazyLock, time::Duration};

use memtrace::{
    profile::{Settings, suppress::Suppressions},
    render,
    session::{Lookup, Moment, Part, Reading},
    store::block::{self, Blocks, Kind},
};

/// A recording whose beginning all others get: without one nothing is read.
const RECORDING: &[u8] = include_bytes!("../../tests/fixtures/ranges.memtrace");

/// The beginning of a file, up to its first block's end.
static BEGINNING: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut blocks = Blocks::open(Cursor::new(RECORDING)).expect("a recording");
    let head = blocks.next_head().expect("a whole recording").expect("a block");
    let content = blocks.content(&head).expect("a whole block");
    let mut file = block::file_head().to_vec();
    file.extend(block::encode(head.kind, head.time_ns, &content).expect("a block"));
    file
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    read(bytes);
    // Of each block its kind, the length of its content in two bytes, and the content: `recording_hostile` writes such files.
    let mut file = BEGINNING.clone();
    let mut rest = bytes;
    let mut time_ns = 0;
    while let Some((&[kind, low, high], after)) = rest.split_first_chunk::<3>() {
        let length = usize::from(u16::from_le_bytes([low, high]));
        let (content, after) = after.split_at(length.min(after.len()));
        rest = after;
        time_ns += 1000;
        file.extend(block::encode(Kind(u16::from(kind % 14)), time_ns, content).expect("a short block can be made"));
    }
    read(&file);
});

fn read(file: &[u8]) {
    for (to, min_age) in [(Moment::End, None), (Moment::Peak, Some(Duration::from_secs(1)))] {
        let Ok(mut reading) = Reading::new(Cursor::new(file), Path::new("fuzz")) else {
            return;
        };
        let part = Part {
            to,
            min_age,
            ..Part::default()
        };
        let settings = Settings {
            top: 10,
            min_age: Duration::ZERO,
            min_size: 0,
            suppressions: Suppressions::default(),
            fail_over: None,
            view: memtrace::profile::View::default(),
        };
        if let Ok(profile) = reading.profile(&part, settings, &Lookup::default()) {
            for file in render::FILES {
                let mut out = Vec::new();
                file.render(&profile, render::Options::default(), &mut out)
                    .expect("memory takes all");
            }
        }
    }
}
