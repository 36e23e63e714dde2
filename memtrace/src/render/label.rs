//! Words for the parts of a profile, escaped: every text format says the same.

use std::borrow::Cow;

use unicode_width::UnicodeWidthStr as _;

use crate::{
    profile::{Amount, End, Frame, Profile, Site, Target, Verdict},
    units,
};

use super::{
    escape, excerpt,
    layout::{COLUMNS, elide, wrap},
};

/// Fewest columns that are left to a function beside its place.
const FUNCTION_COLUMNS: usize = 24;

/// The function, or the module and the offset in it: never empty.
pub(crate) fn function(frame: &Frame) -> String {
    match frame.function.as_deref() {
        Some(function) if !function.trim().is_empty() => escape::text(function).into_owned(),
        _ => format!("{}+{:#x}", module(frame), frame.offset),
    }
}

/// The module's file name.
pub(crate) fn module(frame: &Frame) -> String {
    match frame.module.trim() {
        "" => "[unknown]".into(),
        module => escape::text(module).into_owned(),
    }
}

/// Where a frame is: its source file with the folder it is in and the line, else its module. `None` when the
/// function's own label says it.
fn place(frame: &Frame) -> Option<String> {
    if let Some(file) = frame.file.as_deref().filter(|file| !file.is_empty()) {
        let short = file
            .rmatch_indices('/')
            .nth(1)
            .map_or(file, |(slash, _)| &file[slash + 1..]);
        let short = escape::text(short);
        return Some(
            frame
                .line
                .map_or_else(|| short.to_string(), |line| format!("{short}:{line}")),
        );
    }
    frame
        .function
        .as_deref()
        .is_some_and(|function| !function.trim().is_empty())
        .then(|| module(frame))
}

/// A frame in at most `columns`: the function is elided first, its place only when there is no room at all.
pub(crate) fn frame(frame: &Frame, columns: usize) -> String {
    let function = function(frame);
    let Some(place) = place(frame) else {
        return elide(&function, columns);
    };
    // What the function does not need is left to the place.
    let kept = function.width().min(FUNCTION_COLUMNS);
    let place = elide(&place, columns.saturating_sub(kept + 3));
    if place.is_empty() {
        return elide(&function, columns);
    }
    let function = elide(&function, columns.saturating_sub(place.width() + 3));
    format!("{function} ({place})")
}

/// A frame by its source line, for which the function makes room: `app/orders.py:17 Cart.add`.
pub(crate) fn by_line(frame: &Frame, columns: usize) -> String {
    let Some(place) = place(frame).filter(|_| frame.line.is_some()) else {
        return self::frame(frame, columns);
    };
    let place = elide(&place, columns);
    let room = columns.saturating_sub(place.width() + 1);
    let function = elide(&function(frame), room);
    if function.is_empty() {
        place
    } else {
        format!("{place} {function}")
    }
}

/// The stack of a site from its interesting frame on, one line a frame, each caller one step further in.
pub(crate) fn stack(profile: &Profile, site: &Site, indent: usize, most: usize) -> Vec<String> {
    let frames = profile.calling_stack(site);
    if frames.is_empty() {
        return vec![format!("{:indent$}{}", "", no_stack(profile, site))];
    }
    self::frames(&frames, indent, most)
}

/// The same of frames, of which the first is the interesting one.
pub(crate) fn frames(frames: &[&Frame], indent: usize, most: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut next = 0;
    for part in excerpt::of(frames, most) {
        if part.start > next {
            lines.push(format!("{:indent$}  … {} more", "", part.start - next));
        }
        next = part.end;
        for level in part {
            let indent = indent + if level == 0 { 0 } else { 2 };
            lines.push(format!("{:indent$}{}", "", frame(frames[level], COLUMNS - indent)));
        }
    }
    if frames.len() > next {
        lines.push(format!("{:indent$}  … {} more", "", frames.len() - next));
    }
    lines
}

/// Why there are no frames.
pub(crate) fn no_stack(profile: &Profile, site: &Site) -> &'static str {
    no_stack_of(profile, site.stack.is_some())
}

/// The same for sites of which a stack was taken, or was not.
pub(crate) fn no_stack_of(profile: &Profile, taken: bool) -> &'static str {
    let stacks = &profile.health.stacks;
    match (taken, stacks.lost > 0, stacks.overflow > 0) {
        (true, ..) => "[no stack: not one frame could be read]",
        (false, true, false) => "[no stack: ring was full]",
        (false, false, true) => "[no stack: stack table was full]",
        (false, true, true) => "[no stack: ring or stack table was full]",
        (false, false, false) => "[no stack: it was not taken]",
    }
}

/// `redis-server (pid 4242)`.
pub(crate) fn target(target: &Target) -> String {
    format!("{} (pid {})", command(&target.command), target.pid)
}

/// The same of any process in at most `columns`: the name is elided, not the number.
pub(crate) fn process(name: &str, pid: u32, columns: usize) -> String {
    let number = format!(" (pid {pid})");
    let name = elide(&command(name), columns.saturating_sub(number.len()));
    format!("{name}{number}")
}

/// The name of a program.
pub(crate) fn command(name: &str) -> Cow<'_, str> {
    match name.trim() {
        "" => Cow::Borrowed("[no name]"),
        name => escape::text(name),
    }
}

/// What was observed: the process, or what several were selected by.
pub(crate) fn subject(profile: &Profile) -> String {
    match profile.target.selection.trim() {
        selection if profile.is_of_many() && !selection.is_empty() => escape::text(selection).into_owned(),
        _ => target(&profile.target),
    }
}

/// `target` or `targets`, as it is the subject of a sentence.
pub(crate) fn targets(profile: &Profile) -> &'static str {
    if profile.is_of_many() { "targets" } else { "target" }
}

/// A line of its own that says which group a site is of, where there are several.
pub(crate) fn group(profile: &Profile, site: &Site, indent: usize) -> Option<String> {
    let name = profile.group(site)?;
    Some(format!(
        "{:indent$}of {}",
        "",
        elide(&command(name), COLUMNS - indent - 3)
    ))
}

/// Why the observation ended.
pub(crate) fn end(profile: &Profile) -> String {
    let exited = if profile.is_of_many() {
        "ended: all targets have exited"
    } else {
        "ended: the target exited"
    };
    match profile.target.end.as_ref() {
        None => "still observing".into(),
        Some(End::Duration) => "ended: the asked-for time was over".into(),
        Some(End::Moment) => "a moment of a recording".into(),
        Some(End::Interrupted) => "ended: stopped by the user".into(),
        Some(End::Exited(None)) => exited.into(),
        Some(End::Exited(Some(status))) => format!("{exited} ({})", escape::text(status)),
    }
}

/// `1.2 MiB in 1,010 blocks`.
pub(crate) fn amount(amount: Amount) -> String {
    format!("{} in {}", units::bytes(amount.bytes), units::blocks(amount.count))
}

/// ` ± 0.3 MiB`, or nothing where a sum is exact.
pub(crate) fn error(error: Option<u64>) -> String {
    error
        .map(|error| format!(" ± {}", units::bytes(error)))
        .unwrap_or_default()
}

/// The verdict's word.
pub(crate) const fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Leaked => "leaked",
        Verdict::Growing => "growing",
        Verdict::StillLive => "still live",
    }
}

/// Columns before the value of a fact: two blanks, the longest name and two blanks.
pub(crate) const FACT_INDENT: usize = 15;

/// A line of a list of facts: a name in a column of its own, and as many lines as the value needs.
pub(crate) fn fact(name: &str, value: &str) -> String {
    fact_of_lines(name, &wrap(value, COLUMNS - FACT_INDENT))
}

/// The same of a value with names of any length in it: what does not fit a line is elided.
pub(crate) fn fitting_fact(name: &str, value: &str) -> String {
    let columns = COLUMNS - FACT_INDENT;
    let lines: Vec<_> = wrap(value, columns).iter().map(|line| elide(line, columns)).collect();
    fact_of_lines(name, &lines)
}

fn fact_of_lines(name: &str, lines: &[String]) -> String {
    let rest = lines.iter().skip(1).map(|line| format!("\n{:FACT_INDENT$}{line}", ""));
    format!("  {name:<11}  {}{}", lines[0], rest.collect::<String>())
}
