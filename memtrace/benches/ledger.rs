//! How many records per second are decoded and applied on one core, and how much memory a live allocation takes.

mod workload;

use criterion::{Criterion, Throughput};
use memtrace::{
    decode::decode,
    ledger::{Ledger, Limits},
};

/// Random frees and allocations: `hot` fits the processor's nearest cache, the other is far beyond all of them.
fn apply(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode and apply");
    for (name, live, steps) in [
        ("1,000 live blocks", 1_000, 10_000),
        ("1,000,000 live blocks", 1_000_000, 100_000),
    ] {
        let mut ledger = Ledger::new(Limits::default());
        let mut program = workload::Program::start(live, |event| ledger.apply(event));
        let records = program.records(steps);
        group.throughput(Throughput::Elements(records.len() as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                for record in &records {
                    if let Ok(event) = decode(record) {
                        ledger.apply(&event);
                    }
                }
            });
        });
    }
    group.finish();
}

/// Resident memory of this process in bytes.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("/proc is there");
    let pages: u64 = statm
        .split_whitespace()
        .nth(1)
        .and_then(|pages| pages.parse().ok())
        .expect("resident pages");
    pages * 4096
}

/// Memory per live block, at fills where the table is about full and where it has just grown.
#[expect(
    clippy::print_stdout,
    reason = "criterion measures time only; this result is for the reader too"
)]
fn memory() {
    // 7/8 of a power of two is where a hashbrown table grows.
    for live in [1_000_000, 1_835_008, 1_835_009, 2_100_000] {
        let mut ledger = Ledger::new(Limits::default());
        // The program's own list of places comes first, not to be counted.
        let mut before = None;
        let program = workload::Program::start(live, |event| {
            before.get_or_insert_with(resident);
            ledger.apply(event);
        });
        let grown = resident().saturating_sub(before.unwrap_or(0));
        println!(
            "memory per live block, {live} live: {:.1} bytes",
            grown as f64 / live as f64
        );
        drop((program, ledger));
    }
}

fn main() {
    memory();
    let mut criterion = Criterion::default().configure_from_args();
    apply(&mut criterion);
    criterion.final_summary();
}
