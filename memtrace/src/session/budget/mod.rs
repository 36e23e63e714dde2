//! Holds the targets' slowdown within a budget: measures what observing costs them, and observes less when it is too much.
//!
//! The cost is the number of hits times what a trap costs on this machine ([`trial`]), and the run time of the programs. It is set
//! against the processor time that the targets had for themselves. [`model`] says what each step would cost, and so which is the
//! dearest that the budget allows.

mod account;
mod begin;
mod facts;
mod load;
mod looks;
mod model;
mod trial;

use std::{
    io,
    sync::mpsc::{Receiver, TryRecvError},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use memtrace_common::Counter;

pub(super) use self::trial::STEPPED;
pub use self::trial::{TRIAL, trial};
use self::{
    account::{Account, jitter},
    load::Load,
    looks::Looks,
    model::{Measured, Model, Step, TrapCost},
};
use super::{collector::Collector, tracer::Tracer};
use crate::{clock::now_ns, probe::On, profile};

/// Least time between two measurements: a load that comes at once is endured so long.
const CHECK: Duration = Duration::from_millis(40);

/// What each target adds to that: looking at its clock takes a microsecond.
const CHECK_EACH: Duration = Duration::from_micros(50);

/// The largest weight that a look gives.
const MOST_TIMES: u32 = 10_000;

/// The least length of a window of a burst.
const WINDOW: Duration = Duration::from_millis(100);

/// How long a step is kept before a dearer one: loads come and go.
const PATIENCE: Duration = Duration::from_secs(2);

/// The sampling interval of all steps but the first, unless asked for otherwise: that of tcmalloc and jemalloc.
pub(super) const INTERVAL: u64 = 512 << 10;

/// How long it is waited when probes could not be put on.
const RETRY: Duration = Duration::from_secs(1);

/// What goes on at the present step.
enum Phase {
    /// Everything that the step ever looks at is looked at; in a window, until then.
    Open { until: Option<Instant> },
    /// Between two windows.
    Closed { until: Instant },
    /// Probes are being taken off or put on.
    Changing { done: Receiver<io::Result<()>> },
}

/// See the module's description.
pub(super) struct Budget {
    /// 0.05 is 5 %.
    limit: f64,
    looks: Looks,
    interval: u64,
    trap: TrapCost,
    model: Model,
    load: Load,
    step: Step,
    /// When it began.
    since: Instant,
    on: On,
    phase: Phase,
    checked: Instant,
    counters: [u64; Counter::COUNT],
    /// Sums over all measurements.
    cost_ns: f64,
    own_ns: f64,
    /// How long each step took as often as it is over, in the order in which they came first.
    steps: Vec<profile::StepTime>,
    /// How often the step was changed.
    changes: u64,
    /// The largest weight that windows have given.
    times: u32,
    /// What the windows stand for.
    account: Account,
    /// Whether what is known of blocks is from a look at page level.
    looked: bool,
    /// The only step, for tests.
    fixed: Option<Step>,
}

impl Budget {
    /// Starts to measure, and to sample.
    fn start(&mut self, tracer: &mut Tracer, collector: &mut Collector) -> anyhow::Result<()> {
        let now = Instant::now();
        self.since = now;
        self.looks.start(now);
        self.phase = Phase::Open { until: None };
        self.counters = tracer.counters();
        self.load.since(collector.processes.living_pids(), Duration::ZERO);
        self.checked = now;
        self.account = Account::new(now);
        let Some(step) = self.fixed else {
            return tracer.sample(collector, self.interval, 1);
        };
        self.step = step;
        match step {
            Step::Pages if !self.looks.are_fixed() => self.close(tracer, collector),
            // All probes are on: the first window begins at once.
            Step::Pages | Step::Full | Step::Sampled | Step::Bursts(_) => self.arrived(tracer, collector),
        }
    }

    /// What is due. To be called many times a second.
    fn tick(&mut self, tracer: &mut Tracer, collector: &mut Collector) -> anyhow::Result<()> {
        let now = Instant::now();
        if let Phase::Changing { done } = &self.phase {
            match done.try_recv() {
                Ok(Ok(())) => return self.arrived(tracer, collector),
                Ok(Err(error)) => {
                    tracer.note(format!("probes could not be put on again for a time: {error}"));
                    self.step = Step::Pages;
                    self.on = On::Nothing;
                    self.phase = Phase::Closed { until: now + RETRY };
                }
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected) => anyhow::bail!("nobody takes probes off and puts them on any more"),
            }
            return Ok(());
        }
        let over = match self.phase {
            Phase::Open { until } => until.is_some_and(|until| now >= until),
            Phase::Closed { until } => now >= until,
            Phase::Changing { .. } => false,
        };
        if over || now.duration_since(self.checked) >= Self::pause(collector) {
            self.measure(tracer, collector);
            if self.decide(now, over, tracer, collector)? {
                return Ok(());
            }
        }
        match self.phase {
            Phase::Open { .. } if over => self.close(tracer, collector),
            Phase::Closed { .. } if over => self.switch(On::All, tracer, collector),
            _ => Ok(()),
        }
    }

    /// Time between two measurements.
    fn pause(collector: &Collector) -> Duration {
        let living = u32::try_from(collector.processes.living()).unwrap_or(u32::MAX);
        CHECK + CHECK_EACH.saturating_mul(living)
    }

    /// Takes in what happened since the last time.
    fn measure(&mut self, tracer: &Tracer, collector: &Collector) {
        let now = Instant::now();
        let counters = tracer.counters();
        let since = |counter: Counter| {
            let index = counter as usize;
            counters[index].saturating_sub(self.counters[index]) as f64
        };
        let (hits, timed) = (since(Counter::Hits), since(Counter::TimedHits));
        let wall = now.duration_since(self.checked);
        let measured = Measured {
            wall_ns: wall.as_nanos() as f64,
            cpu_ns: self.load.since(collector.processes.living_pids(), wall) as f64,
            hits: (hits - since(Counter::MappingHits)).max(0.0),
            giving_back: since(Counter::FreeHits),
            stepped: since(Counter::SteppedHits),
            bpf_ns: if timed > 0.0 {
                since(Counter::TimedNs) * hits / timed
            } else {
                0.0
            },
        };
        log::debug!("{:?} with {:?}: {measured:?}", self.step, self.on);
        self.cost_ns += measured.cost_ns(self.trap);
        self.own_ns += measured.own_ns(self.trap);
        if self.on != On::Nothing {
            // A look at page level is all that is known: what was before is too old.
            if self.step == Step::Pages {
                self.model.forget();
            }
            self.model.learn(&measured, self.step, self.on == On::All);
        }
        self.counters = counters;
        self.checked = now;
    }

    /// Changes the step, if another is right: `true` when it did.
    fn decide(
        &mut self,
        now: Instant,
        window_over: bool,
        tracer: &mut Tracer,
        collector: &mut Collector,
    ) -> anyhow::Result<bool> {
        if self.step == Step::Pages && (!window_over || self.on == On::Nothing) {
            // Nothing is known until a look is over.
            return Ok(false);
        }
        let chosen = self.model.choose(self.limit, self.step);
        let next = self.fixed.unwrap_or(chosen);
        // The first step is only a guess.
        let soon = now.duration_since(self.since) < PATIENCE && self.changes > 0;
        if next == self.step || (next < self.step && soon) {
            return Ok(false);
        }
        log::info!(
            "from {:?} to {next:?}: estimated {:.1} % there, {:.1} % here",
            self.step,
            100.0 * self.model.slowdown(next),
            100.0 * self.model.slowdown(self.step)
        );
        let was = std::mem::replace(&mut self.step, next);
        facts::spend(&mut self.steps, was, now.duration_since(self.since));
        self.changes += 1;
        self.since = now;
        match next {
            Step::Pages => self.close(tracer, collector)?,
            Step::Full | Step::Sampled | Step::Bursts(_) => {
                self.end_look(collector)?;
                self.switch(On::All, tracer, collector)?;
            }
        }
        Ok(true)
    }

    /// Ends a window.
    fn close(&mut self, tracer: &mut Tracer, collector: &mut Collector) -> anyhow::Result<()> {
        let pages = self.step == Step::Pages;
        tracer.close_window(pages)?;
        self.looks.end();
        self.account.weigh(0);
        self.switch(if pages { On::Nothing } else { On::GivingBack }, tracer, collector)
    }

    /// What a look at page level has shown says nothing of later.
    pub(super) fn end_look(&mut self, collector: &mut Collector) -> anyhow::Result<()> {
        self.looks.end();
        if std::mem::take(&mut self.looked) {
            collector.forget_blocks(now_ns(), true)?;
        }
        Ok(())
    }

    /// Has other probes on.
    fn switch(&mut self, on: On, tracer: &mut Tracer, collector: &mut Collector) -> anyhow::Result<()> {
        if self.on == on {
            return self.arrived(tracer, collector);
        }
        self.on = on;
        self.phase = Phase::Changing { done: tracer.set(on)? };
        Ok(())
    }

    /// The probes are as they should be.
    fn arrived(&mut self, tracer: &mut Tracer, collector: &mut Collector) -> anyhow::Result<()> {
        // What was between is of no step.
        self.measure(tracer, collector);
        match (self.step, self.on) {
            (Step::Full, _) => {
                tracer.take_every_allocation()?;
                self.account = Account::new(Instant::now());
                self.phase = Phase::Open { until: None };
            }
            (Step::Sampled, _) => {
                tracer.sample(collector, self.interval, 1)?;
                self.account = Account::new(Instant::now());
                self.phase = Phase::Open { until: None };
            }
            (Step::Bursts(times), On::All) => self.open(times, WINDOW, tracer, collector)?,
            (Step::Bursts(_), _) => {
                tracer.close_window(false)?;
                self.phase = Phase::Closed {
                    until: Instant::now() + self.account.ahead().mul_f64(jitter()),
                };
            }
            (Step::Pages, On::All) => {
                let behind = self.account.behind();
                let look = self.looks.each();
                let times = u32::try_from(behind.as_nanos() / look.as_nanos()).unwrap_or(u32::MAX);
                self.open(times.min(MOST_TIMES) + 1, look, tracer, collector)?;
                self.looked = true;
            }
            (Step::Pages, _) => {
                tracer.close_window(true)?;
                if self.looked {
                    self.end_look(collector)?;
                } else {
                    collector.forget_blocks(now_ns(), false)?;
                }
                self.phase = Phase::Closed {
                    until: Instant::now() + self.looks.rest(self.limit),
                };
            }
        }
        Ok(())
    }

    /// Begins a window, in which each allocation stands for `times` as many; it is longer than `least` when that is not enough for
    /// the time that went by unseen.
    fn open(
        &mut self,
        times: u32,
        least: Duration,
        tracer: &mut Tracer,
        collector: &mut Collector,
    ) -> anyhow::Result<()> {
        tracer.sample(collector, self.interval, times)?;
        let needed = self.account.behind() / (times - 1).max(1);
        self.account.weigh(times);
        self.times = self.times.max(times);
        let length = if self.step == Step::Pages {
            least
        } else {
            least.max(needed)
        };
        let now = Instant::now();
        self.looks.begin(now);
        self.phase = Phase::Open {
            until: Some(now + length),
        };
        Ok(())
    }
}

/// Starts to measure and to sample, if there is a budget.
pub(super) fn start(tracer: &mut Tracer, collector: &mut Collector) -> anyhow::Result<()> {
    with(tracer, collector, Budget::start)
}

/// What is due, if there is a budget. To be called many times a second.
pub(super) fn tick(tracer: &mut Tracer, collector: &mut Collector) -> anyhow::Result<()> {
    with(tracer, collector, Budget::tick)
}

fn with(
    tracer: &mut Tracer,
    collector: &mut Collector,
    act: impl FnOnce(&mut Budget, &mut Tracer, &mut Collector) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let Some(mut budget) = tracer.budget.take() else {
        return Ok(());
    };
    let result = act(&mut budget, tracer, collector);
    tracer.budget = Some(budget);
    result.context("failed to change how much is looked at")
}
