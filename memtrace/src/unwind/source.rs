//! Bytes of a file by offset, without mapping it: a mapped file that becomes shorter ends its reader by a signal.

use std::{fs::File, io, os::unix::fs::FileExt as _};

use super::error::{TableError, bounded};

/// Something that can be read at offsets.
pub trait ReadAt {
    /// How many bytes there are.
    ///
    /// # Errors
    /// What the system says.
    fn size(&self) -> io::Result<u64>;

    /// Fills `into` with the bytes from `offset` on.
    ///
    /// # Errors
    /// What the system says; `UnexpectedEof` where there are fewer.
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<()>;
}

impl ReadAt for File {
    fn size(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<()> {
        self.read_exact_at(into, offset)
    }
}

impl ReadAt for [u8] {
    fn size(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }

    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<()> {
        let bytes = usize::try_from(offset)
            .ok()
            .and_then(|offset| self.get(offset..offset.checked_add(into.len())?))
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        into.copy_from_slice(bytes);
        Ok(())
    }
}

/// A source with its size.
#[derive(Debug)]
pub(super) struct Source<'s, S: ?Sized> {
    bytes: &'s S,
    size: u64,
}

impl<'s, S: ReadAt + ?Sized> Source<'s, S> {
    pub(super) fn new(bytes: &'s S) -> Result<Self, TableError> {
        let size = bytes.size().map_err(|source| TableError::Read {
            what: "the size of the file",
            source,
        })?;
        Ok(Self { bytes, size })
    }

    /// Bytes in the file.
    pub(super) const fn size(&self) -> u64 {
        self.size
    }

    /// Reads `length` bytes from `offset` on, if they are in the file and no more than `limit`: memory is taken only for what
    /// is there.
    pub(super) fn read(&self, what: &'static str, offset: u64, length: u64, limit: u64) -> Result<Vec<u8>, TableError> {
        if offset.checked_add(length).is_none_or(|end| end > self.size) {
            return Err(TableError::Damaged("something lies beyond its end"));
        }
        bounded(what, length, limit)?;
        let mut into = Vec::new();
        self.read_into(what, offset, length, &mut into)?;
        Ok(into)
    }

    /// Reads into a buffer that is used again.
    pub(super) fn read_into(
        &self,
        what: &'static str,
        offset: u64,
        length: u64,
        into: &mut Vec<u8>,
    ) -> Result<(), TableError> {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        into.resize(length, 0);
        self.bytes
            .read_at(into, offset)
            .map_err(|source| TableError::Read { what, source })
    }
}
