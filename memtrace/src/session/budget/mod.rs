//! Holds the targets' slowdown within a budget: measures what observing costs them, and observes less when it is too much.
//!
//! The cost is the number of hits times what a trap costs on this machine ([`trial`]), and the run time of the programs. It is set
//! against the processor time that the targets had for themselves. [`model`] says what each step would cost, and so which is the
//! dearest that the budget allows.

mod facts;
mod load;
mod model;
mod trial;

use std::{
    sync::mpsc::{Receiver, TryRecvError},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use memtrace_common::Counter;

pub(super) use self::trial::STEPPED;
pub use self::trial::{TRIAL, trial};
use self::{
    load::Load,
    model::{Measured, Model, Step, TrapCost},
};
use super::{collector::Collector, tracer::Tracer};
use crate::{cli::Step as Fixed, clock::now_ns, options::Options, probe::On};

/// Least time between two measurements: a load that comes at once is endured so long.
const CHECK: Duration = Duration::from_millis(40);

/// What each target adds to that: looking at its clock takes a microsecond.
const CHECK_EACH: Duration = Duration::from_micros(50);

/// Length of a look at the allocator at page level: the targets may all but stand still meanwhile.
const LOOK: Duration = Duration::from_millis(50);

/// The share of the budget that such looks may take.
const LOOKS: f64 = 0.25;

/// The largest weight that a look gives.
const MOST_TIMES: u32 = 10_000;

/// The least length of a window of a burst.
const WINDOW: Duration = Duration::from_millis(100);

/// How long a step is kept before a dearer one: loads come and go.
const PATIENCE: Duration = Duration::from_secs(2);

/// The sampling interval of all steps but the first, unless asked for otherwise: that of tcmalloc and jemalloc.
const INTERVAL: u64 = 512 << 10;

/// What goes on at the present step.
enum Phase {
    /// Everything that the step ever looks at is looked at; in a window, until then.
    Open { since: Instant, until: Option<Instant> },
    /// Between two windows.
    Closed { since: Instant, until: Instant },
    /// Probes are being taken off or put on.
    Changing { done: Receiver<Duration>, window: Duration },
}

/// See the module's description.
pub(super) struct Budget {
    /// 0.05 is 5 %.
    limit: f64,
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
    /// How long each step took that is over.
    steps: Vec<(Step, Duration)>,
    /// The largest weight that windows have given.
    times: u32,
    /// The only step, for tests.
    fixed: Option<Step>,
}

impl Budget {
    /// Begins with a sample; all probes are on. Tries out what a trap costs.
    ///
    /// # Errors
    /// When that cannot be tried out, or probes cannot be taken off quickly on this kernel.
    pub(super) fn begin(limit: f64, options: &Options, tracer: &mut Tracer) -> anyhow::Result<Self> {
        if let Some(why) = tracer.cannot_pause()? {
            anyhow::bail!(
                "--budget is not supported here: probes cannot be taken off and put on again quickly ({why}); --sample works everywhere"
            );
        }
        let trap =
            trial::trap_cost(tracer).context("failed to find out what a probe costs here (leave --budget out)")?;
        let now = Instant::now();
        Ok(Self {
            limit,
            interval: options.sample.unwrap_or(INTERVAL),
            trap,
            model: Model::new(trap),
            load: Load::default(),
            step: Step::Sampled,
            since: now,
            on: On::All,
            phase: Phase::Open {
                since: now,
                until: None,
            },
            checked: now,
            counters: [0; Counter::COUNT],
            cost_ns: 0.0,
            own_ns: 0.0,
            steps: Vec::new(),
            times: 1,
            fixed: options.step.map(|step| match step {
                Fixed::Full => Step::Full,
                Fixed::Sampled => Step::Sampled,
                Fixed::Bursts => Step::Bursts(4),
                Fixed::Pages => Step::Pages,
            }),
        })
    }

    /// Starts to measure, and to sample.
    fn start(&mut self, tracer: &mut Tracer, collector: &mut Collector) -> anyhow::Result<()> {
        let now = Instant::now();
        self.since = now;
        self.phase = Phase::Open {
            since: now,
            until: None,
        };
        self.counters = tracer.counters();
        self.load.since(collector.processes.living_pids(), Duration::ZERO);
        self.checked = now;
        match self.fixed {
            None => tracer.sample(collector, self.interval, 1),
            Some(step) => {
                self.step = step;
                match step {
                    Step::Pages => self.close(LOOK, tracer, collector),
                    Step::Full | Step::Sampled | Step::Bursts(_) => self.arrived(Duration::ZERO, tracer, collector),
                }
            }
        }
    }

    /// What is due. To be called many times a second.
    fn tick(&mut self, tracer: &mut Tracer, collector: &mut Collector) -> anyhow::Result<()> {
        let now = Instant::now();
        if let Phase::Changing { done, window } = &self.phase {
            match done.try_recv() {
                Ok(_took) => {
                    let window = *window;
                    return self.arrived(window, tracer, collector);
                }
                Err(TryRecvError::Empty) => return Ok(()),
                Err(TryRecvError::Disconnected) => anyhow::bail!("nobody takes probes off and puts them on any more"),
            }
        }
        let over = match self.phase {
            Phase::Open { until, .. } => until.is_some_and(|until| now >= until),
            Phase::Closed { until, .. } => now >= until,
            Phase::Changing { .. } => false,
        };
        if over || now.duration_since(self.checked) >= Self::pause(collector) {
            self.measure(tracer, collector);
            if self.decide(now, over, tracer, collector)? {
                return Ok(());
            }
        }
        if !over {
            return Ok(());
        }
        match self.phase {
            Phase::Open { since, .. } => self.close(now.duration_since(since), tracer, collector),
            Phase::Closed { since, .. } => self.switch(On::All, now.duration_since(since), tracer, collector),
            Phase::Changing { .. } => Ok(()),
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
        let soon = now.duration_since(self.since) < PATIENCE && self.steps_taken();
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
        self.steps.push((was, now.duration_since(self.since)));
        self.since = now;
        match next {
            Step::Pages => self.close(LOOK, tracer, collector)?,
            Step::Full | Step::Sampled | Step::Bursts(_) => self.switch(On::All, Duration::ZERO, tracer, collector)?,
        }
        Ok(true)
    }

    /// Whether any step is over: the first one is only a guess.
    fn steps_taken(&self) -> bool {
        !self.steps.is_empty()
    }

    /// Ends a window that was open so long.
    fn close(&mut self, window: Duration, tracer: &mut Tracer, collector: &mut Collector) -> anyhow::Result<()> {
        tracer.close_window(self.step == Step::Pages)?;
        let on = if self.step == Step::Pages {
            On::Nothing
        } else {
            On::GivingBack
        };
        self.switch(on, window, tracer, collector)
    }

    /// Has other probes on. `window` is how long the phase was that ends.
    fn switch(
        &mut self,
        on: On,
        window: Duration,
        tracer: &mut Tracer,
        collector: &mut Collector,
    ) -> anyhow::Result<()> {
        if self.on == on {
            return self.arrived(window, tracer, collector);
        }
        if self.on == On::Nothing {
            // What was freed meanwhile was not seen.
            collector.take_all()?;
            collector.forget_blocks(now_ns());
        }
        self.on = on;
        self.phase = Phase::Changing {
            done: tracer.set(on)?,
            window,
        };
        Ok(())
    }

    /// The probes are as they should be.
    fn arrived(&mut self, window: Duration, tracer: &mut Tracer, collector: &mut Collector) -> anyhow::Result<()> {
        let now = Instant::now();
        // What was between is of no step.
        self.measure(tracer, collector);
        self.phase = match (self.step, self.on) {
            (Step::Full, _) => {
                tracer.take_every_allocation()?;
                Phase::Open {
                    since: now,
                    until: None,
                }
            }
            (Step::Sampled, _) => {
                tracer.sample(collector, self.interval, 1)?;
                Phase::Open {
                    since: now,
                    until: None,
                }
            }
            (Step::Bursts(times), On::All) => {
                tracer.sample(collector, self.interval, times)?;
                self.times = self.times.max(times);
                Phase::Open {
                    since: now,
                    until: Some(now + WINDOW),
                }
            }
            (Step::Bursts(times), _) => {
                tracer.close_window(false)?;
                Phase::Closed {
                    since: now,
                    until: now + window.mul_f64(f64::from(times - 1) * jitter()),
                }
            }
            (Step::Pages, On::All) => {
                // So much of the time is seen of which so little is looked at.
                let times = window.as_nanos() / LOOK.as_nanos() + 1;
                let times = u32::try_from(times).unwrap_or(u32::MAX).min(MOST_TIMES);
                tracer.sample(collector, self.interval, times)?;
                self.times = self.times.max(times);
                Phase::Open {
                    since: now,
                    until: Some(now + LOOK),
                }
            }
            (Step::Pages, _) => {
                tracer.close_window(true)?;
                Phase::Closed {
                    since: now,
                    until: now + LOOK.mul_f64(jitter() / (LOOKS * self.limit)),
                }
            }
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
    result.context("failed to keep within the budget")
}

/// A random number between 0.5 and 1.5: windows must not keep step with what the targets do again and again.
fn jitter() -> f64 {
    // The time in nanoseconds, mixed (SplitMix64: Steele, Lea and Flood, OOPSLA 2014).
    let mut mixed = now_ns().wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    0.5 + (mixed >> 11) as f64 / (1_u64 << 53) as f64
}
