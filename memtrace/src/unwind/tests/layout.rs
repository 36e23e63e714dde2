//! Rows in words: what is looked up is the row in force, whatever chunks and pages they fall in.

use memtrace_common::unwind::{CHUNK_WORDS, Cfa, MAX_PAGE_ROWS, PAGE_BYTES, PAGE_SHIFT, Page, Rbp, Rule, lookup};
use proptest::{collection::vec, prelude::*};

use super::super::{elf::Part, image::lay_out, rows::Listing};

fn rule(number: u64) -> Rule {
    Rule::new(Cfa::Rsp, i32::try_from(number).unwrap(), Rbp::Same, 0)
}

/// A listing of rules that change at these distances.
fn listing(begin: u64, distances: &[u64]) -> Listing {
    let mut listing = Listing::new();
    let mut svma = begin;
    for (number, distance) in distances.iter().enumerate() {
        listing.add(svma, rule(number as u64 % 7)).unwrap();
        svma += distance;
    }
    listing.add(svma, Rule::NONE).unwrap();
    listing
}

fn segment(svma: u64, bytes: u64) -> Part {
    Part {
        svma,
        file: 0..bytes,
        compressed: false,
    }
}

/// Compares the words with the listing at every address of the segments.
fn check(listing: &Listing, segments: &[Part]) {
    let image = lay_out(listing, segments).unwrap();
    assert_eq!(image.words.len() % CHUNK_WORDS, 0);
    let mut crowded = 0;
    for (part, segment) in segments.iter().zip(&image.segments) {
        let mut page = None;
        let mut degraded = false;
        for svma in part.addresses() {
            if page != Some(svma >> PAGE_SHIFT) {
                page = Some(svma >> PAGE_SHIFT);
                let word = segment
                    .page_base
                    .wrapping_add(u32::try_from(svma >> PAGE_SHIFT).unwrap());
                let described = Page(image.words[word as usize]);
                let last = described.first() + described.count().max(1) - 1;
                assert_eq!(described.first() as usize / CHUNK_WORDS, last as usize / CHUNK_WORDS);
                let begin = svma & !(PAGE_BYTES - 1);
                let rows = listing
                    .rows
                    .iter()
                    .filter(|&&(at, _)| begin < at && at < begin + PAGE_BYTES);
                degraded = rows.count() >= MAX_PAGE_ROWS as usize;
                crowded += usize::from(degraded);
            }
            let before = listing.rows.partition_point(|&(at, _)| at <= svma);
            let expected = match before.checked_sub(1) {
                _ if degraded => Rule::UNSUPPORTED,
                Some(index) => listing.rules[listing.rows[index].1 as usize],
                None => Rule::NONE,
            };
            assert_eq!(
                lookup(&image.words, segment.page_base, svma),
                Some(expected),
                "{svma:x}"
            );
        }
    }
    assert_eq!(image.crowded, crowded);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_row_in_force_is_found(
        begin in 0_u64..5_000,
        distances in vec(prop_oneof![1_u64..4, 1_u64..20, 500_u64..3_000], 0..2_000),
        cuts in (0_u64..20_000, 0_u64..3_000),
    ) {
        let listing = listing(begin, &distances);
        check(&listing, &[segment(0, cuts.0 + 1), segment(cuts.0 + 1 + cuts.1, 9_000)]);
    }
}

#[test]
fn a_crowded_page_is_not_supported_and_its_neighbours_are() {
    // A row at each second byte of a page and a half, then few.
    let mut distances = vec![2; 768];
    distances.extend([700; 3]);
    check(&listing(100, &distances), &[segment(0, 6_000)]);
    // With the row in force at the page's start as many as there may be, and one more.
    for (rows, crowded) in [(253, 0), (254, 1)] {
        let mut distances = vec![4; rows];
        distances.push(5_000);
        let listing = listing(1, &distances);
        check(&listing, &[segment(0, 4_000)]);
        assert_eq!(lay_out(&listing, &[segment(0, 4_000)]).unwrap().crowded, crowded);
    }
}

#[test]
fn pages_at_the_ends_of_the_address_space_are_found() {
    for svma in [0, 0x7fff_ffff_f000, 0xffff_ffff_ff60_0000, u64::MAX - 5_000] {
        let listing = listing(svma, &[100, 2_000, 1_000]);
        let parts = [segment(svma, 4_096)];
        let image = lay_out(&listing, &parts).unwrap();
        for (into, expected) in [
            (0, rule(0)),
            (99, rule(0)),
            (100, rule(1)),
            (3_099, rule(2)),
            (3_100, Rule::NONE),
        ] {
            assert_eq!(
                lookup(&image.words, image.segments[0].page_base, svma + into),
                Some(expected)
            );
        }
    }
}
