//! Which pages of a process are in memory, by `/proc/PID/pagemap`.

use std::{fs::File, io, os::unix::fs::FileExt as _};

/// Bytes of a page: what `pagemap` has an entry for. x86-64 has no other size.
pub const PAGE: u64 = 4096;

/// Bytes of an entry (Documentation/admin-guide/mm/pagemap.rst).
const ENTRY: u64 = 8;

/// The bit of an entry whose page is in memory (the same text).
const PRESENT: u64 = 1 << 63;

/// Entries that are read at once: 256 KiB.
const AT_ONCE: u64 = 32 << 10;

/// The pages of a range of addresses.
#[derive(Clone, Debug, Default)]
pub struct Pages {
    first: u64,
    count: u64,
    present: Vec<u64>,
}

impl Pages {
    /// The pages of `start..end`, none of which is in memory.
    pub fn none(start: u64, end: u64) -> Self {
        let first = start / PAGE;
        let count = end.div_ceil(PAGE).saturating_sub(first);
        Self {
            first,
            count,
            present: vec![0; usize::try_from(count.div_ceil(64)).unwrap_or(usize::MAX)],
        }
    }

    /// Notes that a page (by number) is in memory.
    pub fn set(&mut self, page: u64) {
        if let Some(index) = page.checked_sub(self.first).filter(|&index| index < self.count)
            && let Ok(word) = usize::try_from(index / 64)
        {
            self.present[word] |= 1 << (index % 64);
        }
    }

    /// Bytes of `start..end` (avma) that are in memory.
    pub fn bytes(&self, start: u64, end: u64) -> u64 {
        let (mut at, mut sum) = (start.max(self.first * PAGE), 0);
        let end = end.min((self.first + self.count) * PAGE);
        while at < end {
            let index = at / PAGE - self.first;
            let word = usize::try_from(index / 64).map_or(0, |word| self.present[word]);
            let of_word = at.is_multiple_of(64 * PAGE) && index.is_multiple_of(64) && end - at >= 64 * PAGE;
            let next = if of_word {
                sum += u64::from(word.count_ones()) * PAGE;
                at + 64 * PAGE
            } else {
                let next = ((at / PAGE + 1) * PAGE).min(end);
                if word >> (index % 64) & 1 != 0 {
                    sum += next - at;
                }
                next
            };
            at = next;
        }
        sum
    }
}

/// An open `pagemap`.
#[derive(Debug)]
pub struct Pagemap(File);

impl Pagemap {
    /// Opens that of a process.
    ///
    /// # Errors
    /// When the process is gone or may not be looked at.
    pub fn open(pid: u32) -> io::Result<Self> {
        File::open(format!("/proc/{pid}/pagemap")).map(Self)
    }

    /// Which pages of `start..end` (avma) are in memory.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn read(&self, start: u64, end: u64) -> io::Result<Pages> {
        let mut pages = Pages::none(start, end);
        let mut bytes = Vec::new();
        let mut page = pages.first;
        let last = pages.first + pages.count;
        while page < last {
            let count = (last - page).min(AT_ONCE);
            bytes.resize(usize::try_from(count * ENTRY).unwrap_or(0), 0);
            self.0.read_exact_at(&mut bytes, page * ENTRY)?;
            let (entries, _) = bytes.as_chunks::<8>();
            for (number, entry) in (page..).zip(entries) {
                if u64::from_ne_bytes(*entry) & PRESENT != 0 {
                    pages.set(number);
                }
            }
            page += count;
        }
        Ok(pages)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn own_memory_that_was_touched_is_there() {
        let touched = vec![1_u8; 1 << 20];
        let start = touched.as_ptr().addr() as u64;
        let pages = Pagemap::open(std::process::id())
            .unwrap()
            .read(start, start + (1 << 20))
            .unwrap();
        assert_eq!(pages.bytes(start, start + (1 << 20)), 1 << 20);
        assert_eq!(pages.bytes(start + 5, start + 10_000), 9_995);
    }

    proptest! {
        #[test]
        fn bytes_are_those_of_the_pages_that_were_set(
            first in 0..200_u64,
            set in proptest::collection::btree_set(0..300_u64, 0..200),
            from in 0..500_u64 * PAGE,
            size in 0..400_u64 * PAGE,
        ) {
            let mut pages = Pages::none(first * PAGE, (first + 300) * PAGE);
            for page in &set {
                pages.set(first + page);
            }
            let wanted: u64 = set
                .iter()
                .map(|page| {
                    let start = (first + page) * PAGE;
                    (start + PAGE).min(from + size).saturating_sub(start.max(from))
                })
                .sum();
            prop_assert_eq!(pages.bytes(from, from + size), wanted);
        }
    }
}
