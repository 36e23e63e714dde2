//! Ages of what is live, by class.

use std::time::Duration;

use crate::profile::Amount;

const SECOND_NS: u64 = 1_000_000_000;

/// How much is live of each class of age. Most sites have a few classes, so only those that there are take memory.
#[derive(Clone, Debug, Default)]
pub(super) struct AgeClasses(Vec<(u32, Amount)>);

/// The class of an age: the first holds all below a second, the others one power of two of seconds each.
const fn class(age_ns: u64) -> u32 {
    match age_ns / SECOND_NS {
        0 => 0,
        seconds => seconds.ilog2() + 1,
    }
}

/// The least age of a class.
const fn least(class: u32) -> Duration {
    match class {
        0 => Duration::ZERO,
        class => Duration::from_secs(1 << (class - 1)),
    }
}

impl AgeClasses {
    /// Something of that age is live.
    pub(super) fn add(&mut self, age_ns: u64, amount: Amount) {
        let class = class(age_ns);
        match self.0.iter_mut().find(|(of, _)| *of == class) {
            Some((_, sum)) => sum.add(amount),
            None => self.0.push((class, amount)),
        }
    }

    /// The classes that there are with their least ages, youngest first.
    pub(super) fn into_profile(mut self) -> Vec<(Duration, Amount)> {
        self.0.sort_unstable_by_key(|&(class, _)| class);
        self.0
            .into_iter()
            .map(|(class, amount)| (least(class), amount))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_follow_each_other_without_a_gap() {
        for number in 0..=class(u64::MAX) {
            let first = u64::try_from(least(number).as_nanos()).unwrap();
            assert_eq!(class(first), number);
            if first > 0 {
                assert_eq!(class(first - 1), number - 1);
            }
        }
    }

    #[test]
    fn ages_are_added_up_and_in_order() {
        let mut ages = AgeClasses::default();
        let one = |bytes| Amount { bytes, count: 1 };
        for (seconds, bytes) in [(9, 10), (0, 1), (15, 20), (1, 2)] {
            ages.add(seconds * SECOND_NS, one(bytes));
        }
        let at = Duration::from_secs;
        assert_eq!(
            ages.into_profile(),
            [
                (at(0), one(1)),
                (at(1), one(2)),
                (at(8), Amount { bytes: 30, count: 2 })
            ]
        );
    }
}
