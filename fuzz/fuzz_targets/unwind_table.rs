//! Makes a table of any bytes: `cargo +nightly fuzz run unwind_table`.

#![no_main]

mod check_unwind_table;

libfuzzer_sys::fuzz_target!(|file: &[u8]| check_unwind_table::check(file));
