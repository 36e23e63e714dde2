//! The sums of the sites that a filter has left.

use memtrace_common::op::Class;

use super::super::{Amount, Moment, Profile, Site, Totals};

/// Makes totals and timeline those of the sites.
pub(super) fn add_up(profile: &mut Profile) {
    let sum = |amounts: &mut dyn Iterator<Item = Amount>| amounts.fold(Amount::default(), Amount::plus);
    let by_class = profile.totals.live_by_class.iter().map(|&(class, _)| {
        let live = sum(&mut of_class(&profile.sites, class).map(|site| site.live));
        (class, live)
    });
    let live = sum(&mut profile.memory_sites().map(|site| site.live));
    let totals = Totals {
        live,
        allocated: sum(&mut profile.memory_sites().map(|site| site.allocated)),
        peak_live_bytes: peak(profile).max(live.bytes),
        live_by_class: by_class.collect(),
    };
    profile.timeline = timeline(profile);
    profile.totals = totals;
}

fn of_class(sites: &[Site], class: Class) -> impl Iterator<Item = &Site> {
    sites.iter().filter(move |site| site.op.class() == class)
}

/// The largest sum of the histories at one moment; no more than that is kept of each site.
fn peak(profile: &Profile) -> u64 {
    let mut sums: Vec<u64> = Vec::new();
    for site in profile.memory_sites() {
        sums.resize(sums.len().max(site.history.len()), 0);
        for (sum, (_, bytes)) in sums.iter_mut().zip(site.history.iter()) {
            *sum = sum.saturating_add(bytes);
        }
    }
    sums.into_iter().max().unwrap_or(0)
}

/// The moments with live bytes of the sites alone; none where their histories are of other moments.
fn timeline(profile: &Profile) -> Vec<Moment> {
    let fits = |site: &Site| {
        let times = site.history.iter().map(|(at, _)| at);
        times.eq(profile.timeline.iter().map(|moment| moment.at))
    };
    if !profile.memory_sites().all(fits) {
        return Vec::new();
    }
    let live = |index: usize| {
        let bytes = profile.memory_sites().map(|site| site.history.at(index).unwrap_or(0));
        bytes.fold(0, u64::saturating_add)
    };
    let moments = profile.timeline.iter().enumerate();
    moments
        .map(|(index, moment)| Moment {
            live_bytes: live(index),
            allocated_bytes: None,
            ..*moment
        })
        .collect()
}
