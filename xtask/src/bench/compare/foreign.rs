//! memleak of libbpf-tools, or of bcc, whose options are the same.

use std::{
    path::Path,
    process::{Child, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use super::{
    tracers::{Memory, Sample},
    work::Load,
};
use crate::{bench::breakpoints, privilege::Root};

/// After so many seconds it is killed, whatever happens here.
const LIFE: &str = "120";

/// Seconds between two of its reports: more than it lives, so that none is made while it is measured.
const INTERVAL: &str = "3600";

/// How long it may take to attach.
const PATIENCE: Duration = Duration::from_secs(30);

/// It says nothing when it is attached, so: no further breakpoint for as long as this.
const SETTLED: Duration = Duration::from_millis(500);

/// Attaches it, measures, and ends it.
pub(super) fn under_memleak(root: Root, mut load: Load, memleak: &Path) -> Result<Sample> {
    let mut command = root.command("timeout").args(["-s", "KILL", LIFE]).arg(memleak);
    if let Some(allocator) = load.allocator() {
        command = command.args(["-O", allocator]);
    }
    let mut tracer = command
        .args(["-p", &load.pid().to_string(), INTERVAL])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()?;
    let result = wait_until_attached(&mut tracer, load.pid()).and_then(|()| load.work());
    let memory = Memory::of(tracer.id());
    // timeout passes the signal on; an error means that it has ended already.
    let _ = root.command("kill").args(["-TERM", &tracer.id().to_string()]).run();
    tracer
        .wait()
        .with_context(|| format!("failed to wait for {}", memleak.display()))?;
    let done = result?;
    load.finish()?;
    Ok(Sample {
        rate: done.rate,
        memory,
        hits: None,
        inexact: None,
    })
}

fn wait_until_attached(tracer: &mut Child, target: u32) -> Result<()> {
    let start = Instant::now();
    let (mut found, mut since) = (0, start);
    while found == 0 || since.elapsed() < SETTLED {
        if let Some(status) = tracer.try_wait()? {
            bail!("it ended with {status}");
        }
        if start.elapsed() > PATIENCE {
            bail!("it has not attached within {} s", PATIENCE.as_secs());
        }
        sleep(Duration::from_millis(50));
        let now = breakpoints::count(target)?;
        if now != found {
            (found, since) = (now, Instant::now());
        }
    }
    Ok(())
}
