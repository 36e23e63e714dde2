//! snmalloc through its interface for Rust.

#[global_allocator]
static GLOBAL: snmalloc_rs::SnMalloc = snmalloc_rs::SnMalloc::new();

fn main() {
    memtrace_test_allocators::workload::run(|| (), &[]);
}
