//! The loop of an observation: ring, timers, signals, the targets' ends.

use std::{
    io::IsTerminal as _,
    os::fd::AsFd as _,
    process::{Child, ExitStatus},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use tokio::time::{MissedTickBehavior, interval, sleep_until};

use super::{
    budget,
    collector::{Collector, Notice},
    finish::{self, Outputs},
    processes::Fresh,
    recorder::Recorder,
    report::{self, Reporter},
    saving::Saving,
    setup::{self, Ready},
    shortages::Shortages,
    signals::{self, Signals},
    top::{self, LivePace},
    tracer::Tracer,
    waiting::YOUNG_NS,
    watch::{Ends, Waited, readable, wait_for},
};
use crate::{
    clock::now_ns,
    options::Options,
    profile::{End, Profile},
    symbolize::Symbolizer,
    target::{
        self,
        select::{self, Selection},
    },
    tui::{Input, Inputs, Request, Screen},
};

/// How often the ring is looked at without being asked to. The BPF side wakes the collector at a quarter full; at two
/// million events a second an 8 MiB ring takes 20 ms to get there.
const TICK: Duration = Duration::from_millis(20);

/// How often the frees that found the ring full are applied.
const LOST_PAUSE: Duration = Duration::from_millis(500);

/// How often live bytes are noted for the histories. The ledger thins them out as the observation grows.
const SAMPLE_PAUSE: Duration = Duration::from_millis(250);

/// Who is observed.
pub(super) struct Subject {
    /// What was asked for.
    pub(super) selection: Selection,
    /// The program, when memtrace started it.
    pub(super) child: Option<Child>,
}

/// What came of it.
pub(super) struct Observed {
    /// The program's exit status, when memtrace started it.
    pub(super) status: Option<ExitStatus>,
    /// Whether a check was asked for and failed.
    pub(super) check_failed: bool,
}

/// Everything the loop turns around.
pub(super) struct Loop<'a> {
    pub(super) tracer: Tracer,
    pub(super) collector: Collector,
    pub(super) outputs: Outputs,
    pub(super) selection: Selection,
    pub(super) options: &'a Options,
    pub(super) ends: Ends,
    first_event: bool,
    lost_at: Instant,
    sampled_at: Instant,
    /// Whether newcomers were looked for.
    pub(super) looked: bool,
    /// Records of processes that were lost so far.
    pub(super) lost_records: u64,
    /// How often it is still to be looked who is gone without a word.
    pub(super) looks: u32,
    /// The screen's own side, when there is one.
    inputs: Option<Inputs>,
    pace: LivePace,
    pub(super) shortages: Shortages,
}

/// Observes until the duration is over, the user stops it, or the targets end; then reports.
pub(super) async fn observe(
    mut ready: Ready,
    subject: Subject,
    mut signals: Signals,
    options: &Options,
) -> anyhow::Result<Observed> {
    let Subject { selection, mut child } = subject;
    let ends = ends_of(&ready)?;
    let ring = ready
        .collector
        .ring()
        .as_fd()
        .try_clone_to_owned()
        .context("failed to duplicate the ring's descriptor")?;
    let ring = readable(ring).context("failed to wait for the ring")?;
    let diagnostics = ready.tracer.diagnostics(options)?;
    let reporter = Reporter::new(
        selection.to_string(),
        ready.first.first(),
        options.settings.clone(),
        Symbolizer::default(),
    )
    .with_modules(options.screen);
    let recorder = Recorder::begin(reporter.observed(), &ready.tracer, &mut ready.collector, options)?;
    ready.residency.begin(&ready.collector, &ready.tracer).await;
    ready.tracer.announce(&ready.what, &setup::allocators(&ready));
    ready.tracer.begin()?;
    budget::start(&mut ready.tracer, &mut ready.collector)?;

    // From here on: on a busy machine attaching may take longer than a short observation.
    let deadline = options.duration.map(|duration| Instant::now() + duration);
    let outputs = Outputs {
        reporter,
        recorder,
        residency: ready.residency,
        censuses: ready.censuses,
        live: None,
        screen: None,
        saving: Saving::default(),
    };
    let mut run = Loop::new(ready.tracer, ready.collector, outputs, selection, options, ends);
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut table = interval(options.interval);
    table.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut screen = run.open_screen()?;
    if screen.is_none() {
        // A screen shows something at once.
        table.tick().await;
    }
    let show = std::io::stdout().is_terminal();
    let mut interrupted = false;
    let end = loop {
        let more = run.drain();
        run.chores().await?;
        if !more && run.is_over() {
            // Nobody is left who sends more. It may have come since it was looked last.
            while run.drain() {}
            run.heed_shortages();
            break End::Exited(None);
        }
        tokio::select! {
            biased;
            signal = signals.next() => match child.as_mut().filter(|_| !interrupted).and_then(living) {
                // The program decides what a signal means to it; asked twice, memtrace stops watching.
                Some(child) => {
                    interrupted = signals::ends(signal);
                    signals::pass_on(signal, child);
                }
                None if signals::ends(signal) => break End::Interrupted,
                None => {}
            },
            request = top::asked(&mut screen) => match request {
                Request::Save(profile) => run.save(profile),
                Request::Leave | Request::Seek(_) => break End::Interrupted,
            },
            process = run.ends.next() => run.ended(process),
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
    run.outputs.screen = screen;
    let status = match (&end, &mut child) {
        (End::Exited(_), Some(child)) => child.try_wait().context("failed to learn the program's exit status")?,
        _ => None,
    };
    let end = status.map_or(end, |status| End::Exited(Some(status.to_string())));
    let Loop {
        tracer,
        collector,
        outputs,
        ..
    } = run;
    let check_failed = Box::pin(finish::finish(tracer, collector, outputs, end, options, &mut signals)).await?;
    let status = match child {
        Some(child) if status.is_none() => wait_for(child, &mut signals).await?,
        _ => status,
    };
    Ok(Observed { status, check_failed })
}

/// Waits for the ends of those that it begins with.
fn ends_of(ready: &Ready) -> anyhow::Result<Ends> {
    let mut ends = Ends::new();
    for info in &ready.first {
        let pid = info.pid;
        let incarnation = ready.collector.processes.incarnation(pid).unwrap_or(0);
        ends.add(Waited { pid, incarnation })?;
    }
    Ok(ends)
}

impl<'a> Loop<'a> {
    fn new(
        tracer: Tracer,
        collector: Collector,
        outputs: Outputs,
        selection: Selection,
        options: &'a Options,
        ends: Ends,
    ) -> Self {
        let now = Instant::now();
        Self {
            tracer,
            collector,
            outputs,
            selection,
            options,
            ends,
            first_event: false,
            lost_at: now,
            sampled_at: now,
            looked: false,
            lost_records: 0,
            looks: 0,
            inputs: None,
            pace: LivePace::default(),
            shortages: Shortages::default(),
        }
    }

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

    /// Whether there is nobody left to observe, nor to come.
    fn is_over(&self) -> bool {
        if self.collector.processes.living() > 0 || self.ends.pending() > 0 {
            return false;
        }
        match &self.selection {
            Selection::Processes(_) => true,
            Selection::Cgroup(_) => !select::exists(&self.selection),
            Selection::Command(_) | Selection::All => false,
        }
    }

    /// What is due now and then.
    async fn chores(&mut self) -> anyhow::Result<()> {
        // A program is told of before its mappings are, and they before its end.
        let (ends, others): (Vec<_>, Vec<_>) = std::mem::take(&mut self.collector.notices)
            .into_iter()
            .partition(|notice| matches!(notice, Notice::Ended(_)));
        for notice in others {
            self.heed(notice);
        }
        for fresh in self.collector.processes.refresh() {
            let Fresh {
                pid,
                incarnation,
                began_ns,
                gone,
                space,
            } = fresh;
            if gone {
                self.tracer.had(&space, pid, incarnation, began_ns);
            } else {
                self.collector.python.laid_out(&space, incarnation);
                self.collector.javascript.laid_out(&space, incarnation);
                self.tracer.laid_out(&space, pid, incarnation, began_ns);
            }
        }
        for notice in ends {
            self.heed(notice);
        }
        if self.lost_at.elapsed() >= LOST_PAUSE {
            self.lost_at = Instant::now();
            self.collector.apply_lost_frees()?;
        }
        self.heed_shortages();
        budget::tick(&mut self.tracer, &mut self.collector)?;
        self.tracer.heed_two_traps()?;
        if self.sampled_at.elapsed() >= SAMPLE_PAUSE {
            self.sampled_at = Instant::now();
            self.collector.sweep(now_ns().saturating_sub(YOUNG_NS))?;
            self.drain();
            let now_ns = now_ns();
            let lost = report::lost(&self.tracer.counters());
            self.collector.sample(now_ns, lost);
            let Outputs {
                recorder, residency, ..
            } = &mut self.outputs;
            residency.tick(&self.collector, &self.tracer).await;
            if let Some(recorder) = recorder {
                recorder.tick(&self.collector, &self.tracer, residency, now_ns)?;
            }
            let processes = &self.collector.processes;
            let state = self.tracer.state();
            state.forget_all_but(|incarnation| processes.description(incarnation).is_some());
            self.look_for_newcomers()?;
            self.look_for_the_lost();
            self.tracer.refresh_sample(&mut self.collector)?;
        }
        Ok(())
    }

    fn heed(&mut self, notice: Notice) {
        if let Notice::MainThreadEnded(incarnation) = notice
            && let Some(who) = self.collector.processes.description(incarnation)
            && let Some(thread) = target::living_thread(who.pid, who.pid)
        {
            // `/proc` shows no mappings of a thread that has ended.
            self.collector.processes.look_through(incarnation, thread);
        }
        self.tracer.notice(notice);
    }

    /// Shows the live table; naming frames takes time, so it is made aside, and left out when the last is not done.
    fn show(&mut self) {
        if self.outputs.live.as_ref().is_some_and(|live| !live.is_finished()) || self.pace.rests() {
            return;
        }
        let begun = Instant::now();
        if let Err(error) = self.collector.sweep(u64::MAX) {
            log::debug!("the live table is without the youngest blocks: {error}");
        }
        self.drain();
        let raw = report::Raw::take(
            &mut self.collector,
            &self.tracer,
            &self.outputs.residency,
            self.options,
            None,
        );
        let reporter = self.outputs.reporter.clone();
        let Some(inputs) = self.inputs.clone() else {
            self.outputs.live = Some(tokio::task::spawn_blocking(move || reporter.show_live(raw)));
            return;
        };
        let pace = self.pace.after(begun.elapsed());
        self.outputs.live = Some(tokio::task::spawn_blocking(move || {
            let begun = Instant::now();
            if let Ok(profile) = reporter.finish(raw, None) {
                // A screen that is closed shows nothing.
                let _closed = inputs.send(Input::Profile(Arc::new(profile)));
            }
            pace.made_in(begun.elapsed());
        }));
    }

    /// The screen, if one is asked for.
    fn open_screen(&mut self) -> anyhow::Result<Option<Screen>> {
        let screen = self.options.screen.then(|| Screen::open(None)).transpose()?;
        self.inputs = screen.as_ref().map(|screen| screen.inputs().clone());
        Ok(screen)
    }

    /// Writes what the screen shows.
    fn save(&mut self, profile: Arc<Profile>) {
        if let Some(inputs) = &self.inputs {
            self.outputs.saving.begin(profile, self.options, inputs.clone());
        }
    }
}

/// A program that memtrace started, unless it has ended.
fn living(child: &mut Child) -> Option<&Child> {
    matches!(child.try_wait(), Ok(None)).then_some(child)
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}
