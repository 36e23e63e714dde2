//! How many records per second are decoded.

mod workload;

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use memtrace::decode::{decode, encode_stack};
use memtrace_common::event::Header;

fn records(criterion: &mut Criterion) {
    let records = workload::Program::start(1_000, |_| {}).records(10_000);
    let mut group = criterion.benchmark_group("decode");
    group.throughput(Throughput::Elements(records.len() as u64));
    group.bench_function("allocations and frees", |bencher| {
        bencher.iter(|| {
            records
                .iter()
                .filter(|record| decode(black_box(record)).is_ok())
                .count()
        });
    });
    group.finish();
}

fn stacks(criterion: &mut Criterion) {
    let header = Header {
        kind: 0,
        op: 0,
        flags: 0,
        pid: 4242,
        tid: 4242,
        incarnation: 1,
        time_ns: 1,
    };
    let mut group = criterion.benchmark_group("decode");
    group.throughput(Throughput::Elements(1));
    for depth in [16_u64, 127] {
        let frames: Vec<u64> = (0..depth).map(|frame| 0x7f00_0000_1000 + 0x40 * frame).collect();
        let record = encode_stack(header, &frames);
        group.bench_function(format!("stack of {depth} frames"), |bencher| {
            bencher.iter(|| decode(black_box(&record)).is_ok());
        });
    }
    group.finish();
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    records(&mut criterion);
    stacks(&mut criterion);
    criterion.final_summary();
}
