//! How long the unwind table of a file takes, and how large it is: of this machine's C library, and of the files in
//! `MEMTRACE_BENCH_FILES` (paths with colons between).

use std::{
    env,
    fs::{self, File},
    hint::black_box,
    path::{Path, PathBuf},
};

use criterion::{Criterion, Throughput};
use memtrace::unwind::{Pruning, Table};

/// The C library that this program itself runs with.
fn c_library() -> Option<PathBuf> {
    fs::read_to_string("/proc/self/maps")
        .ok()?
        .lines()
        .filter_map(|line| line.find('/').map(|at| PathBuf::from(&line[at..])))
        .find(|path| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with("libc.so"))
        })
}

#[expect(clippy::print_stdout, reason = "a benchmark's result")]
fn table(criterion: &mut Criterion, path: &Path) {
    let file = File::open(path).expect("a file to make a table of");
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    for pruning in [Pruning::None, Pruning::Calls] {
        let table = Table::build_with(&file, pruning, &[]).expect("a table");
        let kib = table.words().len() * 4 / 1024;
        println!("{name}, {pruning:?}: {:?}, {kib} KiB", table.counts());
    }
    let mut group = criterion.benchmark_group("unwind_table");
    group.throughput(Throughput::Bytes(file.metadata().map_or(0, |metadata| metadata.len())));
    group.sample_size(10);
    group.bench_function(&*name, |bencher| {
        bencher.iter(|| Table::build(black_box(&file)).map(|table| table.words().len()));
    });
    group.finish();
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let more = env::var_os("MEMTRACE_BENCH_FILES").unwrap_or_default();
    // Of nothing there is one path, which is empty.
    let more = env::split_paths(&more).filter(|path| !path.as_os_str().is_empty());
    for path in c_library().into_iter().chain(more) {
        table(&mut criterion, &path);
    }
    criterion.final_summary();
}
