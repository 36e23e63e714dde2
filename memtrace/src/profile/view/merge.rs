//! Sites that have become equal are one.

use std::collections::BTreeMap;

use memtrace_common::op::Op;
use rustc_hash::FxHashMap;

use crate::profile::{
    Amount, History, Site, Spread,
    js_sites::{JsSite, Writer},
    js_space::BySpace,
    js_survival::Fates,
};

/// What makes a site one.
type Key = (Op, Option<usize>, Option<usize>);

/// The sites, with those of one stack, operation and group added up.
pub(super) fn merged(sites: Vec<Site>) -> Vec<Site> {
    let mut places = FxHashMap::<Key, usize>::default();
    let mut all: Vec<Site> = Vec::with_capacity(sites.len());
    for site in sites {
        let key = (site.op, site.stack, site.group);
        if let Some(&place) = places.get(&key) {
            add(&mut all[place], &site);
        } else {
            places.insert(key, all.len());
            all.push(site);
        }
    }
    all
}

/// Samples of JavaScript, with those of one stack added up.
pub(super) fn merged_samples(sites: Vec<JsSite>) -> Vec<JsSite> {
    let mut all: BTreeMap<Writer<usize>, JsSite> = BTreeMap::new();
    for site in sites {
        let sum = all.entry(site.writer).or_insert(JsSite {
            writer: site.writer,
            samples: 0,
            bytes: 0,
            squares: 0.0,
            spaces: BySpace::default(),
            fates: Fates::default(),
        });
        sum.samples += site.samples;
        sum.bytes = sum.bytes.saturating_add(site.bytes);
        sum.squares += site.squares;
        sum.spaces.add_all(&site.spaces);
        sum.fates.add(&site.fates);
    }
    let mut sites: Vec<_> = all.into_values().collect();
    sites.sort_by_key(|site| std::cmp::Reverse(site.bytes));
    sites
}

/// Adds another site to one.
fn add(site: &mut Site, other: &Site) {
    for (to, from) in [
        (&mut site.live, other.live),
        (&mut site.at_exit, other.at_exit),
        (&mut site.unknown, other.unknown),
        (&mut site.allocated, other.allocated),
        (&mut site.aged, other.aged),
    ] {
        *to = sum(*to, from);
    }
    site.at_peak = both(site.at_peak, other.at_peak, sum);
    // They were drawn independently.
    site.live_variance = both(site.live_variance, other.live_variance, |one, other| one + other);
    site.oldest = site.oldest.max(other.oldest);
    site.ages = by_class(&site.ages, &other.ages, sum);
    site.history = history(&site.history, &other.history);
    spread(&mut site.spread, &other.spread);
}

fn sum(one: Amount, other: Amount) -> Amount {
    Amount {
        bytes: one.bytes.saturating_add(other.bytes),
        count: one.count.saturating_add(other.count),
    }
}

/// What both have; where one has nothing, that of the other.
fn both<T>(one: Option<T>, other: Option<T>, add: impl Fn(T, T) -> T) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(add(one, other)),
        (one, other) => one.or(other),
    }
}

fn spread(to: &mut Spread, from: &Spread) {
    to.temporary = both(to.temporary, from.temporary, sum);
    to.sizes = by_class(&to.sizes, &from.sizes, u64::saturating_add);
    to.lifetimes = by_class(&to.lifetimes, &from.lifetimes, u64::saturating_add);
}

/// Classes of both, in their order.
fn by_class<C: Copy + Ord, T: Copy>(one: &[(C, T)], other: &[(C, T)], add: impl Fn(T, T) -> T) -> Vec<(C, T)> {
    let mut all: BTreeMap<C, T> = one.iter().copied().collect();
    for &(class, value) in other {
        let sum = all.get(&class).map_or(value, |&known| add(known, value));
        all.insert(class, sum);
    }
    all.into_iter().collect()
}

/// Live bytes of both. All histories of a profile have the same moments.
fn history(one: &History, other: &History) -> History {
    let longer = if one.len() < other.len() { other } else { one };
    let at = |moment: usize| {
        let bytes = |history: &History| history.at(moment).unwrap_or(0);
        bytes(one).saturating_add(bytes(other))
    };
    History::new(longer.times(), (0..longer.len()).map(at))
}
