//! Reads any bytes as a list of mappings: `cargo +nightly fuzz run smaps`.

#![no_main]

use memtrace::process::smaps;

libfuzzer_sys::fuzz_target!(|text: &[u8]| {
    if let Ok(entries) = smaps::parse(text) {
        assert!(entries.iter().all(|entry| entry.start < entry.end));
        assert!(entries.windows(2).all(|pair| pair[0].end <= pair[1].start));
    }
});
