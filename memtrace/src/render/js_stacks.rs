//! Folded stacks of what JavaScript allocated on its heap, by a sample: as [`super::folded`] has them of memory.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use super::{folded, js_heap, js_sites::NEVER_WRITTEN, label};
use crate::profile::{
    JsHeap, Profile,
    js_sites::{JsSamples, JsSite, Writer},
};

/// Whether a profile has any.
pub fn are_there(profile: &Profile) -> bool {
    profile.js_heaps.iter().any(|heap| !heap.sites.is_empty())
}

/// Writes them, in alphabetical order.
///
/// # Errors
///
/// Only those of `out`.
pub fn write(profile: &Profile, out: &mut dyn Write) -> io::Result<()> {
    for (stack, bytes) in fold(profile) {
        writeln!(out, "{} {bytes}", stack.join(";"))?;
    }
    Ok(())
}

/// The stacks, root first, below the thread where several have any. Their bytes are shares by the samples of what the thread has allocated,
/// which is counted, so that they add up to it but for fractions of bytes.
pub(super) fn fold(profile: &Profile) -> BTreeMap<Vec<String>, u64> {
    let mut folded = BTreeMap::new();
    for heap in sampled(profile) {
        let all = u128::from(JsSamples::of(&heap.sites).bytes.max(1));
        for site in &heap.sites {
            let bytes = u128::from(site.bytes) * u128::from(heap.allocated) / all;
            let sum: &mut u64 = folded.entry(names(profile, heap, site)).or_default();
            *sum = sum.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        }
    }
    folded
}

/// The heaps that have samples.
pub(super) fn sampled(profile: &Profile) -> impl Iterator<Item = &JsHeap> {
    profile.js_heaps.iter().filter(|heap| !heap.sites.is_empty())
}

/// The thread of a heap, where several have samples.
pub(super) fn thread(profile: &Profile, heap: &JsHeap) -> Option<String> {
    let name = || js_heap::thread(profile, heap).unwrap_or_else(|| "main thread".to_owned());
    (sampled(profile).count() > 1).then(name)
}

fn names(profile: &Profile, heap: &JsHeap, site: &JsSite) -> Vec<String> {
    let mut names: Vec<String> = thread(profile, heap).into_iter().collect();
    match site.writer {
        Writer::Stack(stack) => {
            let frames = profile.stacks.get(stack).map_or(&[][..], |stack| stack);
            let frames = frames.iter().rev();
            names.extend(frames.filter_map(|&frame| Some(folded::name(profile.frames.get(frame as usize)?))));
        }
        Writer::Unknown => names.push(label::no_stack_of(profile, false).to_owned()),
        Writer::Nobody => names.push(NEVER_WRITTEN.to_owned()),
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{profile::fixture, render::tests::rendered};

    #[test]
    fn stacks_of_samples_add_up_to_what_was_allocated() {
        let mut profile = fixture::sampled_js_heap();
        insta::assert_snapshot!("js_stacks", rendered(|out| write(&profile, out)));
        let allocated = profile.js_heaps[0].allocated;
        let sum: u64 = fold(&profile).values().sum();
        assert!((allocated - 6..=allocated).contains(&sum), "{sum} of {allocated}");
        let worker = JsHeap {
            tid: 4250,
            ..profile.js_heaps[0].clone()
        };
        profile.js_heaps.push(worker);
        let roots: Vec<_> = fold(&profile).into_keys().map(|stack| stack[0].clone()).collect();
        assert!(
            roots.iter().all(|root| root == "main thread" || root == "thread 4250"),
            "{roots:?}"
        );
        assert_eq!(roots.len(), 12);
    }

    #[test]
    fn a_profile_without_samples_has_none() {
        for (_, profile) in fixture::all() {
            assert_eq!(are_there(&profile), !fold(&profile).is_empty());
        }
        assert!(!are_there(&fixture::normal()) && are_there(&fixture::sampled_js_heap()));
    }
}
