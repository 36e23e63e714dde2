//! What a file of another format says of itself, where it has a place for that.

use crate::{
    profile::Profile,
    render::{escape, label},
    units::{bytes, duration},
};

/// The tool that wrote it.
pub(super) fn exporter() -> String {
    format!("memtrace {}", env!("CARGO_PKG_VERSION"))
}

/// The title: what was observed.
pub(super) fn title(profile: &Profile) -> String {
    label::subject(profile)
}

/// What a reader must know to trust the numbers, a sentence each.
pub(super) fn remarks(profile: &Profile) -> Vec<String> {
    let health = &profile.health;
    let mut remarks = vec![
        format!("{}: {}", exporter(), title(profile)),
        format!("{} observed, {}", duration(profile.observed), label::end(profile)),
        format!("accuracy: {}", health.accuracy().summary),
    ];
    if let Some(sampling) = &health.sampling {
        let live = profile.total_error(|site| profile.live_error(site, site.live));
        let allocated = profile.total_error(|site| profile.error(site, site.allocated));
        remarks.push(format!(
            "all sums are estimates from a sample, about one allocation for each {}; the true totals lie within{} (live) and{} \
             (allocated) 19 times of 20",
            bytes(sampling.interval_bytes.saturating_mul(u64::from(sampling.times))),
            label::error(live),
            label::error(allocated),
        ));
    }
    remarks.extend(health.notes.iter().map(|note| escape::text(note).into_owned()));
    remarks
}
