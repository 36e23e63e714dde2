//! Call stacks as a program knows them and as memtrace reports them, compared frame by frame.

mod comparison;
mod ends;

pub use self::comparison::Comparison;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde_json::Value;

use crate::{Report, report::is_function};

/// A place in the code of a module: the last byte of a call, or an interrupted instruction.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Frame {
    /// File name without directories.
    pub module: String,
    /// Offset in the file in bytes.
    pub offset: u64,
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{:x}", self.module, self.offset)
    }
}

/// Who allocates, and the frames that called it, leaf first.
pub type Stack = (String, Vec<Frame>);

/// How often a stack allocated, and how many bytes in all.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Amount {
    /// Allocations.
    pub count: u64,
    /// Requested bytes.
    pub bytes: u64,
}

/// Stacks and what they allocated.
#[derive(Clone, Debug, Default)]
pub struct Stacks {
    all: BTreeMap<Stack, Amount>,
    /// Functions by frame, where they are known.
    names: BTreeMap<Frame, String>,
}

impl Stacks {
    /// The lines `stack ...` of a test program (`programs/stacks.h`); panics on anything it would not print.
    pub fn of_program(output: &str) -> Self {
        let mut stacks = Self::default();
        for line in output.lines().filter_map(|line| line.strip_prefix("stack ")) {
            let mut words = line.split(' ');
            let mut word = || {
                words
                    .next()
                    .unwrap_or_else(|| panic!("a stack of too few words: {line}"))
            };
            let site = word().to_owned();
            let [count, bytes] = [word(), word()].map(|word| word.parse().unwrap_or_else(|_| panic!("{line}")));
            let frames = words.map(|word| Frame::read(word).unwrap_or_else(|| panic!("no frame: {word}")));
            stacks.add((site, frames.collect()), Amount { count, bytes });
        }
        assert!(!stacks.all.is_empty(), "the program knows no stacks: {output}");
        stacks
    }

    /// The stacks of a report that go through one of the sites of `truth`: the frames that called the site.
    pub fn of_report(report: &Report, truth: &Self) -> Self {
        let mut stacks = Self::default();
        let sites: BTreeSet<&str> = truth.all.keys().map(|(site, _)| site.as_str()).collect();
        for row in report.rows() {
            let frames = physical(row);
            let function = |frame: &(Frame, Option<&str>)| frame.1.unwrap_or("").to_owned();
            let found = frames.iter().enumerate().find_map(|(depth, frame)| {
                let name = function(frame);
                sites
                    .iter()
                    .find(|site| is_function(&name, site))
                    .map(|site| (depth, *site))
            });
            let Some((depth, site)) = found else { continue };
            // Between the site and the leaf there is the allocator only. With another frame it is another stack.
            let stranger = frames[..depth]
                .iter()
                .map(function)
                .find(|name| !ALLOCATORS.iter().any(|allocator| is_function(name, allocator)));
            let site = stranger.map_or_else(|| site.to_owned(), |name| format!("{site} below {name}"));
            for (frame, name) in &frames {
                stacks.names.insert(frame.clone(), name.unwrap_or("?").to_owned());
            }
            let stack = frames[depth + 1..].iter().map(|(frame, _)| frame.clone()).collect();
            let number = |field: &str| row["allocated"][field].as_u64().expect("an amount");
            let amount = Amount {
                count: number("count"),
                bytes: number("bytes"),
            };
            stacks.add((site, stack), amount);
        }
        stacks
    }

    fn add(&mut self, stack: Stack, amount: Amount) {
        let sum = self.all.entry(stack).or_default();
        sum.count += amount.count;
        sum.bytes += amount.bytes;
    }

    /// The stacks of sites that pass.
    #[must_use]
    pub fn only(mut self, pass: impl Fn(&str) -> bool) -> Self {
        self.all.retain(|(site, _), _| pass(site));
        self
    }

    /// Every stack.
    pub fn all(&self) -> impl Iterator<Item = (&Stack, Amount)> {
        self.all.iter().map(|(stack, &amount)| (stack, amount))
    }

    /// Compares what a report says with the truth.
    pub fn compare(&self, report: &Report) -> Comparison {
        let reported = Self::of_report(report, self);
        let mut comparison = Comparison::default();
        for (stack, &wanted) in &self.all {
            let found = reported.all.get(stack).copied().unwrap_or_default();
            comparison.stacks += 1;
            comparison.deepest = comparison.deepest.max(stack.1.len());
            comparison.allocations += wanted.count;
            comparison.whole += found.count.min(wanted.count);
            let more = found.count > wanted.count || (found.count == wanted.count && found.bytes != wanted.bytes);
            if more {
                comparison
                    .differ
                    .push(format!("{}: {found:?}, truth {wanted:?}", stack.0));
            }
        }
        for (stack, &found) in &reported.all {
            if self.all.contains_key(stack) {
                continue;
            }
            let mut known = self.all.keys().filter(|known| known.0 == stack.0);
            if known.clone().any(|known| known.1.starts_with(&stack.1)) {
                comparison.cut += found.count;
            } else {
                comparison.wrong += found.count;
            }
            let nearest = known.by_ref().max_by_key(|known| common(&known.1, &stack.1));
            comparison.differ.push(match nearest {
                Some(nearest) => reported.difference(stack, nearest),
                None => format!("{}: not a stack of the program", stack.0),
            });
        }
        println!("{comparison}");
        comparison
    }

    /// Where a stack leaves the truth that is nearest to it.
    fn difference(&self, stack: &Stack, truth: &Stack) -> String {
        let at = common(&stack.1, &truth.1);
        let show = |frames: &[Frame]| {
            let name = |frame: &Frame| self.names.get(frame).map_or("?", String::as_str).to_owned();
            excerpt(frames, at, |frame| format!("{frame} {}", name(frame))).join("\n        ")
        };
        format!(
            "{}: {at} frames are right of {}\n    memtrace\n        {}\n    truth\n        {}",
            stack.0,
            truth.1.len(),
            show(&stack.1),
            show(&truth.1)
        )
    }
}

/// The frames around the first that differs, in words.
pub(crate) fn excerpt(frames: &[Frame], at: usize, show: impl Fn(&Frame) -> String) -> Vec<String> {
    frames.iter().skip(at.saturating_sub(2)).take(6).map(show).collect()
}

/// Functions that may stand between a site and the hook: the allocator's own, C++'s, and one of `unwind_deep.cpp` that
/// has no frame where calls at a function's end are jumps.
const ALLOCATORS: [&str; 6] = [
    "malloc",
    "__libc_malloc",
    "__GI___libc_malloc",
    "operator new",
    "operator new[]",
    "jump_to_malloc",
];

/// The functions of a row that have code of their own, with the place and name of each.
pub fn physical(row: &Value) -> Vec<(Frame, Option<&str>)> {
    let frames = row["stack"].as_array().map_or(&[][..], Vec::as_slice);
    let own = frames.iter().filter(|frame| frame["inlined"] != true);
    own.map(|frame| {
        let module = frame["module"].as_str().expect("a frame has a module").to_owned();
        let offset = frame["offset"].as_u64().expect("a frame has an offset");
        (Frame { module, offset }, frame["function"].as_str())
    })
    .collect()
}

/// How many frames are equal from the leaf on.
fn common(left: &[Frame], right: &[Frame]) -> usize {
    left.iter().zip(right).take_while(|(left, right)| left == right).count()
}

impl Frame {
    /// Reads `MODULE:OFFSET`.
    fn read(text: &str) -> Option<Self> {
        let (module, offset) = text.rsplit_once(':')?;
        Some(Self {
            module: module.to_owned(),
            offset: u64::from_str_radix(offset, 16).ok()?,
        })
    }
}

#[cfg(test)]
mod tests;
