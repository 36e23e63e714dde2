//! Wires the stages: the only place that knows them all. Owns the loop, the signals and the shutdown.

mod collector;
mod finish;
mod hooks;
mod loading;
mod observe;
mod preflight;
mod replay;
mod report;
mod signals;
mod unwinding;

use std::{
    ffi::OsString,
    os::unix::process::ExitStatusExt as _,
    process::ExitStatus,
    time::{Duration, Instant},
};

use anyhow::Context as _;

use self::{
    hooks::Tracer,
    observe::{Observed, Subject},
};
pub use self::{
    preflight::{CANARY, canary},
    replay::replay,
};
use crate::{
    exit::Exit,
    options::Options,
    plan,
    process::{AddressSpace, descriptors},
    target::{self, launch},
};

/// How long a running process may take to load its C library. A dynamic loader takes a few milliseconds.
const START_PATIENCE: Duration = Duration::from_millis(300);

/// `memtrace attach`: observes a running process.
///
/// # Errors
/// Whatever keeps the target from being observed, or the reports from being written.
pub fn attach(pid: u32, options: &Options) -> anyhow::Result<Exit> {
    let info = target::check(pid)?;
    descriptors::raise_limit();
    let space = AddressSpace::read(pid).with_context(|| format!("failed to read the mappings of process {pid}"))?;
    let mut tracer = Tracer::load(&info, space, options)?;
    preflight::seccomp(&info, &mut tracer)?;
    attach_to_running(&mut tracer).with_context(|| format!("process {pid} ({}) cannot be observed", info.command))?;
    let subject = Subject {
        pid,
        command: info.command,
        executable: info.executable,
        child: None,
    };
    watch(tracer, subject, options).map(|_| Exit::Success)
}

/// Attaches, and gives a process that has only just started the time to load its C library.
fn attach_to_running(tracer: &mut Tracer) -> anyhow::Result<()> {
    let patience = Instant::now() + START_PATIENCE;
    loop {
        match tracer.attach_all() {
            Err(error) if error.is::<plan::PlanError>() && Instant::now() < patience => {
                std::thread::sleep(Duration::from_millis(5));
                if let Some(space) = tracer.space() {
                    // A target that has just ended is told by the next try.
                    let _gone = space.refresh();
                }
            }
            result => return result,
        }
    }
}

/// `memtrace run`: starts a program and observes it from its first allocation on.
///
/// # Errors
/// As [`attach`], and when the program cannot be started.
pub fn run(command: &[OsString], options: &Options) -> anyhow::Result<Exit> {
    let mut suspended = launch::launch(command)?;
    let pid = suspended.pid();
    // Not before: the program would inherit it.
    descriptors::raise_limit();
    let info = target::check(pid)?;
    let space = AddressSpace::read(pid).with_context(|| format!("failed to read the mappings of process {pid}"))?;
    let mut tracer = Tracer::load(&info, space, options)?;
    if let Some(status) = loading::hook(&mut suspended, &mut tracer)? {
        anyhow::bail!("the program ended ({status}) before its C library was there: nothing could be observed");
    }
    let child = suspended.release()?;
    let subject = Subject {
        pid,
        command: info.command,
        executable: info.executable,
        child: Some(child),
    };
    let Observed { status } = watch(tracer, subject, options)?;
    Ok(status.map_or(Exit::Success, exit_of))
}

/// The status that a shell would give.
fn exit_of(status: ExitStatus) -> Exit {
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
    Exit::Program(u8::try_from(code & 0xff).unwrap_or(u8::MAX))
}

/// Runs the loop of an observation.
fn watch(tracer: Tracer, subject: Subject, options: &Options) -> anyhow::Result<Observed> {
    let runtime = runtime()?;
    let result = runtime.block_on(observe::observe(tracer, subject, options));
    // Dropped, it would wait for a report that the user has given up.
    runtime.shutdown_background();
    result
}

/// Two workers: one for the loop, one for what is heavy meanwhile.
fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("failed to start the runtime (are threads or descriptors limited?)")
}
