//! Divides the instructions of a fast path in those before and those behind a place.

use rustc_hash::{FxHashMap, FxHashSet};

use super::body::{Body, End};

/// The jumps, from and to, at which a probe sees the allocation: every way from the entry to a return goes over exactly one of them,
/// and no way that leaves for the slow part goes over any. `may_be` tells which can be such a place.
///
/// What is behind is the least set that has every return, and with an instruction all that follows it, and all that leads to it other
/// than over a place. Nothing behind leads back, so that no way comes by twice.
///
/// # Errors
/// Why there are no such jumps.
pub(super) fn places(body: &Body, may_be: impl Fn(u64, u64) -> bool) -> Result<Vec<(u64, u64)>, &'static str> {
    let mut before: FxHashMap<u64, Vec<u64>> = FxHashMap::default();
    for step in body.steps() {
        for &next in &step.next {
            before.entry(next).or_default().push(step.at);
        }
    }
    let lead_to = |at: u64| before.get(&at).map(Vec::as_slice).unwrap_or_default();
    let returns = body.steps().filter(|step| step.end == End::Returns);
    let mut left: Vec<u64> = returns.map(|step| step.at).collect();
    if left.is_empty() {
        return Err("it has no fast path that returns");
    }
    let mut behind = FxHashSet::default();
    while let Some(at) = left.pop() {
        if !behind.insert(at) {
            continue;
        }
        let step = body.step(at).ok_or("its code cannot be followed")?;
        if at == body.entry || matches!(step.end, End::Leaves(_)) {
            return Err(
                "on some way no jump that the kernel emulates lies where size and result are both in registers",
            );
        }
        left.extend(&step.next);
        left.extend(lead_to(at).iter().filter(|&&from| !may_be(from, at)));
    }
    let mut places = Vec::new();
    for &at in &behind {
        let from = lead_to(at).iter().filter(|from| !behind.contains(from));
        places.extend(from.map(|&from| (from, at)));
    }
    places.sort_unstable();
    Ok(places)
}
