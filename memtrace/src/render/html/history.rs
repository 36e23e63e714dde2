//! Live bytes of sites over time, as differences: most sites rarely change, and then there is next to nothing to keep.

use std::{collections::BTreeSet, time::Duration};

use serde::Serialize;

use crate::profile::Site;

/// All histories.
#[derive(Debug, Default, Serialize)]
pub(super) struct Histories {
    /// Every moment that any site has, in nanoseconds since the start.
    moments: Vec<u64>,
    /// How many moments each site has.
    length: Vec<usize>,
    /// Of each moment of each site, how many indices after the one before; the first from -1 on.
    step: Vec<i64>,
    /// Of each moment of each site, how much more it is than at the one before, the first than nothing.
    change: Vec<i128>,
}

/// The histories of sites in their order.
pub(super) fn histories<'a, S: Iterator<Item = &'a Site> + Clone>(sites: S) -> Histories {
    let moments: BTreeSet<Duration> = (sites.clone())
        .flat_map(|site| site.history.iter().map(|(at, _)| at))
        .collect();
    let moments: Vec<Duration> = moments.into_iter().collect();
    let mut found = Histories::default();
    for site in sites {
        found.length.push(site.history.len());
        let (mut before, mut bytes) = (0, 0);
        for (at, now) in site.history.iter() {
            // In order of time, unless a recording was tampered with.
            let index = i64::try_from(moments.partition_point(|moment| *moment <= at)).unwrap_or(i64::MAX);
            found.step.push(index - before);
            found.change.push(i128::from(now) - bytes);
            (before, bytes) = (index, i128::from(now));
        }
    }
    found.moments = moments.into_iter().map(nanoseconds).collect();
    found
}

/// At most what fits: five centuries.
pub(super) fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
