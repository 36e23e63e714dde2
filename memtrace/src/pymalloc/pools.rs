//! Where an interpreter has its lists of pools (`usedpools`): found by what they look like in memory, because no symbol names them
//! in most builds.

use std::ops::Range;

use super::{
    memory::{Memory, word},
    pool::{ALIGNMENT, CLASSES, HEADER, Header, SIZES},
};

/// Bytes of all lists: for each size of blocks a first and a last pool.
pub(super) const BYTES: usize = CLASSES * 16;

/// Bytes that are read at once.
const PIECE: usize = 1 << 20;

/// Most bytes of data that are looked through: Debian's interpreter has 1.5 MB, and 3.12 keeps 2 MB there.
const MOST: u64 = 64 << 20;

/// Finds the lists in the data of an interpreter.
///
/// Each entry is a ring of pools through a header that is not there: its `nextpool` and `prevpool`, at 16 and 24, would be the
/// two words of the entry. So an empty entry points 16 bytes before itself, and a pool in one has the size that belongs to it.
/// 32 such entries in a row are nothing else.
pub(super) fn find(memory: &impl Memory, data: &[Range<u64>]) -> Vec<u64> {
    let mut found = Vec::new();
    let mut room = MOST;
    for range in data {
        let end = range.end.min(range.start.saturating_add(room));
        room -= end.saturating_sub(range.start);
        let mut at = range.start;
        while at < end {
            let size = PIECE.min(usize::try_from(end - at).unwrap_or(PIECE));
            let mut bytes = vec![0; size];
            if memory.read(at, &mut bytes) {
                look(memory, at, &bytes, &mut found);
            }
            // Lists may lie over the border of two pieces.
            at += (size.saturating_sub(BYTES)).max(1) as u64;
            if size < PIECE {
                break;
            }
        }
    }
    found.dedup();
    found
}

fn look(memory: &impl Memory, start: u64, bytes: &[u8], found: &mut Vec<u64>) {
    let mut at = 0;
    while at + BYTES <= bytes.len() {
        let fits = (0..CLASSES).all(|class| {
            let entry = at + class * 16;
            let (first, last) = (word(bytes, entry), word(bytes, entry + 8));
            match first.zip(last) {
                Some((first, last)) => is_entry(memory, class, start + entry as u64, first, last),
                None => false,
            }
        });
        // Another set cannot lie over this one.
        if fits {
            found.push(start + at as u64);
        }
        at += if fits { BYTES } else { 8 };
    }
}

fn is_entry(memory: &impl Memory, class: usize, avma: u64, first: u64, last: u64) -> bool {
    let empty = avma.wrapping_sub(16);
    if first == empty || last == empty {
        return first == last;
    }
    [first, last].into_iter().all(|pool| {
        pool != 0
            && pool.is_multiple_of(SIZES[0] as u64)
            && header(memory, pool).is_some_and(|header| header.class() == class)
    })
}

/// The header of the pool at an address.
pub(super) fn header(memory: &impl Memory, avma: u64) -> Option<Header> {
    Header::parse(&memory.record::<HEADER>(avma)?)
}

/// The pools at the start of the lists: some that are certain to be pools.
pub(super) fn listed(memory: &impl Memory, lists: u64) -> Vec<(u64, Header)> {
    let Some(bytes) = memory.record::<BYTES>(lists) else {
        return Vec::new();
    };
    let firsts = (0..CLASSES).filter_map(|class| {
        let first = word(&bytes, class * ALIGNMENT)?;
        let is_empty = first == lists.wrapping_add(class as u64 * 16).wrapping_sub(16);
        (!is_empty).then_some(())?;
        let header = header(memory, first)?;
        (header.class() == class && first.is_multiple_of(header.size as u64)).then_some((first, header))
    });
    firsts.collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::{
        super::{memory::tests::Made, pool::tests::made},
        *,
    };

    /// Lists at an address, all empty.
    pub(in super::super) fn empty(avma: u64) -> Vec<u8> {
        let entries = (0..CLASSES as u64).flat_map(|class| [avma + class * 16 - 16; 2]);
        entries.flat_map(u64::to_le_bytes).collect()
    }

    #[test]
    fn lists_are_found_wherever_they_lie() {
        for at in [
            0x5000_0000_u64,
            0x5000_0000 + PIECE as u64 - 256,
            0x5000_0000 + 3 * PIECE as u64 - 512,
        ] {
            let mut memory = Made::default();
            memory.0.insert(0x5000_0000, vec![0; 3 * PIECE]);
            memory
                .0
                .insert(0x7000_0000, made(0x7000_0000, 16384, 4, 0, &[true, false]));
            memory.write(at, &empty(at));
            for entry in [0, 8] {
                memory.write_word(at + 4 * 16 + entry, 0x7000_0000);
            }
            let data = 0x5000_0000..0x5000_0000 + 3 * PIECE as u64;
            assert_eq!(find(&memory, std::slice::from_ref(&data)), [at], "{at:#x}");
            let pools = listed(&memory, at);
            assert_eq!((pools.len(), pools[0].0, pools[0].1.class()), (1, 0x7000_0000, 4));
            // A pool of another size is in no such list.
            memory.write_half(0x7000_0000 + 36, 5);
            assert!(find(&memory, &[data]).is_empty());
        }
    }

    #[test]
    fn zeros_and_what_cannot_be_read_are_nothing() {
        let mut memory = Made::default();
        memory.0.insert(0x5000_0000, vec![0; 1 << 16]);
        assert!(find(&memory, &[0x5000_0000..0x5001_0000, 0x9000_0000..0xffff_0000_0000]).is_empty());
        assert!(listed(&memory, 0x5000_0000).is_empty());
    }
}
