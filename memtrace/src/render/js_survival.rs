//! What becomes of young objects of JavaScript, in the summary: functions, by those that were followed.

use std::{
    cmp::Reverse,
    io::{self, Write},
};

use super::{
    js_sites::name,
    layout::{COLUMNS, say},
};
use crate::{
    profile::{
        JsHeap, Profile,
        js_sites::{JsFunction, Share},
    },
    units::{bytes, count, percent, plural, whole},
};

/// Columns before a function.
const BEFORE: usize = 47;

/// A function of whose objects some were followed.
pub(super) struct Row<'a> {
    pub(super) function: &'a JsFunction,
    /// What part of them was moved to the old ones.
    pub(super) promoted: Share,
    /// How many bytes that is of all that it allocates, about.
    pub(super) about: u64,
}

/// All of a thread's, those first of whose objects most bytes become old.
pub(super) fn rows<'a>(heap: &JsHeap, functions: &'a [JsFunction]) -> Vec<Row<'a>> {
    let row = |function: &'a JsFunction| {
        Some(Row {
            function,
            promoted: function.fates.promoted_share()?,
            about: whole(function.promoted_bytes(heap.allocated)?),
        })
    };
    let mut rows: Vec<_> = functions.iter().filter_map(row).collect();
    rows.sort_by_key(|row| Reverse((row.about, row.function.fates.promoted)));
    rows
}

/// The sentence before them.
pub(super) fn introduction(rows: &[Row<'_>]) -> String {
    let followed = rows.iter().map(|row| row.function.fates.followed).sum();
    format!(
        "What became of its young objects, by {} followed: the part that was moved to the old ones, of which some may die there; it is within \
         its range 19 times of 20:",
        plural(followed, "object")
    )
}

/// Writes them; nothing where no object was followed.
pub(super) fn write(profile: &Profile, heap: &JsHeap, functions: &[JsFunction], out: &mut dyn Write) -> io::Result<()> {
    let rows = rows(heap, functions);
    if rows.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    say(&introduction(&rows), out)?;
    writeln!(out)?;
    writeln!(
        out,
        "{:>7}  {:>15}  {:>7}  {:>10}  function",
        "to old", "range", "of", "about"
    )?;
    let top = profile.settings.top;
    for Row {
        function,
        promoted,
        about,
    } in rows.iter().take(top)
    {
        let range = format!("{} to {}", percent(promoted.low), percent(promoted.high));
        let (share, of, about) = (percent(promoted.value), count(function.fates.followed), bytes(*about));
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
