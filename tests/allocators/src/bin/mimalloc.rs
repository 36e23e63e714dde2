//! mimalloc, linked statically under its own names.

#[global_allocator]
static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    memtrace_test_allocators::workload::run(|| (), &[]);
}
