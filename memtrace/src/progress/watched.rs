//! A reader that tells where in its file it is.

use std::{
    io::{self, Read, Seek, SeekFrom},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// Keeps in a number how far into its file a reader is, in bytes.
#[derive(Debug)]
pub struct Watched<R> {
    reader: R,
    at: Arc<AtomicU64>,
}

impl<R> Watched<R> {
    /// Watches a reader that is at its beginning.
    pub const fn new(reader: R, at: Arc<AtomicU64>) -> Self {
        Self { reader, at }
    }
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        self.at.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

impl<R: Seek> Seek for Watched<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = self.reader.seek(to)?;
        self.at.store(at, Ordering::Relaxed);
        Ok(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_is_that_of_the_reader() {
        let at = Arc::new(AtomicU64::new(0));
        let mut watched = Watched::new(io::Cursor::new(vec![7; 100]), Arc::clone(&at));
        watched.read_exact(&mut [0; 30]).unwrap();
        assert_eq!(at.load(Ordering::Relaxed), 30);
        watched.seek(SeekFrom::End(-10)).unwrap();
        assert_eq!(at.load(Ordering::Relaxed), 90);
        assert_eq!(watched.read_to_end(&mut Vec::new()).unwrap(), 10);
        assert_eq!(at.load(Ordering::Relaxed), 100);
    }
}
