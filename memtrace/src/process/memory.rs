//! Copies of a process's memory.

use std::{fs::File, io, ops::Range, os::unix::fs::FileExt as _};

/// The memory of a process, open for reading. It stays that of the program which ran when it was opened: after an `exec`
/// nothing can be read of it any more.
#[derive(Debug)]
pub struct Memory(File);

/// What was copied: ranges of addresses (avma) with their bytes.
#[derive(Debug, Default)]
pub struct Copied(Vec<(u64, Vec<u8>)>);

/// Bytes read at once: a range that is cut off somewhere gives what lies before.
const PIECE: usize = 64 << 10;

impl Memory {
    /// Opens it.
    ///
    /// # Errors
    /// When the process is gone or may not be looked at.
    pub fn open(pid: u32) -> io::Result<Self> {
        File::open(format!("/proc/{pid}/mem")).map(Self)
    }

    /// Copies ranges, each up to its first byte that cannot be read.
    pub fn copy(&self, ranges: &[Range<u64>]) -> Copied {
        Copied(
            ranges
                .iter()
                .map(|range| (range.start, self.read(range)))
                .filter(|(_, bytes)| !bytes.is_empty())
                .collect(),
        )
    }

    /// Fills `bytes` with what is at an address (avma); `false` when that cannot be read.
    pub fn fill(&self, address: u64, bytes: &mut [u8]) -> bool {
        self.0.read_exact_at(bytes, address).is_ok()
    }

    fn read(&self, range: &Range<u64>) -> Vec<u8> {
        let wanted = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(0);
        let mut bytes = vec![0; wanted];
        let mut have = 0;
        while let Some(into) = bytes.get_mut(have..).filter(|into| !into.is_empty()) {
            let piece = into.len().min(PIECE);
            match self.0.read_at(&mut into[..piece], range.start + have as u64) {
                Ok(read) if read > 0 => have += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                _ => break,
            }
        }
        bytes.truncate(have);
        bytes
    }
}

impl Copied {
    /// The little-endian word of 8 bytes at an address (avma), if all of it was copied.
    pub fn word(&self, address: u64) -> Option<u64> {
        self.0.iter().find_map(|(start, bytes)| {
            let at = usize::try_from(address.checked_sub(*start)?).ok()?;
            let word = bytes.get(at..at.checked_add(8)?)?.try_into().ok()?;
            Some(u64::from_le_bytes(word))
        })
    }

    /// The bytes that were copied, in all.
    pub fn len(&self) -> u64 {
        self.0.iter().map(|(_, bytes)| bytes.len() as u64).sum()
    }

    /// Whether nothing was copied.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_where_they_were_copied() {
        let words: Vec<u64> = (0..20_000).collect();
        let start = words.as_ptr().addr() as u64;
        let memory = Memory::open(std::process::id()).unwrap();
        let copied = memory.copy(&[start..start + 8 * 20_000, 8..16, 9..9]);
        assert_eq!(copied.len(), 8 * 20_000);
        for index in [0, 1, 8191, 8192, 19_999] {
            assert_eq!(copied.word(start + 8 * index), Some(index));
        }
        for address in [start - 1, start + 8 * 19_999 + 1, 8, u64::MAX] {
            assert_eq!(copied.word(address), None);
        }
    }
}
