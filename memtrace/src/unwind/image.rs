//! Laying rows out in words, as `memtrace_common::unwind` says.

use std::ops::Range;

use memtrace_common::unwind::{CHUNK_WORDS, MAX_PAGE_ROWS, MAX_WORDS, PAGE_SHIFT, Page, Row};

use super::{
    Segment,
    elf::Part,
    error::{TableError, bounded},
    rows::{Listing, NONE, UNSUPPORTED},
};

/// What is counted against [`MAX_WORDS`].
const WORDS: &str = "words of a table";

/// A table's words.
#[derive(Debug)]
pub(super) struct Image {
    pub(super) words: Vec<u32>,
    pub(super) segments: Vec<Segment>,
    /// Pages with too many rows.
    pub(super) crowded: usize,
}

/// Lays out rules, then pages, then rows.
pub(super) fn lay_out(rows: &Listing, executable: &[Part]) -> Result<Image, TableError> {
    let mut writer = Writer::new(rows, executable)?;
    for segment in executable {
        writer.segment(segment)?;
    }
    let Writer {
        mut words,
        segments,
        crowded,
        ..
    } = writer;
    words.resize(words.len().next_multiple_of(CHUNK_WORDS), 0);
    bounded(WORDS, words.len() as u64, MAX_WORDS.into())?;
    Ok(Image {
        words,
        segments,
        crowded,
    })
}

/// Numbers of the pages that a segment touches.
const fn pages(segment: &Part) -> Range<u64> {
    let addresses = segment.addresses();
    addresses.start >> PAGE_SHIFT..((addresses.end - 1) >> PAGE_SHIFT) + 1
}

struct Writer<'r> {
    words: Vec<u32>,
    segments: Vec<Segment>,
    crowded: usize,
    rows: &'r [(u64, u32)],
    /// Word of the next page.
    next_page: usize,
    /// Word of the row written last, and its rule.
    last: Option<(usize, u32)>,
}

impl<'r> Writer<'r> {
    /// Writes the rules, and leaves room for the pages.
    fn new(rows: &'r Listing, executable: &[Part]) -> Result<Self, TableError> {
        let count: u64 = executable
            .iter()
            .map(|segment| pages(segment).end - pages(segment).start)
            .sum();
        let next_page = 2 * rows.rules.len();
        bounded(WORDS, (next_page as u64).saturating_add(count), MAX_WORDS.into())?;
        let mut words = Vec::with_capacity(next_page);
        for rule in &rows.rules {
            words.extend([low(rule.0), low(rule.0 >> 32)]);
        }
        words.resize(next_page + usize::try_from(count).unwrap_or(usize::MAX), Page::EMPTY.0);
        Ok(Self {
            words,
            segments: Vec::new(),
            crowded: 0,
            rows: &rows.rows,
            next_page,
            last: None,
        })
    }

    fn segment(&mut self, segment: &Part) -> Result<(), TableError> {
        let pages = pages(segment);
        self.segments.push(Segment {
            svma: segment.addresses(),
            offset: segment.file.clone(),
            page_base: low(self.next_page as u64).wrapping_sub(low(pages.start)),
        });
        // The first row that is not in force at the start of the page.
        let mut next = self
            .rows
            .partition_point(|&(svma, _)| svma <= pages.start << PAGE_SHIFT);
        for page in pages {
            let begun = |&&(svma, _): &&(u64, u32)| svma <= page << PAGE_SHIFT;
            next += self.rows.iter().skip(next).take_while(begun).count();
            let in_page = |&&(svma, _): &&(u64, u32)| svma >> PAGE_SHIFT == page;
            let end = next + self.rows.iter().skip(next).take_while(in_page).count();
            let rule = next
                .checked_sub(1)
                .and_then(|index| self.rows.get(index))
                .map_or(NONE, |&(_, rule)| rule);
            let described = self.page(rule, self.rows.get(next..end).unwrap_or_default());
            bounded(WORDS, self.words.len() as u64, MAX_WORDS.into())?;
            if let Some(word) = self.words.get_mut(self.next_page) {
                *word = described.0;
            }
            self.next_page += 1;
            next = end;
        }
        Ok(())
    }

    /// Writes the rows of a page at whose start the rule `first` holds.
    fn page(&mut self, first: u32, rows: &[(u64, u32)]) -> Page {
        if rows.is_empty() && first == NONE {
            return Page::EMPTY;
        }
        let count = rows.len() + 1;
        if count > MAX_PAGE_ROWS as usize {
            self.crowded += 1;
            return self.page(UNSUPPORTED, &[]);
        }
        // The page before mostly ends with the row that this one begins with.
        let at = match self.last {
            Some((word, rule)) if rule == first && fits(word, count) => word,
            _ => {
                if !fits(self.words.len(), count) {
                    self.words
                        .resize(self.words.len().next_multiple_of(CHUNK_WORDS), Row::new(0, first).0);
                }
                self.push(0, first);
                self.words.len() - 1
            }
        };
        for &(svma, rule) in rows {
            self.push(svma, rule);
        }
        Page::new(low(at as u64), low(count as u64))
    }

    fn push(&mut self, svma: u64, rule: u32) {
        self.last = Some((self.words.len(), rule));
        self.words.push(Row::new(svma, rule).0);
    }
}

/// Whether so many words from one on are in one chunk.
const fn fits(word: usize, count: usize) -> bool {
    word % CHUNK_WORDS + count <= CHUNK_WORDS
}

/// The low half.
#[expect(clippy::cast_possible_truncation, reason = "cut on purpose")]
const fn low(value: u64) -> u32 {
    value as u32
}
