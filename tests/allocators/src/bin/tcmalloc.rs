//! Google's tcmalloc (not that of gperftools).

#[global_allocator]
static GLOBAL: tcmalloc_better::TCMalloc = tcmalloc_better::TCMalloc;

fn main() {
    memtrace_test_allocators::workload::run(|| (), &[]);
}
