//! Reads any bytes as a recording: `cargo +nightly fuzz run session_file`.
//!
//! Sums are checked before a block is unpacked, so bytes that were only changed would never get far: what is fuzzed are the
//! contents, to which right heads are put.

#![no_main]

use std::{io::Cursor, path::Path, time::Duration};

use memtrace::{
    profile::{Settings, suppress::Suppressions},
    render,
    session::{Lookup, Moment, Part, Reading},
    store::block::{self, Kind},
};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    read(bytes);
    // Kind and length of each content, then the content.
    let mut file = block::file_head().to_vec();
    let mut rest = bytes;
    let mut time_ns = 0;
    while let Some((&[kind, length], after)) = rest.split_first_chunk::<2>() {
        let (content, after) = after.split_at(usize::from(length).min(after.len()));
        rest = after;
        time_ns += 1000;
        let block = block::encode(Kind(u16::from(kind % 12)), time_ns, content);
        file.extend(block.expect("a short block can be made"));
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
