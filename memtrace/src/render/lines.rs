//! Memory by source line, of all files: a row for each line that asks for memory, or that it is asked for on behalf of.

use std::{
    cmp::Reverse,
    io::{self, Write},
};

use crate::{
    profile::{
        Amount, Profile,
        code::{CodeSums, Unit},
    },
    units::{bytes, count, plural},
};

use super::{
    header, label,
    layout::{COLUMNS, truncate, wrap},
};

/// How lines are shown.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Rows that are shown.
    pub top: usize,
    /// Whether blocks are shown instead of bytes.
    pub blocks: bool,
    /// No line is wider, in columns.
    pub columns: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            top: 100,
            blocks: false,
            columns: COLUMNS,
        }
    }
}

/// What the columns mean, where the table is.
const REMARK: &str = "live, allocated and temporary are of what the line itself asks for: that of the first frame that does not only pass a request on. \
                      through: live, and asked for by the line or by what it calls. A function stands for lines that are not known.";

/// Columns before a place.
const NUMBERS: usize = 46;

/// Writes the table: lines that hold most first, then those that have allocated most.
///
/// # Errors
///
/// Only those of `out`.
pub fn write(profile: &Profile, options: &Options, out: &mut dyn Write) -> io::Result<()> {
    header::short(profile, "By line: ", options.columns, out)?;
    let mut line = |text: &str| writeln!(out, "{}", truncate(text.trim_end(), options.columns).trim_end());
    line(&format!(
        "{:>10} {:>10} {:>10} {:>10}  line",
        "live", "through", "allocated", "temporary"
    ))?;
    let amount = |amount: Amount| match (amount == Amount::default(), options.blocks) {
        (true, _) => String::new(),
        (false, true) => count(amount.count),
        (false, false) => bytes(amount.bytes),
    };
    let rows = sorted(profile);
    for CodeSums { frame, own, total, .. } in rows.iter().take(options.top) {
        let frame = frame.and_then(|index| profile.frames.get(usize::try_from(index).ok()?));
        let room = options.columns.saturating_sub(NUMBERS);
        let place = frame.map_or_else(|| "[no stack]".to_owned(), |frame| label::by_line(frame, room));
        line(&format!(
            "{:>10} {:>10} {:>10} {:>10}  {place}",
            amount(own.live),
            amount(total.live),
            amount(own.allocated),
            amount(own.temporary)
        ))?;
    }
    if rows.len() > options.top {
        line(&format!("… {} more", plural((rows.len() - options.top) as u64, "line")))?;
    }
    line("")?;
    wrap(REMARK, options.columns).iter().try_for_each(|part| line(part))
}

/// All lines, in the order of the table.
fn sorted(profile: &Profile) -> Vec<CodeSums> {
    let mut rows = profile.by_code(Unit::Line);
    // The sort is stable: among equals that through which most goes is first.
    rows.sort_by_key(|row| Reverse((row.own.live.bytes, row.own.allocated.bytes)));
    rows
}

#[cfg(test)]
mod tests {
    use memtrace_common::op::Op;
    use unicode_width::UnicodeWidthStr as _;

    use super::*;
    use crate::{
        profile::fixture::{self, SiteSpec, frame, line},
        render::tests::rendered,
    };

    fn profile() -> Profile {
        let here = |number| line("f", "app", "/src/a/app.py", number);
        fixture::profile([
            SiteSpec::new(Op::Malloc)
                .stack([frame("malloc", "libc.so.6"), here(4), here(13)])
                .live(4_096, 8)
                .allocated(1 << 20, 2_048),
            SiteSpec::new(Op::Calloc)
                .stack([frame("calloc", "libc.so.6"), here(4), frame("main", "app")])
                .allocated(640, 10),
            SiteSpec::new(Op::Malloc)
                .stack([frame("\u{1b}[31m\u{202e}", "app"), here(13)])
                .live(64, 1)
                .allocated(64, 1),
            SiteSpec::new(Op::Malloc).live(32, 1).allocated(32, 1),
        ])
    }

    #[test]
    fn lines_in_their_order() {
        insta::assert_snapshot!(rendered(|out| write(&profile(), &Options::default(), out)));
        let options = Options {
            top: 2,
            blocks: true,
            ..Options::default()
        };
        insta::assert_snapshot!("first_by_blocks", rendered(|out| write(&profile(), &options, out)));
    }

    #[test]
    fn what_lines_hold_themselves_is_all_and_none_is_too_wide() {
        for (name, profile) in fixture::all() {
            let own: u64 = sorted(&profile).iter().map(|row| row.own.live.bytes).sum();
            assert_eq!(own, profile.totals.live.bytes, "{name}");
            for columns in [0, 30, 80] {
                let options = Options {
                    columns,
                    ..Options::default()
                };
                let text = rendered(|out| write(&profile, &options, out));
                assert!(text.lines().all(|line| line.width() <= columns), "{name}: {text}");
                assert!(!text.contains(['\u{1b}', '\u{202e}']), "{name}");
            }
        }
    }
}
