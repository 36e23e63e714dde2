//! How sure sums are that were estimated from a sample.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Amount, Profile, Site};
use crate::units::whole;

/// How allocations were chosen. Each that was taken stands for as many as it has to, so that sums are right on average.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Sampling {
    /// A block of so many bytes or more is always taken, a smaller one with the probability size / interval.
    pub interval_bytes: u64,
    /// Of how much of the time a part was looked at, at the least: what was taken then stands for so many times as much.
    pub times: u32,
    /// Allocations that were passed over while they were looked at.
    pub passed_over: Amount,
}

/// What was done to keep the targets' slowdown within a budget.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct Budget {
    /// By how much the targets' work may take longer: 0.05 is 5 %.
    pub limit: f64,
    /// By how much it did, as estimated from the hits, their cost and the targets' processor time.
    pub slowdown: f64,
    /// What a hit was found to cost besides the programs' run time, in nanoseconds, on an instruction that the kernel emulates.
    pub trap_ns: f64,
    /// The same on one that it steps through.
    pub stepped_trap_ns: f64,
    /// How long each step took.
    pub steps: Vec<StepTime>,
    /// How often the step was changed.
    pub changes: u64,
}

impl Budget {
    /// For how long nothing of the allocator was seen but its mappings, and what short looks show; `None` if there was no such time.
    pub fn pages_alone(&self) -> Option<Duration> {
        let pages = self.steps.iter().filter(|time| time.step == "pages");
        let seconds: f64 = pages.map(|time| time.seconds).sum();
        (seconds > 0.0).then(|| Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
    }
}

/// The time at a step.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct StepTime {
    /// `full`: every allocation and its stack. `sampled`: stacks for a sample. `bursts`: a sample in windows, every free.
    /// `pages`: mappings, and short looks at the allocator.
    pub step: String,
    /// All of it together.
    pub seconds: f64,
}

/// Windows in which every object was followed; what was allocated in them stands for all the time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Windows {
    /// How many there were.
    pub count: u64,
    /// How long they took together.
    pub seconds: f64,
    /// Of what time they are a part, and for which they stand.
    pub of_seconds: f64,
}

/// Standard deviations between an estimate and the ends of its error bar: 95 % of a normal distribution lie inside.
const DEVIATIONS: f64 = 1.96;

impl Sampling {
    /// Half the length of the error bar of an estimate, in bytes: the true value lies within it 19 times of 20. `sizes` are classes of
    /// blocks, as (least size in bytes, how many), of which it is a sum.
    ///
    /// A block that stands for `n` of `size` bytes adds `(n size)^2 (1 - 1/n)` to the variance (Horvitz and Thompson, 1952).
    /// That is its estimate times `n size - size`, where `n size` is the interval for a block smaller than that; so sums are
    /// enough. Windows are taken as if what is allocated in them had been drawn one by one.
    pub fn error(&self, bytes: u64, sizes: &[(u64, u64)]) -> u64 {
        let times = f64::from(self.times);
        let interval = self.interval_bytes as f64;
        let (mut all, mut variance) = (0.0, 0.0);
        for &(size, count) in sizes {
            let (size, count) = (size as f64, count as f64);
            let estimate = size * count;
            all += estimate;
            variance += estimate * (interval.max(size) * times - size);
        }
        if all == 0.0 {
            return 0;
        }
        whole(DEVIATIONS * (variance / all * bytes as f64).sqrt())
    }
}

impl Profile {
    /// For how long, within a budget, it was not seen which blocks were taken and given back; `None` if there was no such time.
    pub fn pages_alone(&self) -> Option<Duration> {
        self.health.budget.as_ref().and_then(Budget::pages_alone)
    }

    /// Half the length of the error bar of a sum over allocations of a site, in bytes; `None` where the sum is exact: nothing was
    /// sampled, or it is of mappings, which never are.
    pub fn error(&self, site: &Site, amount: Amount) -> Option<u64> {
        let sampling = self.health.sampling.as_ref()?;
        site.is_sampled()
            .then(|| sampling.error(amount.bytes, &site.spread.sizes))
    }

    /// The same of live bytes of a site, or of a part of them.
    pub fn live_error(&self, site: &Site, amount: Amount) -> Option<u64> {
        match (site.live_variance, site.live.bytes) {
            (Some(variance), live) if live > 0 && self.health.sampling.is_some() && site.is_sampled() => {
                let part = amount.bytes as f64 / live as f64;
                Some(whole(DEVIATIONS * (variance * part).sqrt()))
            }
            _ => self.error(site, amount),
        }
    }

    /// The same of all sites together: the errors of independent draws add up as squares.
    pub fn total_error(&self, of: impl Fn(&Site) -> Option<u64>) -> Option<u64> {
        self.health.sampling.as_ref()?;
        let errors = self.memory_sites().filter_map(of);
        Some(whole(errors.map(|error| (error as f64).powi(2)).sum::<f64>().sqrt()))
    }
}

impl Site {
    /// Whether its allocations are drawn where others are: mappings never are.
    pub fn is_sampled(&self) -> bool {
        self.op.class() == memtrace_common::op::Class::Heap
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLING: Sampling = Sampling {
        interval_bytes: 1 << 19,
        times: 1,
        passed_over: Amount { bytes: 0, count: 0 },
    };

    #[test]
    fn a_hundred_samples_are_right_to_a_fifth() {
        let bytes = 100 << 19;
        let share = SAMPLING.error(bytes, &[(64, bytes / 64)]) as f64 / bytes as f64;
        assert!((0.19..0.2).contains(&share), "{share}");
        // What is always taken beside it makes it no better and no worse.
        let mixed = SAMPLING.error(2 * bytes, &[(64, bytes / 64), (1 << 20, bytes >> 20)]) as f64 / bytes as f64;
        assert!((share - mixed).abs() < 0.001, "{mixed}");
    }

    #[test]
    fn what_is_always_taken_is_exact() {
        assert_eq!(SAMPLING.error(3 << 20, &[(1 << 20, 3)]), 0);
        assert_eq!(SAMPLING.error(0, &[]), 0);
        assert_eq!(SAMPLING.error(u64::MAX, &[(1 << 63, 1)]), 0);
        let bursts = Sampling { times: 4, ..SAMPLING };
        // One block of three quarters that were not looked at.
        let error = bursts.error(4 << 20, &[(1 << 20, 4)]);
        assert_eq!(error, whole(1.96 * 12_f64.sqrt() * f64::from(1 << 20)));
    }
}
