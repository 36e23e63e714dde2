//! Wires the stages: the only place that knows them all. Owns the loop, the signals and the shutdown.

mod budget;
mod censuses;
mod collector;
mod default_mode;
mod description;
mod dump;
mod exact;
mod finish;
mod frames;
mod health;
pub mod heap;
mod hooks;
mod javascript;
mod listed;
mod loading;
mod mapped;
mod naming;
mod observe;
mod own_child;
mod pools;
mod preflight;
mod presence;
mod processes;
mod python;
mod reading;
mod recorder;
mod refused;
mod report;
mod residency;
mod runtime;
mod sampling;
mod saving;
mod setup;
mod shortages;
mod signals;
mod top;
mod tracer;
mod unwinding;
mod waiting;
mod watch;

use std::{ffi::OsString, os::unix::process::ExitStatusExt as _, process::ExitStatus};

use anyhow::Context as _;
use tokio::runtime::{Builder, Runtime};

pub use self::{
    budget::{TRIAL, trial},
    dump::dump,
    finish::{replace, write_reports},
    preflight::{CANARY, canary},
    reading::{Lookup, Moment, Part, Reading, Span, When},
    top::replay,
};
use self::{
    observe::{Observed, Subject},
    setup::Ready,
    signals::Signals,
};
use crate::{
    exit::Exit,
    options::Options,
    target::{launch, select::Selection},
};

/// `memtrace attach`: observes running processes.
///
/// # Errors
/// Whatever keeps the targets from being observed, or the reports from being written.
pub fn attach(selection: Selection, options: &Options) -> anyhow::Result<Exit> {
    let ready = setup::attach(&selection, options)?;
    let subject = Subject { selection, child: None };
    let runtime = runtime()?;
    let signals = listen(&runtime)?;
    watch(runtime, ready, subject, signals, options).map(|observed| exit(&observed))
}

/// `memtrace run`: starts a program and observes it from its first allocation on.
///
/// # Errors
/// As [`attach`], and when the program cannot be started.
pub fn run(command: &[OsString], options: &Options) -> anyhow::Result<Exit> {
    let mut suspended = launch::launch(command)?;
    let ready = setup::attach_to_suspended(&mut suspended, options)?;
    let selection = Selection::Processes(vec![suspended.pid()]);
    let runtime = runtime()?;
    // Before the program runs: a key of the terminal or a signal from then on is for it to answer, and must not end memtrace.
    let signals = listen(&runtime)?;
    let child = suspended.release()?;
    let subject = Subject {
        selection,
        child: Some(child),
    };
    watch(runtime, ready, subject, signals, options).map(|observed| exit(&observed))
}

/// The program's status comes first: a test that failed has failed, whatever leaked.
fn exit(observed: &Observed) -> Exit {
    match observed.status.map(exit_of) {
        None | Some(Exit::Program(0)) if observed.check_failed => Exit::CheckFailed,
        Some(program) => program,
        None => Exit::Success,
    }
}

/// The status that a shell would give.
fn exit_of(status: ExitStatus) -> Exit {
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
    Exit::Program(u8::try_from(code & 0xff).unwrap_or(u8::MAX))
}

/// Runs the loop of an observation.
fn watch(
    runtime: Runtime,
    ready: Ready,
    subject: Subject,
    signals: Signals,
    options: &Options,
) -> anyhow::Result<Observed> {
    let result = runtime.block_on(observe::observe(ready, subject, signals, options));
    // Dropped, it would wait for a report that the user has given up.
    runtime.shutdown_background();
    result
}

/// Listens to signals from now on; until then they have the effect that they have on any program.
fn listen(runtime: &Runtime) -> anyhow::Result<Signals> {
    let _inside = runtime.enter();
    Signals::new().context("failed to listen to signals")
}

/// Two workers: one for the loop, one for what is heavy meanwhile.
fn runtime() -> anyhow::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("failed to start the runtime (are threads or descriptors limited?)")
}
