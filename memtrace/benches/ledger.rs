//! How many records per second are decoded and applied on one core, what a snapshot takes, and how much memory a live
//! allocation takes.

mod workload;

use std::{process::Command, time::Duration};

use criterion::{Criterion, Throughput};
use memtrace::{
    decode::{Event, decode},
    ledger::{CallStack, Ledger, Limits},
    process::Location,
};
use memtrace_common::{
    Op,
    event::{Alloc, Fork, Header, Program},
    limits::COMMAND_BYTES,
};

/// Events applied together.
const BATCH: usize = 128;

/// A ledger that knows the stacks.
fn ledger() -> Ledger {
    let mut ledger = Ledger::new(Limits::default());
    for number in 1..=workload::STACKS {
        let id = workload::identity(number);
        ledger.add_stack(workload::PID, workload::INCARNATION, id, id, stack_of(number));
    }
    ledger
}

/// 20 frames.
fn stack_of(number: u64) -> CallStack {
    let locations = (0..20).map(|depth| Location {
        module: depth,
        address: number,
    });
    CallStack {
        locations: locations.collect(),
        whole: true,
    }
}

/// Random frees and allocations: 1,000 blocks fit the processor's nearest cache, 1,000,000 are far beyond all of them.
fn apply(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode and apply");
    for (name, live, steps) in [
        ("1,000 live blocks", 1_000, 10_000),
        ("1,000,000 live blocks", 1_000_000, 100_000),
    ] {
        let mut ledger = ledger();
        let mut program = workload::Program::start(live, |event| ledger.apply(event));
        let records = program.records(steps);
        group.throughput(Throughput::Elements(records.len() as u64));
        group.bench_function(name, |bencher| {
            let mut batch = Vec::with_capacity(BATCH);
            bencher.iter(|| {
                for records in records.chunks(BATCH) {
                    batch.clear();
                    batch.extend(records.iter().filter_map(|record| decode(record).ok()));
                    ledger.apply_all(&batch);
                }
            });
        });
        group.bench_function(format!("{name}, one at a time"), |bencher| {
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

/// What a live table or a report asks for.
fn snapshot(criterion: &mut Criterion) {
    let mut ledger = ledger();
    workload::Program::start(1_000_000, |event| ledger.apply(event));
    let now_ns = 1_000_000_000;
    ledger.sample(now_ns);
    criterion.bench_function("snapshot of 1,000,000 live blocks", |bencher| {
        bencher.iter(|| ledger.snapshot(0, now_ns, Duration::from_millis(500)));
    });
}

/// Processes that are forked, replace their program, allocate a little and end, as a build or a shell script makes them.
fn short_processes(criterion: &mut Criterion) {
    const STACKS: u32 = 20;
    const BLOCKS: u32 = 50;
    let mut ledger = ledger();
    let mut incarnation = workload::INCARNATION;
    let header = |pid, incarnation: u32| Header {
        kind: 0,
        op: Op::Malloc as u8,
        flags: 0,
        pid,
        tid: pid,
        incarnation,
        time_ns: incarnation.into(),
    };
    criterion.bench_function("a process of 20 stacks and 50 blocks", |bencher| {
        bencher.iter(|| {
            incarnation += 2;
            let pid = workload::PID + 1 + incarnation % 30_000;
            ledger.apply(&Event::Fork(Fork {
                header: header(workload::PID, workload::INCARNATION),
                child: pid,
                child_incarnation: incarnation,
            }));
            let header = header(pid, incarnation + 1);
            ledger.apply(&Event::Exec(Program {
                header,
                command: [0; COMMAND_BYTES],
            }));
            let id = |stack: u32| u64::from(incarnation) << 8 | u64::from(stack);
            for stack in 0..STACKS {
                let (id, stack) = (id(stack), stack_of(stack.into()));
                ledger.add_stack(pid, header.incarnation, id, id, stack);
            }
            for block in 0..BLOCKS {
                ledger.apply(&Event::Alloc(Alloc {
                    header,
                    address: 0x5000 + 32 * u64::from(block),
                    size: 32,
                    stack: id(block % STACKS),
                }));
            }
            ledger.apply(&Event::Exit(header));
            if incarnation % 256 == 1 {
                ledger.sample(incarnation.into());
            }
        });
    });
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

/// Names the number of live blocks to a process that measures its own memory.
const LIVE: &str = "MEMTRACE_BENCH_LIVE";

/// Memory per live block of one fill.
#[expect(
    clippy::print_stdout,
    reason = "criterion measures time only; this result is for the reader too"
)]
fn measure(live: usize) {
    let mut ledger = ledger();
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

/// Fills at which the index is about full and at which it has just grown; 7/8 of a power of two is where a hashbrown table
/// grows. Each in a process of its own: what one leaves to the heap would serve the next.
fn memory() {
    for live in [114_688, 114_689, 917_504, 917_505, 1_000_000, 1_835_009, 4_000_000] {
        let this = std::env::current_exe().expect("the name of this program");
        let status = Command::new(this).env(LIVE, live.to_string()).status();
        assert!(
            status.is_ok_and(|status| status.success()),
            "measuring {live} live blocks failed"
        );
    }
}

fn main() {
    if let Ok(live) = std::env::var(LIVE) {
        return measure(live.parse().expect("a number of blocks"));
    }
    memory();
    let mut criterion = Criterion::default().configure_from_args();
    apply(&mut criterion);
    snapshot(&mut criterion);
    short_processes(&mut criterion);
    criterion.final_summary();
}
