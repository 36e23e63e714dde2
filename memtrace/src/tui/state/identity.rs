//! What rows are known by in every profile of an observation: indices change from one to the next.

use std::hash::{Hash, Hasher as _};

use rustc_hash::{FxHashMap, FxHasher};

use crate::profile::{
    Frame, Process, Profile,
    code::{self, Unit},
};

fn hash(value: impl Hash) -> u64 {
    let mut hasher = FxHasher::default();
    value.hash(&mut hasher);
    hasher.finish()
}

/// A key for each site, in their order.
pub(in crate::tui) fn sites(profile: &Profile) -> Vec<u64> {
    // Stacks share frames, so each is looked at once.
    let frames: Vec<u64> = profile.frames.iter().map(hash).collect();
    let frame = |index: u32| usize::try_from(index).ok().and_then(|index| frames.get(index));
    let stacks: Vec<u64> = (profile.stacks.iter())
        .map(|stack| hash(stack.iter().map(|&index| frame(index)).collect::<Vec<_>>()))
        .collect();
    let mut before: FxHashMap<u64, u32> = FxHashMap::default();
    let key = |site: &crate::profile::Site| {
        let stack = site.stack.and_then(|stack| stacks.get(stack));
        let group = site.group.and_then(|group| profile.groups.get(group));
        let key = hash((site.op, stack, group));
        // Two stacks may have the same frames, where a file is mapped twice.
        let same = before.entry(key).or_default();
        *same += 1;
        if *same == 1 { key } else { hash((key, *same)) }
    };
    profile.sites.iter().map(key).collect()
}

/// A key of a function or a module.
pub(in crate::tui) fn unit(unit: Unit, frame: Option<&Frame>) -> u64 {
    frame.map_or(0, |frame| hash(code::key(unit, frame)))
}

/// A key of a process: its number may be taken again by another one, or it may become another program.
pub(in crate::tui) fn process(process: &Process) -> u64 {
    hash((process.pid, process.began))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::profile::fixture;

    #[test]
    fn keys_are_of_what_is_seen_and_not_of_where_it_is() {
        for (name, profile) in fixture::all() {
            let keys = sites(&profile);
            assert_eq!(keys.iter().collect::<BTreeSet<_>>().len(), keys.len(), "{name}");
            let mut turned = profile.clone();
            turned.sites.reverse();
            turned.stacks.reverse();
            for site in &mut turned.sites {
                site.stack = site.stack.map(|stack| profile.stacks.len() - 1 - stack);
            }
            let mut other = sites(&turned);
            other.reverse();
            assert_eq!(keys, other, "{name}");
        }
    }
}
