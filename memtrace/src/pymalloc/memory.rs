//! The memory of another process, as far as it can be read.

use std::{fs::File, io, os::unix::fs::FileExt as _};

/// Bytes of a page: what the kernel has or has not.
const PAGE: u64 = 4096;

/// Memory by address. What is read may have changed a moment later, and may be anything.
pub trait Memory {
    /// Fills the buffer from an address (avma) on; `false` where not all of it can be read.
    fn read(&self, avma: u64, buffer: &mut [u8]) -> bool;

    /// A few bytes.
    fn record<const N: usize>(&self, avma: u64) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        self.read(avma, &mut bytes).then_some(bytes)
    }

    /// A 64-bit number.
    fn word(&self, avma: u64) -> Option<u64> {
        self.record(avma).map(u64::from_le_bytes)
    }

    /// The bytes before the first zero byte, of which there are at most `most`; `None` where there is no such byte among them.
    fn text(&self, avma: u64, most: usize) -> Option<Vec<u8>> {
        let mut text = Vec::new();
        let mut at = avma;
        while text.len() <= most {
            // No further than the page: the next one may be missing, and need not be there.
            let page = usize::try_from(PAGE - at % PAGE).ok()?;
            let mut piece = vec![0; page.min(most + 1 - text.len())];
            self.read(at, &mut piece).then_some(())?;
            if let Some(end) = memchr::memchr(0, &piece) {
                text.extend_from_slice(&piece[..end]);
                return Some(text);
            }
            text.extend_from_slice(&piece);
            at = at.checked_add(piece.len() as u64)?;
        }
        None
    }
}

/// A 32-bit number in bytes.
pub(super) fn half(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes(bytes.try_into().ok()?))
}

/// A 64-bit number in bytes.
pub(super) fn word(bytes: &[u8], at: usize) -> Option<u64> {
    let bytes = bytes.get(at..at.checked_add(8)?)?;
    Some(u64::from_le_bytes(bytes.try_into().ok()?))
}

/// The memory of a process. It belongs to the program that ran when it was opened: after an `exec` nothing can be read of it any
/// more, and the number of a process that has ended may be another's by then.
#[derive(Debug)]
pub struct ProcessMemory {
    file: File,
}

impl ProcessMemory {
    /// Opens it. Reading leaves the process running.
    ///
    /// # Errors
    /// When the process is gone or may not be looked at.
    pub fn open(pid: u32) -> io::Result<Self> {
        let file = File::open(format!("/proc/{pid}/mem"))?;
        Ok(Self { file })
    }
}

impl Memory for ProcessMemory {
    fn read(&self, avma: u64, buffer: &mut [u8]) -> bool {
        // Offsets of files are signed; user space ends far below.
        i64::try_from(avma).is_ok() && self.file.read_exact_at(buffer, avma).is_ok()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Memory that a test has made.
    #[derive(Clone, Debug, Default)]
    pub(in super::super) struct Made(pub(in super::super) BTreeMap<u64, Vec<u8>>);

    impl Made {
        /// Writes into a part that is there.
        pub(in super::super) fn write(&mut self, avma: u64, bytes: &[u8]) {
            let (start, part) = self.0.range_mut(..=avma).next_back().unwrap();
            let at = usize::try_from(avma - start).unwrap();
            part[at..at + bytes.len()].copy_from_slice(bytes);
        }

        pub(in super::super) fn write_word(&mut self, avma: u64, word: u64) {
            self.write(avma, &word.to_le_bytes());
        }

        pub(in super::super) fn write_half(&mut self, avma: u64, half: u32) {
            self.write(avma, &half.to_le_bytes());
        }
    }

    impl Memory for Made {
        fn read(&self, avma: u64, buffer: &mut [u8]) -> bool {
            let Some((start, part)) = self.0.range(..=avma).next_back() else {
                return false;
            };
            let bytes = usize::try_from(avma - start)
                .ok()
                .and_then(|at| part.get(at..at.checked_add(buffer.len())?));
            bytes.is_some_and(|bytes| {
                buffer.copy_from_slice(bytes);
                true
            })
        }
    }

    #[test]
    fn own_memory_is_read_and_what_is_not_there_is_not() {
        let memory = ProcessMemory::open(std::process::id()).unwrap();
        let words = [7_u64, 9];
        let at = words.as_ptr().addr() as u64;
        assert_eq!((memory.word(at), memory.word(at + 8)), (Some(7), Some(9)));
        assert_eq!(memory.word(8), None);
        assert_eq!(memory.word(u64::MAX - 3), None);
    }

    #[test]
    fn a_text_ends_at_its_zero_byte_or_is_none() {
        let mut memory = Made::default();
        let mut bytes = vec![b'x'; 8192];
        bytes[8191] = 0;
        memory.0.insert(0x1000, bytes);
        assert_eq!(memory.text(0x2ffd, 8), Some(b"xx".to_vec()));
        assert_eq!(memory.text(0x1ffe, 8), None, "too long");
        assert_eq!(memory.text(0x1000, 8191).map(|text| text.len()), Some(8191));
        assert_eq!(memory.text(0x1000, 8190), None);
        assert_eq!(memory.text(0x3000, 8), None);
    }
}
