//! Sizes and lifetimes as bars: how large blocks are, and how soon they are freed.

use std::io::{self, Write};

use crate::{
    profile::{
        Profile, Site,
        histogram::{Bin, Histogram, percentile},
    },
    units::{blocks, bytes, count, percent, plural, precise},
};

use super::{
    bars, header, label,
    layout::{COLUMNS, truncate, wrap},
};

/// How histograms are shown.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Whether every class of size is a row; else a row is a power of two.
    pub fine: bool,
    /// No line is wider, in columns.
    pub columns: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            fine: false,
            columns: COLUMNS,
        }
    }
}

/// Columns before a bar.
const NUMBERS: usize = 46;
/// Frames of the one site that is shown.
const FRAMES: usize = 6;
/// Shares of all that are told in words.
const SHARES: [(f64, &str); 4] = [(0.5, "half"), (0.9, "90%"), (0.99, "99%"), (1.0, "all")];

/// Writes the sizes and lifetimes of one site, or of all memory.
///
/// # Errors
///
/// Only those of `out`.
pub fn write(profile: &Profile, site: Option<&Site>, options: &Options, out: &mut dyn Write) -> io::Result<()> {
    header::short(profile, "Sizes and lifetimes: ", options.columns, out)?;
    if let Some(site) = site {
        let group = label::group(profile, site, 0);
        let stack = label::stack(profile, site, 0, FRAMES);
        for line in group.into_iter().chain(stack).chain([String::new()]) {
            writeln!(out, "{}", truncate(&line, options.columns))?;
        }
    }
    let histogram = match site {
        Some(site) => Histogram::of([site]),
        None => Histogram::of(profile.memory_sites()),
    };
    let mut view = View {
        options,
        sampled: profile.health.sampling.is_some() && site.is_none_or(Site::is_sampled),
        out,
    };
    view.sizes(&histogram)?;
    view.line("")?;
    view.lifetimes(&histogram)
}

/// Histograms that are being written.
struct View<'a> {
    options: &'a Options,
    /// Whether counts are estimates.
    sampled: bool,
    out: &'a mut dyn Write,
}

impl View<'_> {
    fn sizes(&mut self, histogram: &Histogram) -> io::Result<()> {
        if histogram.sizes.is_empty() {
            return self.say("Sizes: nothing was allocated.");
        }
        let allocated = histogram.allocated;
        let (allocations, all_bytes) = (plural(allocated.count, "allocation"), bytes(allocated.bytes));
        self.say(&format!("Sizes of {allocations} with {all_bytes}{}", self.estimate()))?;
        self.line("")?;
        self.row(["size from", "count", "share", "bytes from"], "")?;
        let rows = if self.options.fine {
            histogram.sizes.clone()
        } else {
            with_gaps(&histogram.coarse_sizes())
        };
        self.rows(&rows, bytes, |bin| {
            bytes(histogram.least_bytes(bin.least, bin.greatest))
        })?;
        self.line("")?;
        let told = told(&histogram.sizes, |bin| {
            bin.greatest.map_or_else(|| "any size".to_owned(), bytes)
        });
        self.say(&format!("At most: {told}. By class of size, so up to 25% too much."))
    }

    fn lifetimes(&mut self, histogram: &Histogram) -> io::Result<()> {
        let live = match histogram.live.count {
            0 => String::new(),
            live => format!("; what is live ({}) is in no row", blocks(live)),
        };
        if histogram.lifetimes.is_empty() {
            return self.say(&format!("Lifetimes: no block was seen to be freed{live}."));
        }
        let freed = histogram
            .lifetimes
            .iter()
            .fold(0, |sum: u64, bin| sum.saturating_add(bin.count));
        self.say(&format!(
            "Lifetimes of {} freed{}{live}",
            blocks(freed),
            self.estimate()
        ))?;
        self.line("")?;
        self.row(["lived from", "count", "share", ""], "")?;
        self.rows(&histogram.lifetimes, precise, |_| String::new())?;
        self.line("")?;
        let told = told(&histogram.lifetimes, |bin| {
            bin.greatest.map_or_else(|| "any time".to_owned(), precise)
        });
        self.say(&format!(
            "At most: {told}. By class of lifetime, so up to four times too much."
        ))
    }

    const fn estimate(&self) -> &'static str {
        if self.sampled { ", estimated from a sample" } else { "" }
    }

    fn rows<T: Copy>(
        &mut self,
        bins: &[Bin<T>],
        name: fn(T) -> String,
        sum: impl Fn(&Bin<T>) -> String,
    ) -> io::Result<()> {
        let all: u128 = bins.iter().map(|bin| u128::from(bin.count)).sum();
        let most = bins.iter().map(|bin| bin.count).max().unwrap_or(0);
        for bin in bins {
            let share = percent(bin.count as f64 / (all as f64).max(1.0));
            let bar = bars::across(bin.count, most, self.options.columns.saturating_sub(NUMBERS));
            self.row([&name(bin.least), &count(bin.count), &share, &sum(bin)], &bar)?;
        }
        Ok(())
    }

    fn row(&mut self, [least, count, share, sum]: [&str; 4], bar: &str) -> io::Result<()> {
        self.line(&format!("{least:>10}  {count:>11}  {share:>6}  {sum:>10}   {bar}"))
    }

    fn say(&mut self, text: &str) -> io::Result<()> {
        wrap(text, self.options.columns)
            .iter()
            .try_for_each(|line| self.line(line))
    }

    fn line(&mut self, line: &str) -> io::Result<()> {
        writeln!(self.out, "{}", truncate(line.trim_end(), self.options.columns))
    }
}

/// Powers of two with the empty ones between the first and the last, so that the shape is right.
fn with_gaps(coarse: &[Bin<u64>]) -> Vec<Bin<u64>> {
    let mut rows: Vec<Bin<u64>> = Vec::new();
    for bin in coarse {
        while let Some(least) = rows.last().and_then(|last| last.greatest?.checked_add(1)) {
            if least >= bin.least {
                break;
            }
            rows.push(Bin {
                least,
                greatest: least.checked_mul(2).map(|next| next - 1),
                count: 0,
            });
        }
        rows.push(*bin);
    }
    rows
}

/// `half 79 B, 90% 111 B, 99% 2.0 KiB, all 4.0 KiB`.
fn told<T: Copy>(bins: &[Bin<T>], greatest: impl Fn(Bin<T>) -> String) -> String {
    let told = SHARES
        .iter()
        .filter_map(|&(share, name)| Some(format!("{name} {}", greatest(percentile(bins, share)?))));
    told.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use unicode_width::UnicodeWidthStr as _;

    use super::*;
    use crate::{profile::fixture, render::tests::rendered};

    /// With sizes and lifetimes as an observation finds them.
    fn spread() -> Profile {
        let mut profile = fixture::normal();
        let at = Duration::from_nanos;
        profile.sites[0].spread.sizes = vec![(80, 1_000), (96, 40), (112, 3), (1_280, 1)];
        profile.sites[0].spread.lifetimes = vec![(at(0), 12), (at(1 << 14), 7), (at(1 << 38), 1)];
        profile
    }

    #[test]
    fn histograms() {
        for (name, profile) in fixture::all() {
            let text = rendered(|out| write(&profile, None, &Options::default(), out));
            insta::assert_snapshot!(format!("histogram_{name}"), text);
        }
        let profile = spread();
        for (name, fine) in [("coarse", false), ("fine", true)] {
            let options = Options {
                fine,
                ..Options::default()
            };
            let text = rendered(|out| write(&profile, Some(&profile.sites[0]), &options, out));
            insta::assert_snapshot!(format!("histogram_{name}"), text);
        }
    }

    proptest! {
        #[test]
        fn no_line_is_too_wide(columns in 0..130_usize, fine: bool) {
            for (_, profile) in fixture::all().into_iter().chain([("spread", spread())]) {
                let options = Options { fine, columns };
                for site in [None, profile.sites.first()] {
                    for line in rendered(|out| write(&profile, site, &options, out)).lines() {
                        prop_assert!(line.width() <= columns, "{line}");
                        prop_assert_eq!(line.trim_end(), line);
                    }
                }
            }
        }
    }
}
