//! How the allocations of a site are spread over classes of size and of lifetime.

use std::time::Duration;

use memtrace_common::{event::Pairs, young};

use crate::profile;

/// How many there are of each class. Most sites have one class or two, so only those that there are take memory.
#[derive(Debug, Default)]
pub(super) struct Histogram(Vec<(u8, u64)>);

impl Histogram {
    /// There are more of a class.
    #[inline]
    pub(super) fn add(&mut self, class: u8, count: u64) {
        match self.0.binary_search_by_key(&class, |&(class, _)| class) {
            Ok(at) => {
                if let Some((_, sum)) = self.0.get_mut(at) {
                    *sum = sum.saturating_add(count);
                }
            }
            Err(at) => self.0.insert(at, (class, count)),
        }
    }

    /// The classes that there are, in their order, with how many there are of each.
    fn iter(&self) -> impl ExactSizeIterator<Item = (u8, u64)> {
        self.0.iter().copied()
    }
}

/// Both of a site.
#[derive(Debug, Default)]
pub(super) struct Spread {
    /// Allocations by [`young::size_class`].
    pub(super) sizes: Histogram,
    /// Freed blocks by [`young::lifetime_class`].
    pub(super) lifetimes: Histogram,
}

impl Spread {
    /// Blocks have come and gone.
    pub(super) fn pass(&mut self, pairs: &Pairs) {
        // From a recording that is damaged it may be none.
        let class = u8::try_from(pairs.class).unwrap_or(u8::MAX);
        self.sizes.add(young::size_class(young::least_size(class)), pairs.count);
        for (class, &count) in (0..).zip(&pairs.lifetimes) {
            if count > 0 {
                self.lifetimes.add(class, count.into());
            }
        }
    }

    /// What a report says of it.
    pub(super) fn to_profile(&self) -> profile::Spread {
        let lifetime = |class| Duration::from_nanos(young::least_lifetime(class));
        profile::Spread {
            temporary: None,
            sizes: self
                .sizes
                .iter()
                .map(|(class, count)| (young::least_size(class), count))
                .collect(),
            lifetimes: self
                .lifetimes
                .iter()
                .map(|(class, count)| (lifetime(class), count))
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_in_order_and_sums_do_not_overflow() {
        let mut histogram = Histogram::default();
        for (class, count) in [(9, 1), (3, 2), (200, 3), (3, u64::MAX), (9, 1)] {
            histogram.add(class, count);
        }
        let all: Vec<_> = histogram.iter().collect();
        assert_eq!(all, [(3, u64::MAX), (9, 2), (200, 3)]);
    }
}
