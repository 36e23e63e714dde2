//! What reports say of a budget.

use std::time::Duration;

use super::{Budget, model::Step};
use crate::profile;

impl Budget {
    /// Whether blocks are followed at the present step, all of them or a sample.
    pub(in crate::session) fn sees_blocks(&self) -> bool {
        self.step != Step::Pages
    }

    /// What reports say of windows that the user has fixed.
    pub(in crate::session) fn windows(&self) -> Option<profile::Windows> {
        self.looks.facts()
    }

    /// What reports say of a budget.
    pub(in crate::session) fn facts(&self) -> Option<profile::Budget> {
        if self.looks.are_fixed() {
            return None;
        }
        let mut steps = self.steps.clone();
        spend(&mut steps, self.step, self.since.elapsed());
        Some(profile::Budget {
            limit: self.limit,
            slowdown: if self.own_ns > 0.0 {
                self.cost_ns / self.own_ns
            } else {
                0.0
            },
            trap_ns: self.trap.emulated_ns,
            stepped_trap_ns: self.trap.stepped_ns,
            steps,
            changes: self.changes,
        })
    }

    /// The sampling interval in bytes and the largest part of time that stood for others, once something was sampled.
    pub(in crate::session) const fn sampling(&self) -> (u64, u32) {
        (self.interval, self.times)
    }
}

/// Adds a time to those that were spent at the steps.
pub(super) fn spend(steps: &mut Vec<profile::StepTime>, step: Step, time: Duration) {
    match steps.iter_mut().find(|known| known.step == step.name()) {
        Some(known) => known.seconds += time.as_secs_f64(),
        None => steps.push(profile::StepTime {
            step: step.name().to_owned(),
            seconds: time.as_secs_f64(),
        }),
    }
}
