//! Two profiles beside each other: what has grown, what is new, what is gone.
//!
//! Sites are the same when their operations are and their stacks have the same functions in the same modules: addresses and lines do
//! not count, so that a program can be compared with its next build, and neither does what was inlined. A frame without a symbol is
//! known by its module alone. Sites of one profile that this makes the same are added up. Groups count where both profiles are split.

mod kinship;
mod matching;

use std::{cmp::Reverse, time::Duration};

use memtrace_common::op::Op;

use super::{Frame, Measure, Profile, calltree::Amounts, plumbing::below_calling};

pub use self::kinship::Kinship;

/// Two profiles and what is different.
#[derive(Debug)]
pub struct Comparison<'a> {
    /// The earlier profile, or whatever the other is compared with.
    pub before: &'a Profile,
    /// The later one.
    pub after: &'a Profile,
    /// Whether both are of one program.
    pub kinship: Kinship,
    /// All sites of memory that either has.
    pub changes: Vec<Change<'a>>,
}

/// A site in both profiles.
#[derive(Clone, Debug)]
pub struct Change<'a> {
    /// The operation.
    pub op: Op,
    /// The name of its group, where both profiles are split.
    pub group: Option<&'a str>,
    /// Its frames, leaf first: those of the later profile, if it is in there.
    pub stack: Vec<&'a Frame>,
    /// Whether a stack was taken.
    pub has_stack: bool,
    /// Its sums in the earlier profile.
    pub before: Amounts,
    /// Its sums in the later one.
    pub after: Amounts,
    /// Change of its live bytes per second within the earlier observation.
    pub growth_before: f64,
    /// The same within the later one.
    pub growth_after: f64,
}

/// What has become of a site.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Kind {
    /// There is more of it.
    Grown,
    /// It is in the later profile only.
    New,
    /// It is in the earlier profile only.
    Gone,
    /// There is less of it.
    Shrunk,
    /// There is as much of it.
    Same,
}

/// A measure of both, in bytes or blocks, or of them per second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Pair {
    /// Of the earlier profile.
    pub before: f64,
    /// Of the later one.
    pub after: f64,
}

/// Durations that differ by less are taken to be equal: no observation ends on the millisecond.
const SAME_LENGTH: f64 = 0.01;

impl<'a> Comparison<'a> {
    /// Compares two profiles.
    pub fn new(before: &'a Profile, after: &'a Profile) -> Self {
        Self {
            before,
            after,
            kinship: Kinship::of(&before.target, &after.target),
            changes: matching::changes(before, after),
        }
    }

    /// Whether a measure is compared by the second: it grows with the time of the observation, and that is not the same.
    pub fn is_rate(&self, measure: Measure) -> bool {
        let (before, after) = (self.before.observed.as_secs_f64(), self.after.observed.as_secs_f64());
        measure.is_cumulative() && (before - after).abs() > SAME_LENGTH * before.max(after)
    }

    /// What a measure makes of sums of both.
    pub fn pair(&self, measure: Measure, before: &Amounts, after: &Amounts) -> Pair {
        let per_second = |value: u64, observed: Duration| {
            if self.is_rate(measure) {
                value as f64 / observed.as_secs_f64().max(f64::MIN_POSITIVE)
            } else {
                value as f64
            }
        };
        Pair {
            before: per_second(before.value(measure), self.before.observed),
            after: per_second(after.value(measure), self.after.observed),
        }
    }

    /// The same of a site.
    pub fn of(&self, measure: Measure, change: &Change<'_>) -> Pair {
        self.pair(measure, &change.before, &change.after)
    }

    /// The same of all memory.
    pub fn total(&self, measure: Measure) -> Pair {
        let sum =
            |side: fn(&Change<'_>) -> Amounts| self.changes.iter().map(side).fold(Amounts::default(), Amounts::plus);
        self.pair(measure, &sum(|change| change.before), &sum(|change| change.after))
    }

    /// The sites by what has become of them: what has grown first, then new, gone and shrunk ones, the largest change of each first;
    /// what is the same last.
    pub fn sorted(&self, measure: Measure) -> Vec<(Kind, Pair, &Change<'a>)> {
        let judged = |change| {
            let pair = self.of(measure, change);
            (pair.kind(), pair, change)
        };
        let mut all: Vec<_> = self.changes.iter().map(judged).collect();
        // The sort is stable, and the changes are in a fixed order.
        all.sort_by(|one, other| {
            let size = |pair: &Pair| pair.change().abs();
            one.0
                .cmp(&other.0)
                .then_with(|| size(&other.1).total_cmp(&size(&one.1)))
        });
        all
    }

    /// Why a measure cannot be compared, where one of the profiles does not have it.
    pub fn unknown(&self, measure: Measure) -> Option<&'static str> {
        measure.unknown(self.before).or_else(|| measure.unknown(self.after))
    }
}

impl Pair {
    /// How much more there is; below nothing when it is less.
    pub fn change(self) -> f64 {
        self.after - self.before
    }

    /// What has become of it.
    pub fn kind(self) -> Kind {
        match (self.before > 0.0, self.after > 0.0) {
            (false, true) => Kind::New,
            (true, false) => Kind::Gone,
            _ if self.after > self.before => Kind::Grown,
            _ if self.after < self.before => Kind::Shrunk,
            _ => Kind::Same,
        }
    }
}

impl Change<'_> {
    /// The frames from the caller of the allocator on, as [`Profile::calling_stack`].
    pub fn calling_stack(&self) -> &[&Frame] {
        let first = below_calling(self.stack.iter().copied());
        &self.stack[first..]
    }

    /// The larger of both live amounts, which is the order of changes that are equal otherwise.
    fn size(&self) -> Reverse<u64> {
        Reverse(self.after.live.bytes.max(self.before.live.bytes))
    }
}

#[cfg(test)]
mod tests;
