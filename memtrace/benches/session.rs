//! What reading a large recording takes: 10,000,000 allocations at 100,000 sites over a thousand seconds, with every event and without.
//!
//! Time and memory are those of a process of its own, as a user has it.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use criterion::Criterion;
use memtrace::{
    decode::{Event, encode},
    ledger::{CallStack, Ledger, Limits},
    process::Location,
    profile::{End as Ended, Frame, FrameKind, Target, resident::Effort},
    store::{
        Contents, End, FileWriter, ModuleFacts, Series, Start,
        content::{self, Sums},
        frames::FrameWriter,
        names,
    },
};
use memtrace_common::{
    Op,
    event::{Alloc, Free, Header, Kind},
    identity::Identity,
};
use nix::sys::resource::{UsageWho, getrusage};

const EVENTS: u64 = 10_000_000;
const SITES: u64 = 100_000;
/// Blocks that are live at any time.
const LIVE: u64 = 200_000;
/// Frames of each stack.
const DEPTH: u64 = 20;
const MOMENTS: u64 = 1_000;
const PID: u32 = 4242;
const INCARNATION: u32 = 1;

/// `SplitMix64` (Steele, Lea, Flood, OOPSLA 2014): the same in every run.
const fn random(number: u64) -> u64 {
    let mut mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

/// Places in code, of all stacks together: as many as a large program calls from.
const PLACES: u64 = 60_000;

/// Stacks share their outer frames, as those of a program do: two of each level have one caller.
fn stack(site: u64) -> CallStack {
    let location = |level: u64| {
        let path = site >> (DEPTH - 1 - level).min(63);
        let place = random(path << 8 | level) % (PLACES / DEPTH);
        Location {
            module: u32::try_from(level % 3).unwrap_or(0),
            address: level << 32 | place << 4,
        }
    };
    CallStack {
        locations: (0..DEPTH).rev().map(location).collect(),
        whole: true,
    }
}

fn start() -> Start {
    Start {
        memtrace: "bench".to_owned(),
        host: String::new(),
        kernel: String::new(),
        architecture: std::env::consts::ARCH.to_owned(),
        command_line: Vec::new(),
        began_unix_ns: 0,
        utc_offset_seconds: 0,
        started_ns: 0,
        target: Target {
            selection: String::new(),
            pid: PID,
            command: "program".to_owned(),
            executable: "/program".to_owned(),
            build_id: None,
            allocators: Vec::new(),
            end: None,
        },
        min_age: Duration::from_secs(10),
        counters: Vec::new(),
        by_tables: true,
        sampling: None,
    }
}

/// Allocation number `number` and the free that it makes room by.
fn events(number: u64) -> [Option<Event<'static>>; 2] {
    let time_ns = number * 100_000;
    let header = |kind: Kind| Header {
        kind: kind as u8,
        op: Op::Malloc as u8,
        flags: 0,
        pid: PID,
        tid: PID,
        incarnation: INCARNATION,
        time_ns,
    };
    // Some hundred sites are busy at any time, and half of all is elsewhere.
    let busy = number / (EVENTS / MOMENTS) * 97;
    let draw = random(number);
    let site = if draw & 1 == 0 {
        draw >> 8
    } else {
        busy + (draw >> 8) % 300
    };
    let place = |number: u64| 0x7f00_0000_0000 + random(number % (2 * LIVE)) % (1 << 32) / 16 * 16;
    let alloc = Alloc {
        header: header(Kind::Alloc),
        address: place(number),
        size: 16 + random(draw) % 500,
        stack: site % SITES + 1,
    };
    let free = number.checked_sub(LIVE).map(|old| {
        Event::Free(Free {
            header: header(Kind::Free),
            address: place(old),
        })
    });
    [free, Some(Event::Alloc(alloc))]
}

/// Writes the recording.
fn make(path: &Path, with_events: bool) {
    let _none = fs::remove_file(path);
    let file = FileWriter::create(path).expect("a file can be made");
    let write = |contents: Contents, time_ns: u64| {
        for (kind, content) in contents {
            file.block(kind, time_ns, content);
        }
    };
    write(vec![(content::START, content::pack_json(&start()).expect("JSON"))], 0);
    let (mut ledger, mut series, mut frames) = (
        Ledger::new(Limits::default()),
        Series::default(),
        FrameWriter::default(),
    );
    ledger.seed(PID, INCARNATION, None);
    for site in 1..=SITES {
        let identity = Identity { id: site, check: site };
        ledger.add_stack(PID, INCARNATION, site, site, stack(site));
        if with_events {
            frames.stack(PID, INCARNATION, identity, &stack(site));
        }
    }
    let modules = vec![ModuleFacts::default(); 3];
    for number in 0..EVENTS {
        for event in events(number).into_iter().flatten() {
            ledger.apply(&event);
            if with_events {
                frames.event(&encode(&event));
            }
        }
        if (number + 1) % (EVENTS / MOMENTS) == 0 {
            let now_ns = number * 100_000;
            ledger.sample(now_ns);
            if with_events {
                file.block(content::EVENTS, now_ns, frames.take());
            }
            let new = if series.modules() == 0 { &modules[..] } else { &[] };
            write(series.news(&ledger, new, &[], &[]).expect("memory"), now_ns);
            let (live, allocated) = ledger.memory_sums();
            let sums = Sums {
                live,
                allocated,
                alive: 1,
                events: number,
                ..Sums::default()
            };
            let facts = ledger.process_facts();
            write(
                series
                    .moment(ledger.site_sums(), &facts, Vec::new(), &sums)
                    .expect("memory"),
                now_ns,
            );
        }
    }
    let now_ns = EVENTS * 100_000;
    let snapshot = ledger.snapshot(0, now_ns, Duration::from_secs(10));
    write(series.details(&snapshot, now_ns).expect("memory"), now_ns);
    let mut locations: Vec<Location> = snapshot.locations().collect();
    locations.sort_unstable();
    locations.dedup();
    let frame = |at: Location| Frame {
        function: Some(format!("function_{:x}", at.address)),
        module: format!("library{}.so", at.module),
        offset: at.address,
        file: Some(format!("source{}.c", at.address >> 32)),
        line: Some(7),
        inlined: false,
        kind: FrameKind::Native,
    };
    write(
        names(locations.into_iter().map(|at| (at, vec![frame(at)]))).expect("memory"),
        now_ns,
    );
    let end = End {
        now_ns,
        end: Some(Ended::Duration),
        sampling: None,
        budget: None,
        notes: Vec::new(),
        bpf_seconds: 0.0,
        resident_effort: Effort::default(),
    };
    write(vec![(content::END, content::pack_json(&end).expect("JSON"))], now_ns);
    file.finish().expect("a file that was written");
}

/// Runs a reader as a user does.
fn run(arguments: &[&str]) -> Duration {
    let begun = Instant::now();
    let status = Command::new(env!("CARGO_BIN_EXE_memtrace"))
        .args(arguments)
        .stdout(Stdio::null())
        .status()
        .expect("memtrace runs");
    assert!(status.success(), "{arguments:?}");
    begun.elapsed()
}

#[expect(clippy::print_stdout, reason = "figures are what a benchmark is for")]
fn main() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut criterion = Criterion::default().sample_size(10).configure_from_args();
    // Memory is the largest of all children so far, so the smaller recording comes first.
    for (name, with_events) in [("sums", false), ("events", true)] {
        let path = directory.path().join(name);
        make(&path, with_events);
        let bytes = fs::metadata(&path).expect("it is there").len();
        println!(
            "{name}: {:.1} MB, {:.1} bytes for each of {EVENTS} allocations and their frees",
            bytes as f64 / 1e6,
            bytes as f64 / EVENTS as f64
        );
        let path = path.to_string_lossy().into_owned();
        for arguments in [
            &["report", &path][..],
            &["report", &path, "--at", "500s"],
            &["report", &path, "--range", "300s..600s"],
        ] {
            let taken = run(arguments);
            let memory = getrusage(UsageWho::RUSAGE_CHILDREN).map_or(0, |usage| usage.max_rss());
            println!(
                "  report {:?}: {taken:?}, at most {} MiB",
                &arguments[2..],
                memory / 1024
            );
        }
        criterion.bench_function(&format!("report, {name}"), |bencher| {
            bencher.iter(|| run(&["report", &path]));
        });
    }
    criterion.final_summary();
}
