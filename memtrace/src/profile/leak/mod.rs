//! Which sites are suspected of leaking, how strongly, and why, in words.
//!
//! Nothing seen from outside proves a leak: a cache that fills looks like one. So a verdict says only what was
//! observed, and carries its evidence. docs/leaks.md explains the score.

pub mod evidence;
pub mod growing;
mod reasons;
pub mod survival;
pub mod trend;

use super::{Amount, End, Profile, Site, Suspicion, Verdict};

/// Growth and survival from which on a site is called growing: half, on a scale that ends where there is no doubt.
const HALF: f64 = 0.5;

/// Judges a site by its amounts, its history and the ages of its blocks.
///
/// Suspected are blocks of memory (not files or reserved address space) that are at least
/// [`super::Settings::min_age`] old; when the target has exited, those live at its exit, however old. Where one of several
/// targets has ended, what it left is told too, and decides the verdict where it is the larger part. Of a site whose blocks are
/// replaced by larger ones none gets old: where it grows, all that is live is suspected.
pub fn judge(profile: &Profile, site: &Site) -> Option<Suspicion> {
    let exited = matches!(profile.target.end, Some(End::Exited(_)));
    let mut amount = suspected(site, exited);
    let enlarging = !exited && evidence::enlarging(site) >= HALF;
    if !site.op.class().is_memory() || (amount.count == 0 && !enlarging) {
        return None;
    }
    let found = evidence::find(profile, site, amount, exited);
    let growing = found.evidence.growth >= HALF && found.evidence.survival >= HALF;
    if growing && enlarging && site.live.bytes > amount.bytes {
        amount = site.live;
    }
    if amount.count == 0 || amount.bytes < profile.settings.min_size {
        return None;
    }
    let left = exited || left_more(site);
    let verdict = match (left, growing) {
        (true, _) => Verdict::Leaked,
        (false, true) => Verdict::Growing,
        (false, false) => Verdict::StillLive,
    };
    Some(Suspicion {
        verdict,
        score: found.evidence.score(left),
        amount,
        reasons: reasons::reasons(verdict, site, &profile.settings, exited, &found),
        evidence: found.evidence,
        suppressed_by: Vec::new(),
    })
}

/// The blocks of a site that count as suspected by their age: of what is old and what processes left as they ended the larger part, so
/// that a share of live memory is never taken of both.
fn suspected(site: &Site, exited: bool) -> Amount {
    match (exited, left_more(site)) {
        (true, _) => site.live,
        (false, true) => site.at_exit,
        (false, false) => site.aged,
    }
}

/// Whether processes that ended left more than is old in those that live.
pub(super) fn left_more(site: &Site) -> bool {
    site.at_exit.bytes > site.aged.bytes || (site.aged.count == 0 && site.at_exit.count > 0)
}

/// 0 up to the first number, 1 from the second on, and in proportion between.
fn ramp(value: f64, (from, to): (f64, f64)) -> f64 {
    ((value - from) / (to - from)).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests;
