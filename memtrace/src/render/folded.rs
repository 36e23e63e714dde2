//! Folded stacks: a line a stack, root first, frames parted by `;`, then a blank and bytes or blocks. The leaf is the
//! allocator's function as it is in the stack.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use crate::profile::{Frame, Profile, Site};

use super::{Measure, escape, label};

/// Writes folded stacks, in alphabetical order.
///
/// # Errors
///
/// Only those of `out`.
pub fn write(profile: &Profile, measure: Measure, out: &mut dyn Write) -> io::Result<()> {
    for (stack, bytes) in fold(profile, measure) {
        writeln!(out, "{} {bytes}", stack.join(";"))?;
    }
    Ok(())
}

/// The stacks of memory that are not zero, root first. Sites that differ only in what the names do not show
/// are added up.
pub(super) fn fold(profile: &Profile, measure: Measure) -> BTreeMap<Vec<String>, u64> {
    let mut folded = BTreeMap::new();
    for site in profile.memory_sites().filter(|site| measure.value(site) > 0) {
        let sum: &mut u64 = folded.entry(names(profile, site)).or_default();
        *sum = sum.saturating_add(measure.value(site));
    }
    folded
}

/// The names of a site's frames, root first: the group before all where there are several. Where there are no frames it is the
/// operation under the reason.
fn names(profile: &Profile, site: &Site) -> Vec<String> {
    let mut names: Vec<String> = profile.group(site).map(escape::folded).into_iter().collect();
    let before = names.len();
    names.extend(profile.stack(site).rev().map(name));
    if names.len() == before {
        names.push(label::no_stack(profile, site).to_owned());
        names.push(escape::folded(site.op.name()));
    }
    names
}

/// The name of a frame in a folded stack.
pub(super) fn name(frame: &Frame) -> String {
    escape::folded(&label::function(frame))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{profile::fixture, render::tests::rendered};

    #[test]
    fn stacks() {
        for (name, profile) in fixture::all() {
            insta::assert_snapshot!(
                format!("folded_{name}"),
                rendered(|out| write(&profile, Measure::Live, out))
            );
        }
        let allocated = rendered(|out| write(&fixture::exited(), Measure::Allocated, out));
        insta::assert_snapshot!("folded_allocated", allocated);
    }

    #[test]
    fn values_add_up_to_the_total() {
        for (_, profile) in fixture::all() {
            for (measure, total) in [
                (Measure::Live, profile.totals.live),
                (Measure::Allocated, profile.totals.allocated),
            ] {
                let folded = rendered(|out| write(&profile, measure, out));
                let values = folded
                    .lines()
                    .map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap());
                assert_eq!(values.sum::<u64>(), total.bytes);
            }
        }
    }
}
