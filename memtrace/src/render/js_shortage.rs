//! That V8 ran out of memory, or came near the limit of a heap: the first that a reader wants to know.

use std::io::{self, Write};

use super::{
    escape,
    label::{self, no_stack_of},
    layout::say,
};
use crate::{
    profile::{
        FrameKind, Profile,
        js_shortage::{JsShortage, Shortage},
    },
    units::{bytes, duration, plural},
};

/// So many are told one by one.
const SHOWN: usize = 3;
/// Frames of each.
const FRAMES: usize = 8;
/// Columns before a frame.
const INDENT: usize = 4;

/// Writes what happened and where, the last first, and an empty line behind; nothing where nothing has.
pub(super) fn write(profile: &Profile, out: &mut dyn Write) -> io::Result<()> {
    let mut later = None;
    for shortage in shown(profile) {
        let frames = profile.shortage_callers(shortage);
        let is_same = !frames.is_empty() && later.replace(frames.clone()).is_some_and(|later| later == frames);
        let place = if is_same { "at the same place" } else { "at" };
        say(&format!("{}; it was {place}", sentence(profile, shortage)), out)?;
        if frames.is_empty() {
            let why = no_stack_of(profile, shortage.stack.is_some());
            writeln!(out, "{:INDENT$}{why}", "")?;
        } else if !is_same {
            for line in label::frames(&frames, INDENT, FRAMES) {
                writeln!(out, "{line}")?;
            }
        }
        writeln!(out)?;
    }
    if let Some(before) = before(profile) {
        say(&before, out)?;
        writeln!(out)?;
    }
    if let Some(advice) = advice(profile) {
        say(advice, out)?;
        writeln!(out)?;
    }
    Ok(())
}

/// The same as name and value of lines: what happened, and the functions in one line.
pub(super) fn facts(profile: &Profile) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    for shortage in shown(profile) {
        facts.push(("out of heap", sentence(profile, shortage)));
        let frames = profile.shortage_callers(shortage);
        let shown = frames.iter().take(FRAMES);
        let shown: Vec<_> = shown.map(|frame| label::frame(frame, usize::MAX)).collect();
        if !shown.is_empty() {
            facts.push(("there", shown.join(" < ")));
        }
    }
    facts.extend(before(profile).map(|before| ("before", before)));
    facts.extend(advice(profile).map(|advice| ("next", advice.to_owned())));
    facts
}

/// One line on the last of them; `None` where there is none.
pub(crate) fn status(profile: &Profile) -> Option<String> {
    let last = profile.js_shortages.last()?;
    let frames = profile.shortage_callers(last);
    let function = frames.first().filter(|frame| frame.kind == FrameKind::JavaScript);
    let at = function.map_or_else(String::new, |frame| format!(" in {}", label::function(frame)));
    Some(format!(
        "JavaScript: {}{} after {}{at}",
        happened(last.what),
        whose(profile, last),
        duration(last.at)
    ))
}

/// Those that are told one by one, the last first.
fn shown(profile: &Profile) -> impl Iterator<Item = &JsShortage> {
    profile.js_shortages.iter().rev().take(SHOWN)
}

/// What would tell more: who wanted the last memory need not be who has taken most, and V8 may collect where no function runs.
fn advice(profile: &Profile) -> Option<&'static str> {
    let of_heap = profile
        .js_shortages
        .iter()
        .any(|shortage| shortage.what != Shortage::Process);
    let sampled = profile.js_heaps.iter().any(|heap| !heap.sites.is_empty());
    (of_heap && !sampled).then_some(
        "Which functions allocate its objects, `attach --javascript-sites` tells; which keep them, `memtrace heap sample` and `memtrace heap \
         snapshot` while the program runs.",
    )
}

/// That there were more.
fn before(profile: &Profile) -> Option<String> {
    let more = profile.js_shortages.len().saturating_sub(SHOWN) as u64;
    let more = more.saturating_add(profile.js_shortages_dropped);
    (more > 0).then(|| {
        format!(
            "That happened {} before, or something like it.",
            plural(more, "more time")
        )
    })
}

/// What happened, when, and how large the heap was and may become.
fn sentence(profile: &Profile, shortage: &JsShortage) -> String {
    let mut facts = Vec::new();
    if let Some(used) = shortage.used {
        facts.push(format!("{} in objects", bytes(used)));
    }
    if let Some(limit) = shortage.limit {
        facts.push(format!("a limit of {} for old ones", bytes(limit)));
    }
    if !shortage.words.trim().is_empty() {
        facts.push(format!("in V8's words: {}", escape::text(&shortage.words)));
    }
    let facts = if facts.is_empty() {
        String::new()
    } else {
        format!(" ({})", facts.join(", "))
    };
    let then = match shortage.what {
        Shortage::Heap | Shortage::Process => "It ended the process",
        Shortage::Worker => "Node ended the worker, not the process",
        Shortage::Snapshot => "Node was asked to write a heap snapshot then, and raised the limit",
    };
    format!(
        "{}{} after {}{facts}. {then}",
        happened(shortage.what),
        whose(profile, shortage),
        duration(shortage.at)
    )
}

const fn happened(what: Shortage) -> &'static str {
    match what {
        Shortage::Heap => "V8 ran out of heap",
        Shortage::Process => "V8 ran out of memory for something else than objects",
        Shortage::Worker => "A worker ran out of heap",
        Shortage::Snapshot => "A heap of V8 came to its limit",
    }
}

/// Where that was, if it is not clear.
fn whose(profile: &Profile, shortage: &JsShortage) -> String {
    match (shortage.pid, shortage.tid) {
        (pid, tid) if pid == tid && !profile.is_of_many() => String::new(),
        (_, tid) if !profile.is_of_many() => format!(" in thread {tid}"),
        (pid, tid) if pid == tid => format!(" in process {pid}"),
        (pid, tid) => format!(" in process {pid}, thread {tid}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{profile::fixture, render::tests::rendered};

    #[test]
    fn what_happened_is_told_with_where() {
        let mut profile = fixture::short_of_heap();
        insta::assert_snapshot!("js_shortage", rendered(|out| write(&profile, out)));
        assert_eq!(
            status(&profile).unwrap(),
            "JavaScript: V8 ran out of heap after 59 s in parse"
        );
        insta::assert_debug_snapshot!("js_shortage_facts", facts(&profile));
        profile.js_shortages_dropped = 7;
        assert!(rendered(|out| write(&profile, out)).contains("happened 8 more times before"));
    }

    #[test]
    fn what_is_not_known_is_not_told() {
        let mut profile = fixture::short_of_heap();
        let last = profile.js_shortages.pop().unwrap();
        profile.js_shortages = vec![JsShortage {
            what: Shortage::Process,
            limit: None,
            used: None,
            words: String::new(),
            stack: None,
            ..last
        }];
        let told = rendered(|out| write(&profile, out)).replace('\n', " ");
        assert!(
            told.contains("something else than objects after 59 s. It ended"),
            "{told}"
        );
        assert!(told.contains("[no stack:"), "{told}");
    }

    #[test]
    fn what_would_tell_more_is_said_once() {
        let mut profile = fixture::short_of_heap();
        profile.js_heaps = fixture::sampled_js_heap().js_heaps;
        let told = |profile: &Profile| rendered(|out| write(profile, out)).contains("--javascript-sites");
        assert!(!told(&profile), "it is told already");
        profile.js_heaps[0].sites.clear();
        assert!(told(&profile));
        let next = facts(&profile).into_iter().filter(|(name, _)| *name == "next");
        assert_eq!(next.count(), 1);
        for shortage in &mut profile.js_shortages {
            shortage.what = Shortage::Process;
        }
        assert!(!told(&profile), "objects are not what is wanted");
    }

    #[test]
    fn nothing_is_said_where_there_was_room() {
        let profile = fixture::profile([]);
        assert_eq!(rendered(|out| write(&profile, out)), "");
        assert_eq!((status(&profile), facts(&profile).len()), (None, 0));
    }
}
