//! Unwind tables: the call frame information of an ELF file in the layout that the BPF side reads
//! (`memtrace_common::unwind`).
//!
//! The stages of a table, each a file here: `elf` finds the parts of the file, `cfi` the functions that are described,
//! `frames` sorts them and cuts overlaps. Then by address: `program` runs a function's instructions with the few registers
//! of `state`, `rows` joins and prunes what comes out, looking at the code through `text`, and `image` lays it out in words.
//!
//! All input is a target's file, which may be made to hurt: what is read and kept has the bounds of `limits`, the work is
//! linear in them, and what cannot be understood becomes a rule that says so.

mod cfi;
mod elf;
mod error;
mod expression;
mod frames;
mod image;
mod limits;
mod program;
mod rows;
mod sections;
mod source;
mod state;
mod text;
pub mod walk;

use std::ops::Range;

use memtrace_common::unwind::{Rule, lookup};

use self::{
    cfi::Cfi,
    elf::Elf,
    frames::{Frame, Section},
    rows::{Listing, SegmentRows},
    source::Source,
};
pub use self::{error::TableError, rows::Pruning, source::ReadAt};

/// Bytes of a page of memory: what the kernel maps of a file begins and ends at multiples of it.
const PAGE: u64 = 4096;

/// An executable segment of a file, and where its pages are in the table.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Segment {
    /// Its addresses as the file says, as far as they are in the file.
    pub svma: Range<u64>,
    /// Its bytes in the file.
    pub offset: Range<u64>,
    /// Word of the page of address 0, which wraps: what `memtrace_common::unwind::lookup` takes.
    pub page_base: u32,
}

/// The unwind rules of a file.
#[derive(Clone, Debug)]
pub struct Table {
    words: Vec<u32>,
    segments: Vec<Segment>,
    counts: Counts,
}

/// What a table was made of.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counts {
    /// Functions that the file describes; those of no code in it, and all but one of each address, are left out.
    pub functions: usize,
    /// Places where the rule changes, before they are cut at pages.
    pub rows: usize,
    /// Distinct rules.
    pub rules: usize,
    /// Entries that could not be read; their functions have no rules.
    pub damaged: usize,
    /// Pages with more rows than the layout allows; all their code is [`Rule::UNSUPPORTED`].
    pub crowded: usize,
}

impl Table {
    /// Makes the table of a file. A file without call frame information gives one without rules: see [`Self::is_empty`].
    ///
    /// # Errors
    /// When the file cannot be read, is no x86-64 ELF file, or has more than is looked at.
    pub fn build<S: ReadAt + ?Sized>(file: &S) -> Result<Self, TableError> {
        Self::build_with(file, Pruning::default(), &[])
    }

    /// As [`Self::build`], with a choice of rows. Those of the instructions at `probed`, offsets in the file in their order, are kept in any
    /// case: stacks begin there.
    ///
    /// # Errors
    /// The same.
    pub fn build_with<S: ReadAt + ?Sized>(file: &S, pruning: Pruning, probed: &[u64]) -> Result<Self, TableError> {
        let source = Source::new(file)?;
        let elf = Elf::read(&source)?;
        let sections = sections::read(&source, &elf)?;
        let bases = sections::bases(&elf, &sections);
        let eh_frame = Cfi::read(sections.eh_frame(), bases.clone())?;
        let debug_frame = Cfi::read(sections.debug_frame(), bases)?;
        let of =
            |section, fdes: &[cfi::Fde]| -> Vec<Frame> { fdes.iter().map(|&fde| Frame { section, fde }).collect() };
        let mut frames = of(Section::EhFrame, &eh_frame.fdes);
        frames.extend(of(Section::DebugFrame, &debug_frame.fdes));
        let frames = frames::arrange(frames, &elf.executable);

        let mut rows = Listing::new();
        let mut search = limits::MAX_SIGNAL_SEARCH;
        let mut rest = frames.as_slice();
        for segment in &elf.executable {
            let end = segment.addresses().end;
            let (inside, behind) = rest.split_at(rest.partition_point(|frame| frame.fde.begin < end));
            rest = behind;
            let mut segment = SegmentRows::new(&mut rows, &source, segment, pruning, probed, &mut search);
            for Frame { section, fde } in inside {
                segment.function(fde.begin, fde.end)?;
                let row = |svma, rule| segment.row(svma, rule);
                match section {
                    Section::EhFrame => eh_frame.rules(fde, row)?,
                    Section::DebugFrame => debug_frame.rules(fde, row)?,
                }
            }
            segment.finish()?;
        }
        let image = image::lay_out(&rows, &elf.executable)?;
        Ok(Self {
            words: image.words,
            segments: image.segments,
            counts: Counts {
                functions: frames.len(),
                rows: rows.rows.len(),
                rules: rows.rules.len(),
                damaged: eh_frame.damaged + debug_frame.damaged,
                crowded: image.crowded,
            },
        })
    }

    /// Its words, whole chunks of them.
    pub fn words(&self) -> &[u32] {
        &self.words
    }

    /// The executable segments by address.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// What it was made of.
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// Whether the file describes no function: then no address has a rule, but for a return from signals that was found.
    pub const fn is_empty(&self) -> bool {
        self.counts.functions == 0
    }

    /// The rule of an address as the file says it.
    pub fn lookup(&self, svma: u64) -> Rule {
        self.segments
            .iter()
            .find(|segment| segment.svma.contains(&svma))
            .and_then(|segment| lookup(&self.words, segment.page_base, svma))
            .unwrap_or(Rule::NONE)
    }
}

impl Segment {
    /// The one that a mapping shows which begins at an offset of the file: the one that is mapped from there, else the one
    /// whose pages contain it. Segments that are not executable share pages with it in files of some linkers, at another
    /// distance of addresses to offsets.
    pub fn mapped_from(segments: &[Self], offset: u64) -> Option<&Self> {
        let begin = |segment: &Self| segment.offset.start / PAGE * PAGE;
        let contains = |segment: &Self| begin(segment) <= offset && offset < segment.offset.end.next_multiple_of(PAGE);
        let exact = segments.iter().find(|segment| begin(segment) == offset);
        exact.or_else(|| segments.iter().find(|segment| contains(segment)))
    }
}

// Last: nothing behind it is looked at by the rules of this project.
#[cfg(test)]
mod tests;
