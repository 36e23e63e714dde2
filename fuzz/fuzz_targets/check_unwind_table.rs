//! What must hold of a table, whatever it was made of. memtrace's own tests include this file, and run it on damaged files.

use memtrace::unwind::{Pruning, Segment, Table};
use memtrace_common::unwind::{CHUNK_WORDS, Cfa, PAGE_BYTES, PAGE_SHIFT, Page, Rbp, lookup};

/// Most pages of a segment that are looked at.
const PAGES: u64 = 64;

/// Makes tables of a file and checks them.
///
/// # Panics
/// When something does not hold.
pub(crate) fn check(file: &[u8]) {
    for pruning in [Pruning::None, Pruning::Calls] {
        if let Ok(table) = Table::build_with(file, pruning, &[]) {
            check_table(&table, file.len());
        }
    }
}

fn check_table(table: &Table, size: usize) {
    assert_eq!(table.words().len() % CHUNK_WORDS, 0);
    // Each byte of the file is at most a row; a segment has a page more than its bytes fill, 64 segments at most.
    assert!(table.words().len() <= 8 * size + 64 * 64 + CHUNK_WORDS);
    let mut end = 0;
    for segment in table.segments() {
        assert!(segment.offset.end <= size as u64);
        assert!(segment.svma.start >= end && segment.svma.end > segment.svma.start);
        assert!(Segment::mapped_from(table.segments(), segment.offset.start).is_some());
        end = segment.svma.end;
        let pages = segment.svma.start >> PAGE_SHIFT..=(segment.svma.end - 1) >> PAGE_SHIFT;
        for page in pages.take(usize::try_from(PAGES).unwrap_or(usize::MAX)) {
            check_page(table, segment.page_base, page);
        }
    }
}

/// A page's rows are in one chunk, and each address has a rule that the BPF side knows.
fn check_page(table: &Table, page_base: u32, page: u64) {
    let low = u32::try_from(page & u64::from(u32::MAX)).unwrap_or(u32::MAX);
    let described = Page(table.words()[page_base.wrapping_add(low) as usize]);
    if described.count() > 0 {
        let last = described.first() + described.count() - 1;
        assert_eq!(described.first() as usize / CHUNK_WORDS, last as usize / CHUNK_WORDS);
    }
    for svma in (0..PAGE_BYTES).map(|into| page << PAGE_SHIFT | into) {
        let rule = lookup(table.words(), page_base, svma).expect("a rule for each address of a page");
        assert!(Cfa::from_u8(rule.cfa()).is_some() && rule.rbp() <= Rbp::AtRbp as u8);
    }
}
