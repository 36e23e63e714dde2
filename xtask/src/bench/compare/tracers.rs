//! Who traces: memtrace in its modes, and tracers of others.

use std::path::Path;

use anyhow::Result;

use super::{
    foreign,
    work::{Load, Prepared},
};
use crate::{
    bench::{process, profile::Profile},
    command::Cmd,
    packages,
    privilege::Root,
    workload,
};

/// memtrace's modes: name in the table, and arguments.
const MODES: &[(&str, &[&str])] = &[
    ("memtrace", &[]),
    ("memtrace --sample 512KiB", &["--sample", "512KiB"]),
    ("memtrace --budget 5%", &["--budget", "5%"]),
];

/// That where it is not the default.
const EVERY_CALL: &[(&str, &[&str])] = &[("memtrace --every-call", &["--every-call"])];

/// That which there is for Python alone.
const PYTHON_MODES: &[(&str, &[&str])] = &[("memtrace --python-exact", &["--python-exact"])];

/// A row of the table.
pub(super) struct Tracer<'a> {
    /// Its name there.
    pub(super) name: &'static str,
    pub(super) way: Way<'a>,
}

/// How a row is measured.
#[derive(Clone, Copy)]
pub(super) enum Way<'a> {
    /// memtrace attached with these arguments.
    Memtrace(&'static [&'static str]),
    /// This memleak attached.
    Memleak(&'a Path),
    /// Started by heaptrack.
    Heaptrack,
}

/// One traced run.
pub(super) struct Sample {
    /// How much was done in a second.
    pub(super) rate: f64,
    /// Memory of the tracer; `None` for one inside the target.
    pub(super) memory: Option<Memory>,
    /// Of memtrace's probes.
    pub(super) hits: Option<Hits>,
    /// What memtrace said of its numbers, when they were not exact.
    pub(super) inexact: Option<String>,
}

/// What memtrace's probes did.
#[derive(Clone, Copy)]
pub(super) struct Hits {
    /// How often one was hit for each piece of work.
    pub(super) per_work: f64,
    /// How long its program ran, the trap before it not included, in nanoseconds; memtrace's own estimate.
    pub(super) program_ns: f64,
}

/// What a tracer takes.
#[derive(Clone, Copy)]
pub(super) struct Memory {
    /// Largest resident memory, in bytes.
    pub(super) resident: u64,
    /// Kernel memory of its BPF maps, in bytes; `None` where this user may not know.
    pub(super) maps: Option<u64>,
}

impl Memory {
    /// That of a running process and of those that it started.
    pub(super) fn of(pid: u32) -> Option<Self> {
        Some(Self {
            resident: process::peak_memory(pid)?,
            maps: process::map_memory(pid),
        })
    }
}

/// All that are here for a piece of work; says which are not.
pub(super) fn all<'a>(work: &Prepared, memleak: Option<&'a Path>) -> Vec<Tracer<'a>> {
    let every_call = if work.is_seen_sparingly() { EVERY_CALL } else { &[] };
    let of_python = if work.is_python() { PYTHON_MODES } else { &[] };
    let mut tracers: Vec<_> = MODES
        .iter()
        .chain(every_call)
        .chain(of_python)
        .map(|&(name, arguments)| Tracer {
            name,
            way: Way::Memtrace(arguments),
        })
        .collect();
    match memleak {
        Some(path) => tracers.push(Tracer {
            name: "memleak",
            way: Way::Memleak(path),
        }),
        None => println!("left out: memleak, which --memleak names"),
    }
    if packages::HEAPTRACK.is_there() {
        tracers.push(Tracer {
            name: "heaptrack",
            way: Way::Heaptrack,
        });
    } else {
        println!("left out: heaptrack, which is not here");
    }
    tracers
}

impl Way<'_> {
    /// Starts the work, traces it, and lets both end.
    pub(super) fn measure(self, root: Root, work: &Prepared) -> Result<Sample> {
        match self {
            Self::Memtrace(arguments) => under_memtrace(root, work.start(None)?, arguments),
            Self::Memleak(path) => foreign::under_memleak(root, work.start(None)?, path),
            Self::Heaptrack => under_heaptrack(work),
        }
    }
}

fn under_memtrace(root: Root, mut load: Load, arguments: &[&str]) -> Result<Sample> {
    let folder = tempfile::tempdir()?;
    let output = folder.path().display().to_string();
    // The work is over long before.
    let always = ["--duration", "120s", "-o", &output];
    let arguments: Vec<_> = always.iter().chain(arguments).copied().collect();
    let tracer = workload::Tracer::attach(root, load.pid(), &arguments, std::process::Stdio::null())?;
    let done = load.work()?;
    let memory = Memory::of(tracer.pid());
    // memtrace ends with its target.
    load.finish()?;
    tracer.finish()?;
    let health = Profile::read(folder.path())?.health;
    let hits = health.cost.hits as f64;
    Ok(Sample {
        rate: done.rate,
        memory,
        hits: Some(Hits {
            per_work: hits / done.count,
            program_ns: health.cost.bpf_seconds * 1e9 / hits,
        }),
        inexact: (!health.exact).then_some(health.summary),
    })
}

fn under_heaptrack(work: &Prepared) -> Result<Sample> {
    let folder = tempfile::tempdir()?;
    let tool = Cmd::new("heaptrack").arg("-o").arg(folder.path().join("heaptrack"));
    let mut load = work.start(Some(tool))?;
    let done = load.work()?;
    load.finish()?;
    Ok(Sample {
        rate: done.rate,
        memory: None,
        hits: None,
        inexact: None,
    })
}
