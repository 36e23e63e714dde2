//! From which address on which rule holds, by address: joined where equal, and without those that nothing looks up.

use std::ops::Range;

use memtrace_common::unwind::{MAX_RULES, Rule};
use rustc_hash::FxHashMap;

use super::{
    elf::Part,
    error::{TableError, bounded},
    limits,
    source::{ReadAt, Source},
    text::Text,
};

/// Longest gap between two functions, in bytes, that is taken for padding: compilers align functions to 16.
const PADDING: u64 = 15;

/// Which rows a table keeps.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Pruning {
    /// Those whose code may contain a call: all that return addresses need. What holds between them is not what the file
    /// says.
    #[default]
    Calls,
    /// All.
    None,
}

/// Number of [`Rule::NONE`].
pub(super) const NONE: u32 = 0;

/// Number of [`Rule::UNSUPPORTED`].
pub(super) const UNSUPPORTED: u32 = 1;

/// Rows and the rules that they name.
#[derive(Debug)]
pub(super) struct Listing {
    /// Address and number of the rule.
    pub(super) rows: Vec<(u64, u32)>,
    /// Rules by number; the first two are those of [`NONE`] and [`UNSUPPORTED`].
    pub(super) rules: Vec<Rule>,
    numbers: FxHashMap<Rule, u32>,
}

impl Listing {
    pub(super) fn new() -> Self {
        Self {
            rows: Vec::new(),
            rules: vec![Rule::NONE, Rule::UNSUPPORTED],
            numbers: [(Rule::NONE, NONE), (Rule::UNSUPPORTED, UNSUPPORTED)]
                .into_iter()
                .collect(),
        }
    }

    /// Adds a row behind the others, unless it says what the last one says.
    pub(super) fn add(&mut self, svma: u64, rule: Rule) -> Result<(), TableError> {
        let number = if let Some(&number) = self.numbers.get(&rule) {
            number
        } else {
            let number = u32::try_from(self.rules.len()).unwrap_or(u32::MAX);
            bounded("rules", number.into(), u64::from(MAX_RULES) - 1)?;
            self.rules.push(rule);
            self.numbers.insert(rule, number);
            number
        };
        if self.rows.last().is_none_or(|&(_, last)| last != number) {
            bounded("rows", self.rows.len() as u64 + 1, limits::MAX_ROWS as u64)?;
            self.rows.push((svma, number));
        }
        Ok(())
    }
}

/// Adds the rows of one segment.
#[derive(Debug)]
pub(super) struct SegmentRows<'r, 's, S: ?Sized> {
    rows: &'r mut Listing,
    text: Text<'s, S>,
    pruning: Pruning,
    /// Instructions that stacks begin at: offsets in the file.
    probed: &'s [u64],
    /// The row whose end is not known yet.
    open: (u64, Rule),
    /// Address behind the last function.
    described: u64,
    segment_end: u64,
    /// Bytes in which the return from a signal may still be looked for.
    search: &'r mut u64,
}

impl<'r, 's, S: ReadAt + ?Sized> SegmentRows<'r, 's, S> {
    pub(super) const fn new(
        rows: &'r mut Listing,
        source: &'s Source<'s, S>,
        segment: &'s Part,
        pruning: Pruning,
        probed: &'s [u64],
        search: &'r mut u64,
    ) -> Self {
        Self {
            rows,
            text: Text::new(source, segment),
            pruning,
            probed,
            open: (segment.svma, Rule::NONE),
            described: segment.svma,
            segment_end: segment.addresses().end,
            search,
        }
    }

    /// Goes on to a function that is described. Code before it that is not described has no rule, unless it is short.
    pub(super) fn function(&mut self, begin: u64, end: u64) -> Result<(), TableError> {
        if begin - self.described > PADDING {
            self.gap(begin)?;
        }
        self.described = end;
        Ok(())
    }

    /// From `svma` on `rule` holds.
    pub(super) fn row(&mut self, svma: u64, rule: Rule) -> Result<(), TableError> {
        if self.open.1 != rule {
            self.close(svma)?;
            self.open = (svma, rule);
        }
        Ok(())
    }

    /// Ends the segment.
    pub(super) fn finish(mut self) -> Result<(), TableError> {
        self.gap(self.segment_end)?;
        self.close(self.segment_end)?;
        // What comes behind the segment is none of its functions'.
        self.rows.add(self.segment_end, Rule::NONE)
    }

    /// Says that nothing is known up to `end`, but for the return from a signal where a C library does not describe it.
    fn gap(&mut self, end: u64) -> Result<(), TableError> {
        let begin = self.described;
        self.row(begin, Rule::NONE)?;
        if end - begin > *self.search {
            return Ok(());
        }
        *self.search -= end - begin;
        if let Some(at) = self.text.signal_return(begin..end)? {
            // One byte early, as C libraries that describe it do: the kernel lets the handler return to its first byte, and
            // a return address is looked up by the byte before it.
            self.row(at.saturating_sub(1).max(begin), Rule::SIGNAL)?;
            self.row(at + super::text::SIGNAL_RETURN.len() as u64, Rule::NONE)?;
        }
        Ok(())
    }

    fn is_probed(&self, range: Range<u64>) -> bool {
        let offsets = self.text.offsets(range);
        let first = self.probed.partition_point(|offset| *offset < offsets.start);
        self.probed.get(first).is_some_and(|offset| offsets.contains(offset))
    }

    fn close(&mut self, end: u64) -> Result<(), TableError> {
        let (begin, rule) = self.open;
        let marks = matches!(rule, Rule::NONE | Rule::END | Rule::SIGNAL);
        let kept = self.pruning == Pruning::None || marks;
        if begin < end && (kept || self.is_probed(begin..end) || self.text.calls(begin..end)?) {
            self.rows.add(begin, rule)?;
        }
        Ok(())
    }
}
