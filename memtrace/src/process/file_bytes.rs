//! The bytes of a file that a target has mapped, for the parsers of `object`.

use std::{
    cell::Cell,
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    ops::Range,
    os::unix::fs::FileExt as _,
};

use object::{ReadCache, ReadRef};

/// Largest piece that is read into memory at once, in bytes. The largest that are needed are symbol and string tables: about
/// 30 MB in a debug build of Chromium. A file with holes can claim any size and cost nothing.
const MAX_PIECE: u64 = 128 << 20;

/// Most bytes that are read of one file. Pieces are kept until the end, and a malformed file can name the same bytes as
/// many different pieces.
const MAX_TOTAL: u64 = 512 << 20;

/// Reads a file piece by piece: a mapping of a file that shrinks would raise SIGBUS where this gives an error. Every reader
/// has a position of its own, so that several threads can read one file.
#[derive(Debug)]
pub struct FileBytes<'file> {
    cache: ReadCache<Positioned<'file>>,
    /// Bytes that may still be read.
    room: Cell<u64>,
}

impl<'file> FileBytes<'file> {
    /// A reader of an open file.
    pub fn new(file: &'file File) -> Self {
        Self {
            cache: ReadCache::new(Positioned { file, at: 0 }),
            room: Cell::new(MAX_TOTAL),
        }
    }

    /// Takes from what may still be read.
    fn take(&self, size: u64) -> Option<()> {
        let room = (size <= MAX_PIECE).then(|| self.room.get().checked_sub(size))??;
        self.room.set(room);
        Some(())
    }
}

impl<'data> ReadRef<'data> for &'data FileBytes<'_> {
    fn len(self) -> Result<u64, ()> {
        self.cache.len()
    }

    fn read_bytes_at(self, offset: u64, size: u64) -> Result<&'data [u8], ()> {
        self.take(size).ok_or(())?;
        self.cache.read_bytes_at(offset, size)
    }

    fn read_bytes_at_until(self, range: Range<u64>, delimiter: u8) -> Result<&'data [u8], ()> {
        // What is read is not known before; `object` ends the search for the delimiter after this many bytes.
        self.take(4096).ok_or(())?;
        self.cache.read_bytes_at_until(range, delimiter)
    }
}

/// A position in a file that is this reader's alone: that of a descriptor is shared by all who have it.
#[derive(Debug)]
struct Positioned<'file> {
    file: &'file File,
    at: u64,
}

impl Read for Positioned<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.at)?;
        self.at = self.at.saturating_add(read as u64);
        Ok(read)
    }
}

impl Seek for Positioned<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.file.metadata()?.len().checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Barrier, thread};

    use super::*;

    #[test]
    fn a_file_full_of_holes_costs_nothing() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(1 << 40).unwrap();
        let bytes = FileBytes::new(&file);
        assert_eq!((&bytes).len(), Ok(1 << 40));
        assert!((&bytes).read_bytes_at(0, 1 << 39).is_err());
        assert_eq!((&bytes).read_bytes_at(4096, 4), Ok(&[0; 4][..]));
        // Nor do many overlapping pieces.
        bytes.room.set(1000);
        let pieces = (0..).take_while(|&offset| (&bytes).read_bytes_at(offset, 300).is_ok());
        assert_eq!(pieces.count(), 3);
    }

    #[test]
    fn readers_of_one_file_do_not_disturb_each_other() {
        let file = tempfile::tempfile().unwrap();
        let content: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
        file.write_all_at(&content, 0).unwrap();
        let (file, content, start) = (&file, &content, &Barrier::new(4));
        thread::scope(|scope| {
            for reader in 0..4_usize {
                scope.spawn(move || {
                    let bytes = FileBytes::new(file);
                    start.wait();
                    for at in (reader..content.len() - 64).step_by(32) {
                        assert_eq!((&bytes).read_bytes_at(at as u64, 64), Ok(&content[at..at + 64]));
                    }
                });
            }
        });
    }

    #[test]
    fn the_ends_of_a_file_are_errors() {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(b"name\0rest", 0).unwrap();
        let bytes = FileBytes::new(&file);
        assert_eq!((&bytes).read_bytes_at_until(0..9, 0), Ok(&b"name"[..]));
        assert!((&bytes).read_bytes_at_until(5..9, 0).is_err());
        for (offset, size) in [(9, 1), (0, 10), (u64::MAX, 1), (u64::MAX, u64::MAX), (10, 0)] {
            assert!(
                size == 0 || (&bytes).read_bytes_at(offset, size).is_err(),
                "{offset} {size}"
            );
        }
    }
}
