//! Where JavaScript's objects were allocated, in the summary: functions, by a sample.

use std::io::{self, Write};

use super::{
    js_survival, label,
    layout::{COLUMNS, say},
};
use crate::{
    profile::{
        JsHeap, Profile,
        js_sites::{Allocator, JsFunction, JsSamples},
        js_space::Space,
    },
    units::{bytes, percent, plural, whole},
};

/// Columns before a function, without [`OLD`].
const BEFORE: usize = 38;

/// Columns of the part that is allocated in old space directly, where there is any.
const OLD: usize = 8;

/// Of so much of what was allocated, at least, samples are expected to tell: how many there are is random.
const LEAST_COVERED: f64 = 0.9;

/// What stands for samples without one.
pub(super) const NO_FUNCTION: &str = "(no function of JavaScript)";

/// What stands for bytes that nobody has written to.
pub(super) const NEVER_WRITTEN: &str = "(never written to)";

/// Writes the functions of a thread that have allocated most; nothing where there is no sample.
pub(super) fn write(profile: &Profile, heap: &JsHeap, out: &mut dyn Write) -> io::Result<()> {
    let all = JsSamples::of(&heap.sites);
    if all.samples == 0 {
        return Ok(());
    }
    writeln!(out)?;
    say(&introduction(heap), out)?;
    writeln!(out)?;
    let functions = profile.js_functions(&heap.sites);
    let has_old = functions.iter().any(|function| function.spaces.of(Space::Old) > 0);
    let width = if has_old { OLD } else { 0 };
    let old = |text: &str| {
        if has_old {
            format!("{text:>OLD$}")
        } else {
            String::new()
        }
    };
    let head = old("old");
    writeln!(out, "{:>7}  {:>15}  {:>10}{head}  function", "share", "range", "about")?;
    for function in functions.iter().take(profile.settings.top) {
        let share = function.share;
        let range = format!("{} to {}", percent(share.low), percent(share.high));
        let about = bytes(about(heap, share.value));
        let name = name(&function.allocator, COLUMNS.saturating_sub(BEFORE + width));
        let part = old(&part_in_old(function));
        writeln!(
            out,
            "{:>7}  {range:>15}  {about:>10}{part}  {name}",
            percent(share.value)
        )?;
    }
    let more = functions.len().saturating_sub(profile.settings.top);
    if more > 0 {
        let rest = plural(more as u64, "more function");
        let none = old("");
        writeln!(out, "{:>7}  {:>15}  {:>10}{none}  {rest}", "", "", "")?;
    }
    if has_old {
        writeln!(out)?;
        say(
            "old: the part of a function's bytes that was allocated in old space directly.",
            out,
        )?;
    }
    if let Some(missed) = missed(heap) {
        writeln!(out)?;
        say(&missed, out)?;
    }
    js_survival::write(profile, heap, &functions, out)
}

/// What a table of functions is of.
pub(super) fn introduction(heap: &JsHeap) -> String {
    format!(
        "Where its objects were allocated, by {}; each share is within its range 19 times of 20:",
        plural(JsSamples::of(&heap.sites).samples, "sample")
    )
}

/// Bytes of a part of what was allocated.
pub(super) fn about(heap: &JsHeap, share: f64) -> u64 {
    whole(share * heap.allocated as f64)
}

/// Who has allocated, in at most `columns`.
pub(super) fn name(allocator: &Allocator, columns: usize) -> String {
    match allocator {
        Allocator::Function(frame) => label::frame(frame, columns),
        Allocator::Other => NO_FUNCTION.to_owned(),
        Allocator::Nobody => NEVER_WRITTEN.to_owned(),
    }
}

/// A sentence on what the samples have missed, where that is much.
pub(super) fn missed(heap: &JsHeap) -> Option<String> {
    let all = JsSamples::of(&heap.sites);
    let covered = all.bytes as f64 / heap.allocated.max(1) as f64;
    (covered + 2.0 / all.effective().sqrt() < LEAST_COVERED).then(|| {
        format!(
            "The samples stand for {} of what was allocated: the rest was taken before it could be watched, so shares favour what is \
             allocated slowly.",
            percent(covered)
        )
    })
}

fn part_in_old(function: &JsFunction) -> String {
    if function.spaces.of(Space::Old) > 0 {
        percent(function.part_in(Space::Old))
    } else {
        "-".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{profile::fixture, render::tests::rendered};

    fn written(profile: &Profile) -> String {
        rendered(|out| write(profile, &profile.js_heaps[0], out))
    }

    #[test]
    fn functions_are_told_with_their_ranges() {
        insta::assert_snapshot!("js_sites", written(&fixture::sampled_js_heap()));
    }

    #[test]
    fn what_was_missed_is_said() {
        let mut profile = fixture::sampled_js_heap();
        profile.js_heaps[0].allocated = 1000 << 20;
        assert!(!written(&profile).contains("stand for"), "all of it was seen");
        profile.settings.top = 2;
        let told = written(&profile);
        assert!(told.contains("2 more functions"), "{told}");
        profile.js_heaps[0].sites.clear();
        assert_eq!(written(&profile), "");
    }
}
