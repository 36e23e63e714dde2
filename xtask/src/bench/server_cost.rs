//! What a request costs a server of node's under memtrace, with its client for a measure.
//!
//! Machines that others share get slower and faster by half from one second to the next. So server and client run in turns on one processor: what
//! changes there changes for both, and memtrace looks at the server alone. What is compared is how much processor time the server takes for each
//! second of its client's, who does the same for each request whether the server is traced or not.

use std::{fs, path::Path, process::Stdio, thread::sleep, time::Duration};

use anyhow::{Context as _, Result, bail};
use rustix::{
    process::Pid,
    thread::{CpuSet, sched_getaffinity, sched_setaffinity},
};

use super::{process, statistics::Spread};
use crate::{
    command::Cmd,
    privilege::Root,
    workload::{Program, Tracer},
};

/// What is asked for in the beginning, until functions are compiled.
const WARM_UP: &str = "run 6000";

/// And before each measurement: what attaching has left behind in caches, and where memtrace finds out how much it may look at.
const SETTLE: &str = "run 1000";

/// Length of one measurement.
const RUN: &str = "run 4000";

/// About what attaching takes. A server that has nothing to do for so long begins anew with a smaller heap: that must be so for both.
const PAUSE: Duration = Duration::from_millis(1300);

/// Arguments of memtrace.
const MODES: [&[&str]; 3] = [&[], &["--javascript-sites"], &["--every-call"]];

/// Measures and prints a line for each mode. `node` is the runtime.
pub(super) fn run(root: Root, rounds: u32, node: &Path) -> Result<()> {
    let version = node_version(node)?;
    let mut server = Server::start(node)?;
    println!(
        "\nprocessor time of a server of node {} for each second of its client's, of bare; medians over {rounds} rounds",
        version.trim().trim_start_matches('v')
    );
    let mut before = server.bare()?;
    for mode in MODES {
        let mut ratios = Vec::new();
        for _ in 0..rounds {
            let traced = server.traced(root, mode)?;
            let after = server.bare()?;
            // The machine may become another meanwhile: that before and that after count the same.
            ratios.push(traced / (before * after).sqrt());
            before = after;
        }
        println!(
            "{:<34} {:.3}",
            ["memtrace"].iter().chain(mode).copied().collect::<Vec<_>>().join(" "),
            Spread::of(ratios.iter().copied())
        );
    }
    server.program.finish()
}

/// What a node says of its version.
pub(super) fn node_version(node: &Path) -> Result<String> {
    let version = Cmd::new(node).args(["--version"]).read();
    version.with_context(|| format!("{} does not run, which --node may name", node.display()))
}

/// The server and its client.
struct Server {
    program: Program,
    client: u32,
    /// Where memtrace runs: not beside them.
    elsewhere: CpuSet,
}

impl Server {
    fn start(node: &Path) -> Result<Self> {
        let mut program = Program::script("node_app.js", Cmd::new(node))?;
        let [client] = process::children(program.pid())[..] else {
            bail!("node_app.js did not start one client");
        };
        let mut elsewhere = sched_getaffinity(None).context("failed to ask where this may run")?;
        let mut processors = (0..CpuSet::MAX_CPU).filter(|&number| elsewhere.is_set(number));
        let first = processors.next().context("this may run nowhere")?;
        if processors.next().is_none() {
            bail!("there is one processor only, and memtrace needs another than the server");
        }
        elsewhere.unset(first);
        let mut here = CpuSet::new();
        here.set(first);
        keep(program.pid(), &here)?;
        keep(client, &here)?;
        program.ask(WARM_UP)?;
        Ok(Self {
            program,
            client,
            elsewhere,
        })
    }

    fn bare(&mut self) -> Result<f64> {
        sleep(PAUSE);
        self.measure()
    }

    fn traced(&mut self, root: Root, mode: &[&str]) -> Result<f64> {
        let tracer = Tracer::attach(root, self.program.pid(), mode, Stdio::null())?;
        for pid in process::family(tracer.pid()) {
            keep(pid, &self.elsewhere)?;
        }
        let measured = self.measure()?;
        tracer.interrupt()?;
        tracer.finish()?;
        Ok(measured)
    }

    /// Seconds of the server's for each of the client's.
    fn measure(&mut self) -> Result<f64> {
        self.program.ask(SETTLE)?;
        let before = self.seconds()?;
        self.program.ask(RUN)?;
        let after = self.seconds()?;
        Ok((after.0 - before.0) / (after.1 - before.1))
    }

    fn seconds(&self) -> Result<(f64, f64)> {
        let of = process::processor_seconds;
        Ok((of(self.program.pid())?, of(self.client)?))
    }
}

/// Lets all threads of a process run there only, and those that they start.
fn keep(pid: u32, processors: &CpuSet) -> Result<()> {
    let folder = format!("/proc/{pid}/task");
    let threads = fs::read_dir(&folder).with_context(|| format!("failed to read {folder}"))?;
    for thread in threads.map_while(Result::ok) {
        let id = thread.file_name().to_str().and_then(|name| name.parse().ok());
        let id = id
            .and_then(Pid::from_raw)
            .with_context(|| format!("{folder} has {}", thread.file_name().display()))?;
        match sched_setaffinity(Some(id), processors) {
            // It has ended meanwhile.
            Ok(()) | Err(rustix::io::Errno::SRCH) => {}
            Err(error) => {
                return Err(error).with_context(|| format!("failed to choose the processor of thread {id:?}"));
            }
        }
    }
    Ok(())
}
