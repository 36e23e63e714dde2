//! Memory of a process that is read for a price: what is in it is the target's, and whoever follows it stops when what was allowed is used up.

use std::cell::Cell;

use super::Memory;

/// What a read costs besides its bytes, in bytes: about as long as the system call takes, that many could be copied.
const READ: u64 = 64;

/// The memory of a process.
pub trait Fill {
    /// Fills `bytes` with what is at an address (avma); `false` when that cannot be read.
    fn fill(&self, address: u64, bytes: &mut [u8]) -> bool;
}

impl Fill for Memory {
    fn fill(&self, address: u64, bytes: &mut [u8]) -> bool {
        Self::fill(self, address, bytes)
    }
}

/// What may be spent on stacks; a walk takes from it what it has used.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Allowance {
    /// Frames, with the marks between them.
    pub entries: usize,
    /// Bytes that are read and looked through, with some for each read.
    pub bytes: u64,
}

impl Allowance {
    /// What may be spent of it on one stack, for which no more than `most` is to be spent.
    #[must_use]
    pub fn at_most(self, most: Self) -> Self {
        Self {
            entries: self.entries.min(most.entries),
            bytes: self.bytes.min(most.bytes),
        }
    }

    /// What is left of it when `rest` is left of what was `given`.
    #[must_use]
    pub const fn after(self, given: Self, rest: Self) -> Self {
        Self {
            entries: self.entries.saturating_sub(given.entries.saturating_sub(rest.entries)),
            bytes: self.bytes.saturating_sub(given.bytes.saturating_sub(rest.bytes)),
        }
    }
}

/// Memory whose reading is paid for.
pub struct Metered<'a, M> {
    memory: &'a M,
    left: Cell<u64>,
}

impl<'a, M: Fill> Metered<'a, M> {
    /// Memory of which so many bytes may be read.
    pub const fn new(memory: &'a M, bytes: u64) -> Self {
        Self {
            memory,
            left: Cell::new(bytes),
        }
    }

    /// Bytes that may still be read.
    pub fn left(&self) -> u64 {
        self.left.get()
    }

    /// Pays, and tells whether something is left.
    pub fn spend(&self, bytes: u64) -> bool {
        let left = self.left.get().saturating_sub(bytes);
        self.left.set(left);
        left > 0
    }

    /// The word at an address (avma).
    pub fn word(&self, address: u64) -> Option<u64> {
        let mut bytes = [0; 8];
        self.fill(address, &mut bytes).then(|| u64::from_le_bytes(bytes))
    }

    /// The words of a structure of so many bytes; those that are not read are 0.
    pub fn words<const N: usize>(&self, address: u64, bytes: u32) -> Option<[u64; N]> {
        let read = self.content(address, (bytes as usize).min(8 * N))?;
        let mut words = [0; N];
        for (word, bytes) in words.iter_mut().zip(read.chunks_exact(8)) {
            *word = bytes.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte));
        }
        Some(words)
    }

    /// So many bytes; nothing is put aside for more than may be read.
    pub fn content(&self, address: u64, length: usize) -> Option<Vec<u8>> {
        if length as u64 > self.left() {
            self.spend(u64::MAX);
            return None;
        }
        let mut bytes = vec![0; length];
        self.fill(address, &mut bytes).then_some(bytes)
    }
}

impl<M: Fill> Fill for Metered<'_, M> {
    fn fill(&self, address: u64, bytes: &mut [u8]) -> bool {
        self.spend(READ + bytes.len() as u64) && self.memory.fill(address, bytes)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Memory in which each word is one of a few that make sense somewhere: so what is followed goes far, and in circles.
    pub(crate) struct Hostile {
        /// These.
        pub(crate) words: Vec<u64>,
        /// What it depends on which of them is where, besides the address.
        pub(crate) seed: u64,
    }

    impl Fill for Hostile {
        fn fill(&self, address: u64, bytes: &mut [u8]) -> bool {
            let mut at = address;
            for chunk in bytes.chunks_mut(8) {
                let hash = (at ^ self.seed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                let word = self.words[(hash >> 33) as usize % self.words.len()];
                chunk.copy_from_slice(&word.to_le_bytes()[..chunk.len()]);
                at = at.wrapping_add(8);
            }
            address >> 60 == 0
        }
    }

    /// Memory in which each byte is the lowest one of its address, up to an end.
    struct Bytes(u64);

    impl Fill for Bytes {
        fn fill(&self, address: u64, bytes: &mut [u8]) -> bool {
            for (byte, at) in bytes.iter_mut().zip(address..) {
                *byte = at.to_le_bytes()[0];
            }
            address + bytes.len() as u64 <= self.0
        }
    }

    #[test]
    fn what_is_read_is_paid_for_until_nothing_is_left() {
        let memory = Bytes(100);
        let metered = Metered::new(&memory, 10 * READ);
        assert_eq!(metered.word(8), Some(0x0f0e_0d0c_0b0a_0908));
        assert_eq!(metered.left(), 9 * READ - 8);
        assert_eq!(metered.word(96), None, "not there");
        assert_eq!(metered.words::<3>(0, 10), Some([0x0706_0504_0302_0100, 0, 0]));
        assert!(metered.left() > 0);
        assert_eq!(metered.content(0, usize::MAX), None);
        assert_eq!(metered.left(), 0);
        assert_eq!(metered.word(8), None, "nothing is left");
    }

    #[test]
    fn an_allowance_is_shared() {
        let all = Allowance {
            entries: 10,
            bytes: 100,
        };
        let one = Allowance { entries: 20, bytes: 30 };
        let given = all.at_most(one);
        assert_eq!((given.entries, given.bytes), (10, 30));
        let rest = Allowance { entries: 7, bytes: 0 };
        assert_eq!(all.after(given, rest), Allowance { entries: 7, bytes: 70 });
    }
}
