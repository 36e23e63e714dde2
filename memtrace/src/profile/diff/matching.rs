//! Which sites of two profiles are the same.

use rustc_hash::FxHashMap;

use memtrace_common::op::Op;

use super::{
    super::{Frame, Profile, calltree::Amounts},
    Change,
};

/// What a site is known by in both profiles.
#[derive(Eq, Hash, PartialEq)]
struct Key<'a> {
    op: Op,
    group: Option<&'a str>,
    /// Function and module of each frame; `None` where no stack was taken.
    stack: Option<Vec<(Option<&'a str>, &'a str)>>,
}

/// All sites of memory of either, the later one's first.
pub(super) fn changes<'a>(before: &'a Profile, after: &'a Profile) -> Vec<Change<'a>> {
    let by_group = before.is_split() && after.is_split();
    let mut changes: Vec<Change<'a>> = Vec::new();
    let mut known = FxHashMap::default();
    for (profile, is_after) in [(after, true), (before, false)] {
        for site in profile.memory_sites() {
            let stack: Vec<&Frame> = profile.stack(site).collect();
            let names = stack.iter().map(|frame| (frame.function.as_deref(), &*frame.module));
            let key = Key {
                op: site.op,
                group: profile.group(site).filter(|_| by_group),
                stack: site.stack.is_some().then(|| names.collect()),
            };
            let group = key.group;
            let index = *known.entry(key).or_insert_with(|| {
                changes.push(Change {
                    op: site.op,
                    group,
                    stack,
                    has_stack: site.stack.is_some(),
                    before: Amounts::default(),
                    after: Amounts::default(),
                    growth_before: 0.0,
                    growth_after: 0.0,
                });
                changes.len() - 1
            });
            let change = &mut changes[index];
            let (sums, growth) = if is_after {
                (&mut change.after, &mut change.growth_after)
            } else {
                (&mut change.before, &mut change.growth_before)
            };
            *sums = sums.plus(Amounts::of(site));
            *growth += site.growth_bytes_per_second;
        }
    }
    // The largest first, so that among equal changes it is.
    changes.sort_by_key(Change::size);
    changes
}
