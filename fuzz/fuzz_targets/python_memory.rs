//! Reads a Python stack out of any memory, by any layout: `cargo +nightly fuzz run python_memory`.
//!
//! Every word of the memory is one of those that the input has, chosen by its address: so what looks like a frame leads to another.

#![no_main]

use memtrace::{
    process::metered::{Allowance, Fill},
    python::{lines::Form, read::stack},
};
use memtrace_common::python::Layout;

const ALLOWED: Allowance = Allowance {
    entries: 1000,
    bytes: 1 << 20,
};

struct Words<'a>(&'a [u8]);

impl Fill for Words<'_> {
    fn fill(&self, address: u64, bytes: &mut [u8]) -> bool {
        let words: Vec<&[u8]> = self.0.chunks_exact(8).collect();
        if words.is_empty() || address >> 60 != 0 {
            return false;
        }
        let mut at = address;
        for chunk in bytes.chunks_mut(8) {
            let hash = at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
            let word = words[hash as usize % words.len()];
            chunk.copy_from_slice(&word[..chunk.len()]);
            at = at.wrapping_add(8);
        }
        true
    }
}

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let Some((layout, words)) = input.split_at_checked(size_of::<Layout>()) else {
        return;
    };
    let layout: Layout = bytemuck::pod_read_unaligned(layout);
    let thread = words.first_chunk::<8>().map_or(0, |word| u64::from_le_bytes(*word));
    for form in [Form::Advances, Form::Ranges, Form::Locations] {
        let mut allowance = ALLOWED;
        if let Some(stack) = stack(&Words(words), &layout, form, thread, &mut allowance) {
            assert!(stack.entries.len() <= ALLOWED.entries && stack.frames.len() <= stack.entries.len());
        }
    }
});
