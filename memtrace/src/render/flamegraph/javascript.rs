//! Flame graph of what JavaScript allocated on its heap, by a sample.

use std::io::{self, Write};

use super::{
    colour::{BASE, NO_STACK, palette},
    draw_folded, picture_of,
};
use crate::{
    profile::{JsHeap, Profile, js_sites::JsSamples},
    render::{Measure, js_sites::NEVER_WRITTEN, js_stacks, label},
    units::{bytes, duration, plural},
};

/// Writes it. A profile without samples gives a picture that says so.
///
/// # Errors
///
/// Only those of `out`.
pub fn write(profile: &Profile, out: &mut dyn Write) -> io::Result<()> {
    let folded = js_stacks::fold(profile);
    let sum =
        |of: fn(&JsHeap) -> u64| js_stacks::sampled(profile).fold(0, |sum: u64, heap| sum.saturating_add(of(heap)));
    let (allocated, samples) = (
        sum(|heap| heap.allocated),
        sum(|heap| JsSamples::of(&heap.sites).samples),
    );
    let title = format!(
        "{}: {} allocated by JavaScript",
        label::subject(profile),
        bytes(allocated)
    );
    let subtitle = format!(
        "{} observed, {} | bytes that were taken, live or not | yellow: JavaScript, orange: program",
        duration(profile.observed),
        plural(samples, "sample")
    );
    if folded.is_empty() {
        return picture_of(&title, &subtitle, "No allocation was sampled.", out);
    }
    let mut palette = palette(profile);
    palette.insert(NEVER_WRITTEN, BASE);
    palette.insert(label::no_stack_of(profile, false), NO_STACK);
    for heap in js_stacks::sampled(profile) {
        if let Some(thread) = js_stacks::thread(profile, heap) {
            palette.insert(thread, BASE);
        }
    }
    draw_folded(&folded, title, subtitle, palette, Measure::Allocated, out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{profile::fixture, render::tests::rendered};

    #[test]
    fn what_was_sampled_is_drawn() {
        let profile = fixture::sampled_js_heap();
        let svg = rendered(|out| write(&profile, out));
        for wanted in [
            "<title>parse (",
            "<title>(never written to) (",
            "1,000 samples",
            "allocated by JavaScript",
        ] {
            assert!(svg.contains(wanted), "{wanted}: {svg}");
        }
        let none = rendered(|out| write(&fixture::normal(), out));
        assert!(none.contains("No allocation was sampled."), "{none}");
    }
}
