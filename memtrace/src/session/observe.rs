//! The loop of an observation: ring, timers, signals, the target's end.

use std::{
    io::IsTerminal as _,
    os::fd::{AsFd as _, OwnedFd},
    process::{Child, ExitStatus},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tokio::{
    io::{Interest, unix::AsyncFd},
    task::JoinHandle,
    time::{MissedTickBehavior, interval, sleep_until},
};

use super::{
    collector::Collector,
    finish,
    hooks::Tracer,
    report::{self, Reporter},
    signals::{self, Signals},
};
use crate::{clock::now_ns, options::Options, profile::End, symbolize::Symbolizer};

/// How often the ring is looked at without being asked to. The BPF side wakes the collector at a quarter full; at two
/// million events a second an 8 MiB ring takes 20 ms to get there.
const TICK: Duration = Duration::from_millis(20);

/// How often the frees that found the ring full are applied.
const LOST_PAUSE: Duration = Duration::from_millis(500);

/// How often live bytes are noted for the histories. The ledger thins them out as the observation grows.
const SAMPLE_PAUSE: Duration = Duration::from_millis(250);

/// How long a new program's allocator is waited for after `exec`.
const EXEC_PATIENCE: Duration = Duration::from_secs(5);

/// Who is observed.
pub(super) struct Subject {
    /// Process id.
    pub(super) pid: u32,
    /// Name of the main thread.
    pub(super) command: String,
    /// Path of the executable.
    pub(super) executable: String,
    /// The program, when memtrace started it.
    pub(super) child: Option<Child>,
}

/// What came of it.
pub(super) struct Observed {
    /// The program's exit status, when memtrace started it.
    pub(super) status: Option<ExitStatus>,
}

/// Everything the loop turns around.
struct Loop<'a> {
    pid: u32,
    tracer: Tracer,
    collector: Collector,
    reporter: Reporter,
    options: &'a Options,
    /// The live table under construction.
    live: Option<JoinHandle<()>>,
    first_event: bool,
    lost_at: Instant,
    sampled_at: Instant,
    /// Since when probes are to be attached again, and what has happened.
    reattach: Option<(Instant, &'static str)>,
    /// The thread that the probes were attached through was gone when it was looked for last.
    was_orphaned: bool,
}

/// Reasons to attach again.
const EXECUTED: &str = "the target replaced its program";
const EXECUTED_BY_OTHER: &str = "a thread other than the main one replaced the target's program";
const THREAD_ENDED: &str = "the thread of the target that the probes were attached through ended";

/// Observes until the duration is over, the user stops it, or the target ends; then reports.
pub(super) async fn observe(mut tracer: Tracer, subject: Subject, options: &Options) -> anyhow::Result<Observed> {
    let mut child = subject.child;
    let mut signals = Signals::new().context("failed to listen to signals")?;
    let exit = watch_exit(subject.pid)?;
    let collector = tracer.collector(options)?;
    let ring = collector
        .ring()
        .as_fd()
        .try_clone_to_owned()
        .context("failed to duplicate the ring's descriptor")?;
    let ring = readable(ring).context("failed to wait for the ring")?;
    let diagnostics = tracer.diagnostics(options)?;
    let reporter = Reporter::new(
        subject.pid,
        subject.command.clone(),
        subject.executable,
        options.settings.clone(),
        Symbolizer::default(),
    );
    tracer.announce(&subject.command);

    // From here on: on a busy machine attaching may take longer than a short observation.
    let now = Instant::now();
    let deadline = options.duration.map(|duration| now + duration);
    let mut run = Loop {
        pid: subject.pid,
        tracer,
        collector,
        reporter,
        options,
        live: None,
        first_event: false,
        lost_at: now,
        sampled_at: now,
        reattach: None,
        was_orphaned: false,
    };
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut table = interval(options.interval);
    table.tick().await;
    let show = std::io::stdout().is_terminal();
    let mut interrupted = false;
    let end = loop {
        let more = run.drain();
        run.chores()?;
        tokio::select! {
            biased;
            signal = signals.next() => match &child {
                // The program decides what a signal means to it; asked twice, memtrace stops watching.
                Some(child) if !interrupted => {
                    interrupted = signals::ends(signal);
                    signals::pass_on(signal, child);
                }
                _ if signals::ends(signal) => break End::Interrupted,
                _ => {}
            },
            result = exit.readable() => {
                result.context("failed to wait for the target's end")?.retain_ready();
                break End::Exited(None);
            }
            () = until(deadline) => break End::Duration,
            _ = table.tick(), if show => run.show(),
            () = tokio::task::yield_now(), if more => {}
            guard = ring.readable() => guard.context("failed to wait for the ring")?.clear_ready(),
            _ = tick.tick() => {}
        }
    };
    if let Some(task) = diagnostics {
        task.abort();
    }
    let status = match (&end, &mut child) {
        (End::Exited(_), Some(child)) => child.try_wait().context("failed to learn the program's exit status")?,
        _ => None,
    };
    let end = if let Some(status) = status {
        End::Exited(Some(status.to_string()))
    } else {
        end
    };
    let Loop {
        tracer,
        collector,
        reporter,
        live,
        ..
    } = run;
    finish::finish(tracer, collector, reporter, live, end, options, &mut signals).await?;
    let status = match child {
        Some(child) if status.is_none() => wait_for(child, &exit, &mut signals).await?,
        _ => status,
    };
    Ok(Observed { status })
}

impl Loop<'_> {
    /// Takes a batch from the ring; `true` when there may be more.
    fn drain(&mut self) -> bool {
        let more = self.collector.drain();
        if !self.first_event && self.collector.events > 0 {
            self.first_event = true;
            log::info!(
                "first event {} ms after start",
                self.tracer.started().elapsed().as_millis()
            );
        }
        more
    }

    /// What is due now and then.
    fn chores(&mut self) -> anyhow::Result<()> {
        if self.lost_at.elapsed() >= LOST_PAUSE {
            self.lost_at = Instant::now();
            self.collector.apply_lost_frees()?;
        }
        if self.sampled_at.elapsed() >= SAMPLE_PAUSE {
            self.sampled_at = Instant::now();
            self.collector.sample(now_ns());
            self.look_after_thread();
        }
        if std::mem::take(&mut self.collector.executed) {
            if std::mem::take(&mut self.collector.executed_by_other) {
                self.tracer.forget_probes(self.pid, EXECUTED_BY_OTHER);
                self.collector.space.look_through(self.pid);
            }
            self.reattach = Some((Instant::now(), EXECUTED));
        }
        for module in self.collector.wanted.drain(..) {
            self.tracer.follower().want(module);
        }
        self.tracer
            .follower()
            .follow(&mut self.collector.space, self.collector.incarnation)?;
        if let Some((since, happened)) = self.reattach {
            self.collector.refresh();
            match self.tracer.attach_again(&self.collector.space) {
                Ok(true) => self.reattach = None,
                Ok(false) if since.elapsed() < EXEC_PATIENCE => {}
                result => {
                    self.reattach = None;
                    self.tracer.note_failure(happened, result.err());
                }
            }
        }
        Ok(())
    }

    /// Attaches through another thread when the one is gone. Not at once: a program that ends may be about to lose the others
    /// too.
    fn look_after_thread(&mut self) {
        let successor = self.tracer.successor();
        if let Some(thread) = successor.filter(|_| self.was_orphaned) {
            self.tracer.forget_probes(thread, THREAD_ENDED);
            self.collector.space.look_through(thread);
            self.reattach = Some((Instant::now(), THREAD_ENDED));
        }
        self.was_orphaned = successor.is_some();
    }

    /// Shows the live table; naming frames takes time, so it is made aside, and left out when the last is not done.
    fn show(&mut self) {
        if self.live.as_ref().is_some_and(|live| !live.is_finished()) {
            return;
        }
        let raw = report::Raw::take(&mut self.collector, &self.tracer, self.options, None);
        let reporter = self.reporter.clone();
        self.live = Some(tokio::task::spawn_blocking(move || reporter.show_live(raw)));
    }
}

/// A descriptor that becomes readable when the process ends.
fn watch_exit(pid: u32) -> anyhow::Result<AsyncFd<OwnedFd>> {
    let fd = Pid::from_raw(pid.cast_signed())
        .context("process 0 cannot be observed")
        .and_then(|pid| pidfd_open(pid, PidfdFlags::NONBLOCK).context("failed to watch the target (has it ended?)"))?;
    readable(fd).context("failed to wait for the target")
}

/// Registers a descriptor with the runtime.
#[expect(
    deprecated,
    reason = "the replacement is unsafe because of types that lend a descriptor; this one owns it"
)]
fn readable(fd: OwnedFd) -> std::io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(fd, Interest::READABLE)
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

/// Waits for the program after the report, as its parent must.
async fn wait_for(
    mut child: Child,
    exit: &AsyncFd<OwnedFd>,
    signals: &mut Signals,
) -> anyhow::Result<Option<ExitStatus>> {
    let mut asked = false;
    loop {
        tokio::select! {
            signal = signals.next() => {
                if asked && signals::ends(signal) {
                    return Ok(None);
                }
                asked |= signals::ends(signal);
                signals::pass_on(signal, &child);
            }
            result = exit.readable() => {
                result.context("failed to wait for the program's end")?.retain_ready();
                return child.try_wait().context("failed to learn the program's exit status");
            }
        }
    }
}
