//! How a budget begins.

use std::time::Instant;

use anyhow::Context as _;
use memtrace_common::Counter;

use super::{
    Budget, INTERVAL, Phase,
    account::Account,
    load::Load,
    looks::Looks,
    model::{Model, Step, TrapCost},
    trial,
};
use crate::{
    cli::{Step as Fixed, Windows},
    options::Options,
    probe::On,
    session::tracer::Tracer,
};

impl Budget {
    /// Begins with a sample; all probes are on. Tries out what a trap costs.
    ///
    /// # Errors
    /// When that cannot be tried out, or probes cannot be taken off quickly on this kernel.
    pub(in crate::session) fn begin(limit: f64, options: &Options, tracer: &mut Tracer) -> anyhow::Result<Self> {
        if let Some(why) = tracer.cannot_pause()? {
            anyhow::bail!(
                "--budget is not supported here: probes cannot be taken off and put on again quickly ({why}); --sample works everywhere"
            );
        }
        let trap =
            trial::trap_cost(tracer).context("failed to find out what a probe costs here (leave --budget out)")?;
        let fixed = options.step.map(|step| match step {
            Fixed::Full => Step::Full,
            Fixed::Sampled => Step::Sampled,
            Fixed::Bursts => Step::Bursts(4),
            Fixed::Pages => Step::Pages,
        });
        Ok(Self::new(limit, options.sample.unwrap_or(INTERVAL), trap, fixed))
    }

    /// Looks at everything in windows, whatever that costs in them.
    ///
    /// # Errors
    /// When probes cannot be taken off quickly on this kernel.
    pub(in crate::session) fn in_windows(
        windows: Windows,
        options: &Options,
        tracer: &mut Tracer,
    ) -> anyhow::Result<Self> {
        if let Some(why) = tracer.cannot_pause()? {
            anyhow::bail!(
                "windows of --python-exact are not supported here: probes cannot be taken off and put on again quickly ({why}); without \
                 them, bound it by --duration"
            );
        }
        Ok(Self {
            looks: Looks::in_windows(windows),
            // Every block is in a sample of one for each byte.
            ..Self::new(1.0, options.sample.unwrap_or(1), TrapCost::default(), Some(Step::Pages))
        })
    }

    fn new(limit: f64, interval: u64, trap: TrapCost, fixed: Option<Step>) -> Self {
        let now = Instant::now();
        Self {
            limit,
            looks: Looks::default(),
            interval,
            trap,
            model: Model::new(trap),
            load: Load::default(),
            step: Step::Sampled,
            since: now,
            on: On::All,
            phase: Phase::Open { until: None },
            checked: now,
            counters: [0; Counter::COUNT],
            cost_ns: 0.0,
            own_ns: 0.0,
            steps: Vec::new(),
            changes: 0,
            times: 1,
            account: Account::new(now),
            looked: false,
            fixed,
        }
    }
}
