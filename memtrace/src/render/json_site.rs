//! The fields of a site in JSON.

use std::time::Duration;

use serde::Serialize;

use crate::profile::{Amount, Frame, Profile, Site, Verdict, leak::evidence::Evidence};

/// A site as [`super::json`] describes it.
#[derive(Serialize)]
pub(super) struct SiteFields<'a> {
    op: &'static str,
    class: &'static str,
    group: Option<&'a str>,
    verdict: Option<Verdict>,
    score: Option<u8>,
    suspected: Option<Amount>,
    evidence: Option<Evidence>,
    suppressed_by: Vec<&'a str>,
    reasons: &'a [String],
    live: Amount,
    allocated: Amount,
    aged: Amount,
    at_peak: Option<Amount>,
    temporary: Option<Amount>,
    sizes: &'a [(u64, u64)],
    lifetimes: Vec<(f64, u64)>,
    at_exit: Amount,
    unknown: Amount,
    live_error_bytes: Option<u64>,
    allocated_error_bytes: Option<u64>,
    oldest_seconds: Option<f64>,
    ages: Vec<(f64, u64, u64)>,
    growth_bytes_per_second: f64,
    history: Vec<(f64, u64)>,
    stack: Option<Vec<&'a Frame>>,
}

/// The fields of a site.
pub(super) fn site_fields<'a>(profile: &'a Profile, site: &'a Site) -> SiteFields<'a> {
    let suspicion = site.suspicion.as_ref();
    let patterns = profile.settings.suppressions.patterns();
    SiteFields {
        op: site.op.name(),
        class: site.op.class().name(),
        group: site
            .group
            .and_then(|group| profile.groups.get(group))
            .map(String::as_str),
        verdict: suspicion.map(|suspicion| suspicion.verdict),
        score: suspicion.map(|suspicion| suspicion.score),
        suspected: suspicion.map(|suspicion| suspicion.amount),
        evidence: suspicion.map(|suspicion| suspicion.evidence),
        suppressed_by: (suspicion.into_iter())
            .flat_map(|suspicion| &suspicion.suppressed_by)
            .filter_map(|&index| Some(patterns.get(index)?.text.as_str()))
            .collect(),
        reasons: suspicion.map_or(&[], |suspicion| &suspicion.reasons),
        live: site.live,
        allocated: site.allocated,
        aged: site.aged,
        at_peak: site.at_peak,
        temporary: site.spread.temporary,
        sizes: &site.spread.sizes,
        lifetimes: (site
            .spread
            .lifetimes
            .iter()
            .map(|(least, count)| (least.as_secs_f64(), *count)))
        .collect(),
        at_exit: site.at_exit,
        unknown: site.unknown,
        live_error_bytes: profile.live_error(site, site.live),
        allocated_error_bytes: profile.error(site, site.allocated),
        oldest_seconds: site.oldest.as_ref().map(Duration::as_secs_f64),
        ages: (site.ages.iter())
            .map(|(least, amount)| (least.as_secs_f64(), amount.bytes, amount.count))
            .collect(),
        growth_bytes_per_second: site.growth_bytes_per_second,
        history: site
            .history
            .iter()
            .map(|(time, bytes)| (time.as_secs_f64(), bytes))
            .collect(),
        stack: site.stack.map(|_| profile.stack(site).collect()),
    }
}
