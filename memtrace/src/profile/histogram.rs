//! How the allocations of several sites are spread together, over classes of size and of lifetime.

use std::{borrow::Borrow, collections::BTreeMap, time::Duration};

use memtrace_common::young;

use super::{Amount, Site, filter::greatest_size};

/// A class and how many there are in it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Bin<T> {
    /// The least value in it.
    pub least: T,
    /// The greatest value in it, or `None` where it has no end.
    pub greatest: Option<T>,
    /// How many allocations.
    pub count: u64,
}

/// The spread of the allocations of some sites.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Histogram {
    /// Allocations by the size of the block in bytes, smallest first; classes that are empty are left out.
    pub sizes: Vec<Bin<u64>>,
    /// Freed blocks by the time that they lived, shortest first; classes that are empty are left out.
    pub lifetimes: Vec<Bin<Duration>>,
    /// Ever allocated.
    pub allocated: Amount,
    /// Not yet freed: in no class of lifetime.
    pub live: Amount,
}

impl Histogram {
    /// Of some sites together.
    pub fn of(sites: impl IntoIterator<Item: Borrow<Site>>) -> Self {
        let (mut sizes, mut lifetimes) = (BTreeMap::new(), BTreeMap::new());
        let mut histogram = Self::default();
        for site in sites {
            let site = site.borrow();
            histogram.allocated = histogram.allocated.plus(site.allocated);
            histogram.live = histogram.live.plus(site.live);
            for &(least, count) in &site.spread.sizes {
                add(&mut sizes, least, count);
            }
            for &(least, count) in &site.spread.lifetimes {
                add(&mut lifetimes, least, count);
            }
        }
        histogram.sizes = sizes
            .into_iter()
            .map(|(least, count)| Bin {
                least,
                greatest: Some(greatest_size(least)).filter(|&greatest| greatest < u64::MAX),
                count,
            })
            .collect();
        histogram.lifetimes = lifetimes
            .into_iter()
            .map(|(least, count)| Bin {
                least,
                greatest: greatest_lifetime(least),
                count,
            })
            .collect();
        histogram
    }

    /// The sizes by powers of two: four classes in one, those below 8 bytes too.
    pub fn coarse_sizes(&self) -> Vec<Bin<u64>> {
        let mut coarse: Vec<Bin<u64>> = Vec::new();
        for bin in &self.sizes {
            let power = bin.least.checked_ilog2().filter(|&power| power >= 3);
            let least = power.map_or(0, |power| 1 << power);
            match coarse.last_mut().filter(|last| last.least == least) {
                Some(last) => last.count = last.count.saturating_add(bin.count),
                None => coarse.push(Bin {
                    least,
                    greatest: match power {
                        None => Some(7),
                        Some(63) => None,
                        Some(power) => Some((2 << power) - 1),
                    },
                    count: bin.count,
                }),
            }
        }
        coarse
    }

    /// The fewest bytes that the allocations of sizes from `least` to `greatest` can have together.
    pub fn least_bytes(&self, least: u64, greatest: Option<u64>) -> u64 {
        let within = |bin: &&Bin<u64>| bin.least >= least && greatest.is_none_or(|greatest| bin.least <= greatest);
        let bytes = |bin: &Bin<u64>| bin.least.saturating_mul(bin.count);
        self.sizes.iter().filter(within).map(bytes).fold(0, u64::saturating_add)
    }
}

/// The class in which the allocation lies that a share of all (from 0 to 1) is not above; `None` of nothing.
pub fn percentile<T: Copy>(bins: &[Bin<T>], share: f64) -> Option<Bin<T>> {
    let all: u128 = bins.iter().map(|bin| u128::from(bin.count)).sum();
    let mut sum = 0_u128;
    bins.iter()
        .filter(|bin| bin.count > 0)
        .find(|bin| {
            sum += u128::from(bin.count);
            sum as f64 >= share * all as f64
        })
        .or_else(|| bins.iter().rfind(|bin| bin.count > 0))
        .copied()
}

fn add<K: Ord>(sums: &mut BTreeMap<K, u64>, key: K, count: u64) {
    let sum = sums.entry(key).or_default();
    *sum = sum.saturating_add(count);
}

/// The greatest lifetime of the class that begins with one.
fn greatest_lifetime(least: Duration) -> Option<Duration> {
    let nanoseconds = u64::try_from(least.as_nanos()).unwrap_or(u64::MAX);
    let next = usize::from(young::lifetime_class(nanoseconds)) + 1;
    let next = u8::try_from(next)
        .ok()
        .filter(|&next| usize::from(next) < young::LIFETIMES)?;
    Some(Duration::from_nanos(young::least_lifetime(next) - 1))
}

#[cfg(test)]
mod tests {
    use memtrace_common::op::Op;
    use proptest::prelude::*;

    use super::*;
    use crate::profile::fixture::SiteSpec;

    fn site(sizes: &[(u64, u64)], lifetimes: &[(u64, u64)]) -> Site {
        let mut site = SiteSpec::new(Op::Malloc).site;
        site.spread.sizes = sizes.to_vec();
        let nanoseconds = |&(least, count): &(u64, u64)| (Duration::from_nanos(least), count);
        site.spread.lifetimes = lifetimes.iter().map(nanoseconds).collect();
        site
    }

    #[test]
    fn classes_of_several_sites_are_added_up() {
        let sites = [
            site(&[(64, 5), (96, 1)], &[(0, 3)]),
            site(&[(16, 2), (64, 1)], &[(0, 1), (1 << 38, 7)]),
        ];
        let histogram = Histogram::of(&sites);
        let sizes: Vec<_> = histogram
            .sizes
            .iter()
            .map(|bin| (bin.least, bin.greatest, bin.count))
            .collect();
        assert_eq!(sizes, [(16, Some(19), 2), (64, Some(79), 6), (96, Some(111), 1)]);
        let lifetimes: Vec<_> = histogram
            .lifetimes
            .iter()
            .map(|bin| (bin.greatest, bin.count))
            .collect();
        assert_eq!(lifetimes, [(Some(Duration::from_nanos(1023)), 4), (None, 7)]);
        let coarse: Vec<_> = histogram
            .coarse_sizes()
            .iter()
            .map(|bin| (bin.least, bin.greatest, bin.count))
            .collect();
        assert_eq!(coarse, [(16, Some(31), 2), (64, Some(127), 7)]);
        assert_eq!(histogram.least_bytes(64, Some(127)), 6 * 64 + 96);
    }

    #[test]
    fn percentiles_are_classes() {
        let histogram = Histogram::of(&[site(&[(8, 50), (16, 40), (1024, 10)], &[])]);
        let at = |share| percentile(&histogram.sizes, share).map(|bin| bin.least);
        assert_eq!(
            [0.0, 0.5, 0.51, 0.9, 0.91, 1.0].map(at),
            [8, 8, 16, 16, 1024, 1024].map(Some)
        );
        assert_eq!(percentile(&histogram.lifetimes, 0.5), None);
    }

    proptest! {
        #[test]
        fn nothing_is_left_out(sizes: Vec<(u64, u32)>, shift in 0..64_u32) {
            let sizes: Vec<_> = sizes.iter().map(|&(size, count)| {
                (young::least_size(young::size_class(size >> shift)), u64::from(count))
            }).collect();
            let all: u64 = sizes.iter().map(|&(_, count)| count).sum();
            let histogram = Histogram::of(&[site(&sizes, &[])]);
            let sum = |bins: &[Bin<u64>]| bins.iter().map(|bin| bin.count).sum::<u64>();
            prop_assert_eq!(sum(&histogram.sizes), all);
            let coarse = histogram.coarse_sizes();
            prop_assert_eq!(sum(&coarse), all);
            prop_assert!(coarse.windows(2).all(|pair| pair[0].greatest.unwrap() < pair[1].least));
            let bytes = coarse.iter().map(|bin| histogram.least_bytes(bin.least, bin.greatest));
            let whole = histogram.least_bytes(0, None);
            prop_assert_eq!(bytes.fold(0, u64::saturating_add), whole);
        }
    }
}
