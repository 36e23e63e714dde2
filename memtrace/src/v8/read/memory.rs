//! The memory of a process whose threads do not run: each word is read once.

use std::cell::RefCell;

use memtrace_common::javascript::read::Memory;
use rustc_hash::FxHashMap;

use crate::process::metered::{Fill, Metered};

/// Words of a structure at most.
const MOST: usize = 16;

/// What is at an address, if that can be read; of a structure its first words, by their number of bytes too.
type Known<K, V> = RefCell<FxHashMap<K, Option<V>>>;

/// See the module's description. Recursion comes through the same functions again.
pub(super) struct Words<'a, M> {
    memory: Metered<'a, M>,
    single: Known<u64, u64>,
    structures: Known<(u64, u32), [u64; MOST]>,
}

impl<'a, M: Fill> Words<'a, M> {
    /// Memory of which so many bytes may be read.
    pub(super) fn new(memory: &'a M, bytes: u64) -> Self {
        Self {
            memory: Metered::new(memory, bytes),
            single: RefCell::default(),
            structures: RefCell::default(),
        }
    }

    /// Bytes that may still be read.
    pub(super) fn left(&self) -> u64 {
        self.memory.left()
    }

    /// So many bytes, if there are no more than that.
    pub(super) fn content(&self, address: u64, bytes: u64, most: u64) -> Option<Vec<u8>> {
        (bytes <= most).then_some(())?;
        self.memory.content(address, usize::try_from(bytes).ok()?)
    }
}

impl<M: Fill> Memory for Words<'_, M> {
    fn word(&self, address: u64) -> Option<u64> {
        *self
            .single
            .borrow_mut()
            .entry(address)
            .or_insert_with(|| self.memory.word(address))
    }

    fn words<const N: usize>(&self, words: &mut [u64; N], bytes: u32, address: u64) -> bool {
        let mut structures = self.structures.borrow_mut();
        let read = structures
            .entry((address, bytes))
            .or_insert_with(|| self.memory.words(address, bytes));
        if let Some(read) = read {
            for (word, read) in words.iter_mut().zip(read) {
                *word = *read;
            }
        }
        read.is_some()
    }
}
