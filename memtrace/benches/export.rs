//! Writing a profile of 100,000 sites in each format. Sizes are printed first.

use std::{hint::black_box, io, time::Duration};

use criterion::{Criterion, criterion_group, criterion_main};
use memtrace::{
    profile::{
        Amount, Frame, FrameKind, Health, History, Profile, Settings, Site, Spread, Target, Totals,
        suppress::Suppressions,
    },
    render::{Measure, export, export::Format, folded, html, json},
};
use memtrace_common::op::Op;

/// Sites, each with a stack of its own.
const SITES: u64 = 100_000;

/// Functions that stacks are made of.
const FUNCTIONS: u64 = 20_000;

/// Frames of a stack.
const DEPTH: u64 = 30;

fn large() -> Profile {
    let frame = |number: u64| Frame {
        function: Some(format!(
            "engine::module{}::function{number}(int, char const*)",
            number % 97
        )),
        module: format!("lib{}.so", number % 23),
        offset: number * 64,
        file: Some(format!("/src/engine/module{}/file{}.cc", number % 97, number % 1_009)),
        line: Some(1 + u32::try_from(number % 2_000).unwrap_or(0)),
        inlined: number.is_multiple_of(10),
        kind: FrameKind::Native,
    };
    // Neighbours differ near the leaf, as in a program.
    let frame_of = |site: u64, level: u64| {
        let common = site >> (2 * level.min(30));
        u32::try_from((common.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20).wrapping_add(level * 613) % FUNCTIONS)
            .unwrap_or(0)
    };
    let amount = |bytes, count| Amount { bytes, count };
    let site = |number: u64| Site {
        op: Op::Malloc,
        stack: usize::try_from(number).ok(),
        group: None,
        live: amount(number * 16, number),
        at_exit: Amount::default(),
        unknown: Amount::default(),
        allocated: amount(number * 160, number * 10),
        spread: Spread::default(),
        ages: Vec::new(),
        at_peak: None,
        aged: Amount::default(),
        live_variance: None,
        oldest: Some(Duration::from_secs(number % 60)),
        growth_bytes_per_second: 0.0,
        history: History::default(),
        suspicion: None,
    };
    Profile {
        target: Target {
            selection: "process 4242".into(),
            pid: 4242,
            command: "server".into(),
            executable: "/usr/bin/server".into(),
            build_id: None,
            allocators: Vec::new(),
            end: None,
        },
        observed: Duration::from_mins(1),
        settings: Settings {
            top: 10,
            min_age: Duration::from_secs(10),
            min_size: 0,
            suppressions: Suppressions::default(),
            fail_over: None,
            view: memtrace::profile::View::default(),
        },
        totals: Totals::default(),
        frames: (0..FUNCTIONS).map(frame).collect(),
        modules: Vec::new(),
        stacks: (0..SITES)
            .map(|site| (0..DEPTH).map(|level| frame_of(site, level)).collect())
            .collect(),
        groups: Vec::new(),
        sites: (0..SITES).map(site).collect(),
        processes: Vec::new(),
        processes_dropped: 0,
        health: Health::default(),
        filter: Vec::new(),
        js_heaps: Vec::new(),
        js_shortages: Vec::new(),
        js_shortages_dropped: 0,
        timeline: Vec::new(),
        resident: None,
        censuses: Vec::new(),
    }
}

/// Counts what is written and keeps nothing, so that the benchmark's memory is the writer's.
struct Counted(usize);

impl io::Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

type Way = Box<dyn Fn(&Profile, &mut Counted) -> io::Result<()>>;

/// Every way to write all sites, by name.
fn ways() -> Vec<(&'static str, Way)> {
    let mut ways: Vec<(&'static str, Way)> = vec![
        (
            "json",
            Box::new(|profile, out| json::write(profile, json::Sites::All, out)),
        ),
        (
            "folded",
            Box::new(|profile, out| folded::write(profile, Measure::Live, out)),
        ),
        (
            "html",
            Box::new(|profile, out| html::write(profile, Measure::Live, out)),
        ),
    ];
    for &format in Format::ALL {
        ways.push((
            format.name,
            Box::new(move |profile, out| export::write(profile, format, Measure::Live, out)),
        ));
    }
    ways
}

#[expect(clippy::print_stdout, reason = "sizes are what a benchmark is for")]
fn formats(criterion: &mut Criterion) {
    let profile = large();
    let mut group = criterion.benchmark_group("export");
    group.sample_size(10);
    for (name, write) in ways() {
        let mut size = Counted(0);
        write(&profile, &mut size).expect("nothing can fail");
        println!("{name}: {} bytes", size.0);
        group.bench_function(name, |bencher| {
            bencher.iter(|| write(black_box(&profile), &mut Counted(0)).expect("nothing can fail"));
        });
    }
    group.finish();
}

criterion_group!(benches, formats);
criterion_main!(benches);
