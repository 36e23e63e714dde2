//! What being traced adds to one malloc and its free: a tight loop, bare and under each tracer in turn.
//!
//! The variants alternate (bare, memtrace, bare, memleak, bare, ...) in fresh processes, so that a machine that
//! gets slower or faster does so for all of them, and each tracer is compared with the bare run just before it.

use std::{
    process::{Child, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use super::statistics::median;
use crate::{
    privilege::Root,
    tools,
    workload::{Program, Tracer},
};

/// Length of one measurement.
pub(super) const RUN: &str = "run 1000";

/// Length of a measurement that only finds out whether probes are in place.
const LOOK: &str = "run 50";

/// A traced pair costs at least this many times a bare one: a probe hit alone is some 20 pairs.
const TRACED_FACTOR: f64 = 4.0;

/// How long a foreign tracer may take to attach.
const PATIENCE: Duration = Duration::from_mins(1);

/// After so many seconds a foreign tracer is killed, whatever happens here.
const FOREIGN_LIFE: &str = "120";

/// A tracer of somebody else's, if it is there.
struct Foreign {
    name: &'static str,
    program: &'static str,
    /// After the pid: the interval of its reports, longer than it lives.
    arguments: &'static [&'static str],
}

const FOREIGN: [Foreign; 2] = [
    Foreign {
        name: "memleak (bcc)",
        program: "memleak-bpfcc",
        arguments: &["3600"],
    },
    Foreign {
        name: "memleak (libbpf-tools)",
        program: "memleak",
        arguments: &["3600"],
    },
];

/// A measured variant: nanoseconds per pair in each round, and of the bare run before it.
struct Row {
    name: &'static str,
    pair_ns: Vec<f64>,
    bare_ns: Vec<f64>,
}

/// Measures and prints the table.
pub(crate) fn run(root: Root, rounds: u32) -> Result<()> {
    let foreign: Vec<_> = FOREIGN
        .iter()
        .filter(|tracer| {
            let there = tools::on_path(tracer.program).is_some();
            if !there {
                println!("left out: {}, there is no {} here", tracer.name, tracer.program);
            }
            there
        })
        .collect();
    let names = std::iter::once("memtrace").chain(foreign.iter().map(|tracer| tracer.name));
    let mut rows: Vec<_> = names
        .map(|name| Row {
            name,
            pair_ns: Vec::new(),
            bare_ns: Vec::new(),
        })
        .collect();
    for round in 1..=rounds {
        println!("\nround {round} of {rounds}");
        for (index, row) in rows.iter_mut().enumerate() {
            if round > 1 && row.pair_ns.is_empty() {
                continue;
            }
            let bare = measure(&mut Program::start("tight")?, RUN)?;
            let traced = match index.checked_sub(1) {
                None => under_memtrace(root)?,
                // A foreign tracer that does not run on this kernel is no reason to know nothing of memtrace.
                Some(index) => match under_foreign(root, foreign[index], bare) {
                    Ok(traced) => traced,
                    Err(error) => {
                        println!("left out: {} does not run here: {error:#}", row.name);
                        continue;
                    }
                },
            };
            println!("bare {bare:.1} ns, {} {traced:.1} ns", row.name);
            row.bare_ns.push(bare);
            row.pair_ns.push(traced);
        }
    }
    rows.retain(|row| !row.pair_ns.is_empty());
    print_table(&rows);
    Ok(())
}

pub(super) fn measure(program: &mut Program, line: &str) -> Result<f64> {
    let answer = program.ask(line)?;
    answer
        .parse()
        .with_context(|| format!("the loop said {answer:?} instead of a number"))
}

fn under_memtrace(root: Root) -> Result<f64> {
    let mut program = Program::start("tight")?;
    let tracer = Tracer::attach(root, program.pid(), &["--duration", "60s"], Stdio::null())?;
    let pair_ns = measure(&mut program, RUN)?;
    // memtrace ends with its target.
    program.finish()?;
    tracer.finish()?;
    Ok(pair_ns)
}

fn under_foreign(root: Root, foreign: &Foreign, bare_ns: f64) -> Result<f64> {
    let mut program = Program::start("tight")?;
    let mut tracer = root
        .command("timeout")
        .args([
            "-s",
            "KILL",
            FOREIGN_LIFE,
            foreign.program,
            "-p",
            &program.pid().to_string(),
        ])
        .args(foreign.arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()?;
    let result = wait_until_slow(&mut program, &mut tracer, bare_ns)
        .and_then(|()| measure(&mut program, RUN))
        .with_context(|| format!("failed to measure {}", foreign.name));
    // timeout passes the signal on; an error means that it has ended already.
    let _ = root.command("kill").args(["-TERM", &tracer.id().to_string()]).run();
    tracer
        .wait()
        .with_context(|| format!("failed to wait for {}", foreign.program))?;
    result
}

/// Foreign tracers do not say when they are attached, but the loop does.
fn wait_until_slow(program: &mut Program, tracer: &mut Child, bare_ns: f64) -> Result<()> {
    let start = Instant::now();
    while measure(program, LOOK)? < bare_ns * TRACED_FACTOR {
        if let Some(status) = tracer.try_wait()? {
            bail!("it ended with {status}");
        }
        if start.elapsed() > PATIENCE {
            bail!("no probe in place after {} s", PATIENCE.as_secs());
        }
        sleep(Duration::from_millis(100));
    }
    // The first probe is in place; the others follow.
    sleep(Duration::from_secs(2));
    Ok(())
}

fn print_table(rows: &[Row]) {
    println!(
        "\nnanoseconds per malloc/free pair, medians over {} rounds",
        rows.first().map_or(0, |row| row.pair_ns.len())
    );
    println!(
        "{:<24} {:>9} {:>9} {:>9} {:>12}",
        "", "bare", "traced", "added", "of memtrace"
    );
    let added = |row: &Row| median(row.pair_ns.iter().zip(&row.bare_ns).map(|(traced, bare)| traced - bare));
    let own = rows.first().map_or(f64::NAN, added);
    for row in rows {
        let bare = median(row.bare_ns.iter().copied());
        let traced = median(row.pair_ns.iter().copied());
        let added = added(row);
        println!(
            "{:<24} {bare:>9.1} {traced:>9.1} {added:>9.1} {:>11.2}x",
            row.name,
            added / own
        );
    }
}
