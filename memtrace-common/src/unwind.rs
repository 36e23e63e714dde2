//! Unwind tables as the BPF side reads them: rules, rows, pages, and how an address is looked up.
//!
//! A table describes one file. It is an array of 32-bit words, cut into chunks of [`CHUNK_WORDS`] because a BPF array hands
//! out one value per lookup:
//!
//! | words | content |
//! |---|---|
//! | from 0 | the distinct rules, two words each, low half first |
//! | then | one [`Page`] per [`PAGE_BYTES`] of each executable segment |
//! | then | the [`Row`]s, by address |
//!
//! A row says from which address (svma) on a rule holds. To find the rule of an address: take its page, then the last of the
//! page's rows that begins at or before it. The first row of a page is never compared: it is the one in force at the
//! page's start. All rows of a page lie in one chunk.

#![expect(
    clippy::cast_possible_truncation,
    reason = "packing and unpacking cut values into fields on purpose"
)]

/// Words in a chunk: 4 KiB, the value size of the arrays that hold tables.
pub const CHUNK_WORDS: usize = 1024;

/// Bytes of code that one page describes. Small enough that its rows are found in eight steps at most.
pub const PAGE_BYTES: u64 = 1 << PAGE_SHIFT;

/// Bits of an address that lie inside a page.
pub const PAGE_SHIFT: u32 = 10;

/// Most rows of one page; a page with more cannot be described.
pub const MAX_PAGE_ROWS: u32 = 255;

/// Most distinct rules of one table: what a row can name.
pub const MAX_RULES: u32 = 1 << 22;

/// Most words of one table: what a page can name.
pub const MAX_WORDS: u32 = 1 << 24;

numbered! {
    /// How the canonical frame address (CFA) of a frame is found: the value of the stack pointer before its call.
    #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
    pub enum Cfa;
    /// No table speaks of the code: one step by frame pointer.
    None = 0;
    /// `rsp + offset`
    Rsp = 1;
    /// `rbp + offset`
    Rbp = 2;
    /// A stub of a procedure linkage table: `rsp + 8`, and 8 more from `offset` bytes into the 16-byte stub on.
    Plt = 3;
    /// `*(rsp + low half of offset) + high half of offset`, both halves signed.
    DerefRsp = 4;
    /// `*(rbp + low half of offset) + high half of offset`, both halves signed.
    DerefRbp = 5;
    /// The outermost frame: its return address is undefined.
    End = 6;
    /// The kernel's frame of a signal: the interrupted registers lie on the stack (`struct rt_sigframe`).
    Signal = 7;
    /// Something that these rules cannot say.
    Unsupported = 8;
}

/// Where the caller's `rbp` is.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[repr(u8)]
pub enum Rbp {
    /// Still in the register.
    Same = 0,
    /// In memory at `CFA + offset`.
    AtCfa = 1,
    /// In memory at `rbp + offset`.
    AtRbp = 2,
}

/// How to get from a frame to its caller's. The return address is always at `CFA - 8`.
///
/// Packed: kind of the CFA in bits 0 to 7, kind of `rbp` in 8 to 15, its offset in 16 to 31, the CFA's offset in 32 to 63.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[repr(transparent)]
pub struct Rule(pub u64);

impl Rule {
    /// No table: a step by frame pointer.
    pub const NONE: Self = Self::new(Cfa::None, 0, Rbp::Same, 0);
    /// The outermost frame.
    pub const END: Self = Self::new(Cfa::End, 0, Rbp::Same, 0);
    /// A signal's frame.
    pub const SIGNAL: Self = Self::new(Cfa::Signal, 0, Rbp::Same, 0);
    /// What cannot be said.
    pub const UNSUPPORTED: Self = Self::new(Cfa::Unsupported, 0, Rbp::Same, 0);

    /// Packs a rule.
    pub const fn new(cfa: Cfa, cfa_offset: i32, rbp: Rbp, rbp_offset: i16) -> Self {
        Self(
            cfa as u64
                | (rbp as u64) << 8
                | (rbp_offset.cast_unsigned() as u64) << 16
                | (cfa_offset.cast_unsigned() as u64) << 32,
        )
    }

    /// [`Cfa::DerefRsp`] or [`Cfa::DerefRbp`]: the two halves of the offset.
    pub const fn deref(cfa: Cfa, offset: i16, add: i16, rbp: Rbp, rbp_offset: i16) -> Self {
        let both = offset.cast_unsigned() as u32 | (add.cast_unsigned() as u32) << 16;
        Self::new(cfa, both.cast_signed(), rbp, rbp_offset)
    }

    /// Number of the CFA's kind: [`Cfa`].
    pub const fn cfa(self) -> u8 {
        self.0 as u8
    }

    /// Number of the kind of `rbp`: [`Rbp`].
    pub const fn rbp(self) -> u8 {
        (self.0 >> 8) as u8
    }

    /// Offset of `rbp`'s slot in bytes.
    pub const fn rbp_offset(self) -> i16 {
        (self.0 >> 16) as i16
    }

    /// Offset of the CFA in bytes; for other kinds see [`Cfa`].
    pub const fn cfa_offset(self) -> i32 {
        (self.0 >> 32) as i32
    }

    /// The low half of the offset of a [`Cfa::DerefRsp`] or [`Cfa::DerefRbp`].
    pub const fn deref_offset(self) -> i16 {
        (self.0 >> 32) as i16
    }

    /// The high half of it: what is added to the word read.
    pub const fn deref_add(self) -> i16 {
        (self.0 >> 48) as i16
    }
}

/// From which address in its page on which rule holds: address bits 0 to 9 in bits 22 to 31, number of the rule below.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[repr(transparent)]
pub struct Row(pub u32);

impl Row {
    /// Packs a row.
    pub const fn new(svma: u64, rule: u32) -> Self {
        Self((svma as u32 & (PAGE_BYTES as u32 - 1)) << 22 | (rule & (MAX_RULES - 1)))
    }

    /// What is greater than all rows that begin at or before an address of their page, and not greater than any other.
    #[inline(always)]
    pub const fn after(svma: u64) -> u64 {
        Self::new(svma, 0).0 as u64 + MAX_RULES as u64
    }

    /// Number of its rule.
    pub const fn rule(self) -> u32 {
        self.0 & (MAX_RULES - 1)
    }
}

/// Which rows describe a page: word of the first in bits 8 to 31, their count below; count 0 where there are none.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[repr(transparent)]
pub struct Page(pub u32);

impl Page {
    /// A page that no row describes.
    pub const EMPTY: Self = Self(0);

    /// Packs a page.
    pub const fn new(first: u32, count: u32) -> Self {
        Self(first << 8 | count)
    }

    /// Word of its first row.
    pub const fn first(self) -> u32 {
        self.0 >> 8
    }

    /// How many rows it has.
    pub const fn count(self) -> u32 {
        self.0 & MAX_PAGE_ROWS
    }
}

/// Looks an address up in a table's words: `page_base` is the word of the page of address 0, which wraps. The BPF side does the
/// same steps with chunks; this is what they are tested against.
pub fn lookup(words: &[u32], page_base: u32, svma: u64) -> Option<Rule> {
    let word = |index: u32| words.get(index as usize).copied();
    let page = Page(word(page_base.wrapping_add((svma >> PAGE_SHIFT) as u32))?);
    if page.count() == 0 {
        return Some(Rule::NONE);
    }
    let row = search(Row::after(svma), u64::from(page.count()), |index| {
        word(page.first() + index).unwrap_or(u32::MAX)
    });
    let rule = Row(word(page.first() + row)?).rule();
    Some(Rule(u64::from(word(2 * rule)?) | u64::from(word(2 * rule + 1)?) << 32))
}

/// Index of the last of `count` rows that is less than `key`, [`Row::after`] the address looked for. Fixed steps and no
/// branches: the kernel's verifier follows each way through a program, and would follow each outcome of each comparison.
/// That the compiler does not make branches of them, the BPF side hands over numbers that it knows nothing of.
#[inline(always)]
pub fn search(key: u64, count: u64, row: impl Fn(u32) -> u32) -> u32 {
    let mut index = 0_u32;
    let mut step = 128;
    while step > 0 {
        let next = index + step;
        // 1 when `next` is a row of this page and its address is below the next address.
        let inside = (u64::from(next).wrapping_sub(count) >> 63) as u32;
        let before = (u64::from(row(next)).wrapping_sub(key) >> 63) as u32;
        index += step * (inside & before);
        step /= 2;
    }
    index
}

const _: () = {
    assert!(size_of::<Rule>() == 8);
    assert!(CHUNK_WORDS.is_power_of_two() && CHUNK_WORDS > MAX_PAGE_ROWS as usize);
};

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    #[test]
    fn rules_keep_their_parts() {
        let rule = Rule::new(Cfa::Rbp, -70_000, Rbp::AtCfa, -16);
        assert_eq!((rule.cfa(), rule.cfa_offset()), (Cfa::Rbp as u8, -70_000));
        assert_eq!((rule.rbp(), rule.rbp_offset()), (Rbp::AtCfa as u8, -16));
        let rule = Rule::deref(Cfa::DerefRbp, -8, 24, Rbp::AtRbp, 0);
        assert_eq!((rule.deref_offset(), rule.deref_add()), (-8, 24));
    }

    #[test]
    fn the_last_row_at_or_before_an_address_is_found() {
        for count in 1..=MAX_PAGE_ROWS {
            let rows: Vec<u32> = (0..count)
                .map(|index| Row::new(u64::from(4 * index), index).0)
                .collect();
            for svma in 0..PAGE_BYTES {
                let found = search(Row::after(svma), u64::from(count), |index| {
                    rows.get(index as usize).copied().unwrap_or(u32::MAX)
                });
                assert_eq!(
                    u64::from(found),
                    (svma / 4).min(u64::from(count) - 1),
                    "{svma} of {count}"
                );
            }
        }
    }
}
