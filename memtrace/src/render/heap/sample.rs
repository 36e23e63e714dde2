//! What was sampled, as text.

use std::{
    io::{self, Write},
    time::Duration,
};

use super::{LEAST_NAME, more};
use crate::{
    profile::heap_sample::{HeapSample, SampledFunction},
    render::{escape, layout::elide, units},
};

/// Columns before a function's name.
const BEFORE: usize = 33;

/// Writes it, with at most `top` functions, in lines of so many columns.
///
/// # Errors
/// Only those of `out`.
pub fn write(sample: &HeapSample, top: usize, columns: usize, out: &mut dyn Write) -> io::Result<()> {
    let what = if sample.allocated {
        "were allocated"
    } else {
        "were allocated and live"
    };
    writeln!(
        out,
        "{} {what} in {} in the main thread of process {}, by V8's samples (one in {} on average)",
        units::bytes(sample.bytes),
        units::duration(Duration::from_nanos(sample.duration_ns)),
        sample.pid,
        units::bytes(sample.interval),
    )?;
    if sample.functions.is_empty() {
        return writeln!(
            out,
            "\nThere is no sample: a smaller --interval or more time gives some."
        );
    }
    writeln!(out, "\n{:>11} {:>7} {:>11}  function", "own", "share", "with callees")?;
    for function in sample.functions.iter().take(top) {
        writeln!(
            out,
            "{:>11} {:>7} {:>12}  {}",
            units::bytes(function.own),
            units::percent(share(function.own, sample.bytes)),
            units::bytes(function.total),
            name(function, columns.saturating_sub(BEFORE).max(LEAST_NAME))
        )?;
    }
    more(sample.functions.len(), top, "function", "functions", out)
}

fn share(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}

/// `name (file:line)`: the end of the path tells more than its beginning.
fn name(function: &SampledFunction, room: usize) -> String {
    let name = match function.name.as_str() {
        "" => "(anonymous)".into(),
        name => escape::text(name),
    };
    if function.url.is_empty() {
        return elide(&name, room);
    }
    let url = function.url.strip_prefix("file://").unwrap_or(&function.url);
    let place = match function.line {
        0 => escape::text(url).into_owned(),
        line => format!("{}:{line}", escape::text(url)),
    };
    let left = room.saturating_sub(name.chars().count() + 3).max(LEAST_NAME);
    let length = place.chars().count();
    let place = if length <= left {
        place
    } else {
        let kept: String = place.chars().skip(length - left + 1).collect();
        format!("…{kept}")
    };
    format!("{} ({place})", elide(&name, room))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::tests::rendered;

    fn function(name: &str, url: &str, line: u64, own: u64, total: u64) -> SampledFunction {
        SampledFunction {
            name: name.into(),
            url: url.into(),
            line,
            column: 1,
            own,
            total,
        }
    }

    #[test]
    fn functions_are_rows() {
        let sample = HeapSample {
            pid: 7,
            duration_ns: 2_500_000_000,
            interval: 32 << 10,
            allocated: false,
            bytes: 4 << 20,
            functions: vec![
                function("leak", "file:///srv/app/a\u{1b}.js", 12, 3 << 20, 3 << 20),
                function("", "node:internal/timers", 0, 1 << 20, 4 << 20),
                function(
                    &"long".repeat(30),
                    &format!("file:///{}/b.js", "deep/".repeat(30)),
                    3,
                    0,
                    10,
                ),
                function("(root)", "", 0, 0, 4 << 20),
            ],
        };
        insta::assert_snapshot!(rendered(|out| write(&sample, 3, 100, out)));
        let all = HeapSample {
            allocated: true,
            bytes: 0,
            functions: Vec::new(),
            ..sample
        };
        insta::assert_snapshot!(rendered(|out| write(&all, 3, 100, out)));
    }
}
