//! What becomes of young objects of JavaScript, in the summary: functions, by those that were followed.

use std::io::{self, Write};

use super::{
    js_sites::name,
    layout::{COLUMNS, say},
};
use crate::{
    profile::{JsHeap, Profile, js_sites::JsFunction},
    units::{bytes, count, percent, plural, whole},
};

/// Columns before a function.
const BEFORE: usize = 47;

/// Writes the functions of a thread of whose young objects most bytes become old; nothing where none was followed.
pub(super) fn write(profile: &Profile, heap: &JsHeap, functions: &[JsFunction], out: &mut dyn Write) -> io::Result<()> {
    let promoted = |function: &JsFunction| Some((function.promoted_bytes(heap.allocated)?, function.fates));
    let mut rows: Vec<_> = (functions.iter())
        .filter_map(|function| Some((promoted(function)?, function)))
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    rows.sort_by(|((one, of_one), _), ((other, of_other), _)| {
        other.total_cmp(one).then(of_other.promoted.cmp(&of_one.promoted))
    });
    let followed = rows.iter().map(|((_, fates), _)| fates.followed).sum();
    writeln!(out)?;
    say(
        &format!(
            "What became of its young objects, by {} followed: the part that was moved to the old ones, of which some may die there; it is \
             within its range 19 times of 20:",
            plural(followed, "object")
        ),
        out,
    )?;
    writeln!(out)?;
    writeln!(
        out,
        "{:>7}  {:>15}  {:>7}  {:>10}  function",
        "to old", "range", "of", "about"
    )?;
    let top = profile.settings.top;
    for ((about, fates), function) in rows.iter().take(top) {
        let Some(share) = fates.promoted_share() else { continue };
        let range = format!("{} to {}", percent(share.low), percent(share.high));
        let (share, of, about) = (percent(share.value), count(fates.followed), bytes(whole(*about)));
        let name = name(&function.allocator, COLUMNS.saturating_sub(BEFORE));
        writeln!(out, "{share:>7}  {range:>15}  {of:>7}  {about:>10}  {name}")?;
    }
    let more = rows.len().saturating_sub(top);
    if more > 0 {
        let rest = plural(more as u64, "more function");
        writeln!(out, "{:>7}  {:>15}  {:>7}  {:>10}  {rest}", "", "", "", "")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        profile::{fixture, js_survival::Fates},
        render::{js_sites::NO_FUNCTION, tests::rendered},
    };

    #[test]
    fn functions_are_told_with_what_became_of_their_objects() {
        let mut profile = fixture::sampled_js_heap();
        let written = |profile: &Profile| {
            let heap = &profile.js_heaps[0];
            rendered(|out| write(profile, heap, &profile.js_functions(&heap.sites), out))
        };
        assert_eq!(written(&profile), "", "none was followed");
        for (site, promoted) in profile.js_heaps[0].sites.iter_mut().zip([3, 0, 40, 1]) {
            site.fates = Fates {
                followed: 40,
                survived: promoted,
                promoted,
            };
        }
        insta::assert_snapshot!("js_survival", written(&profile));
        profile.settings.top = 1;
        let told = written(&profile);
        assert!(
            told.contains("2 more functions") && !told.contains(NO_FUNCTION),
            "{told}"
        );
    }
}
