//! A session file's framing: a head, then blocks, each compressed and with a sum of its own.
//!
//! Numbers are little endian. The file begins with [`MAGIC`], the format's version and four bytes of zero; every block with
//!
//! | bytes | content |
//! |---|---|
//! | 4 | `mtBK` |
//! | 2 | its kind |
//! | 2 | zero |
//! | 8 | kernel time of what it tells, in nanoseconds |
//! | 4 | bytes of the content as it is stored (one zstd frame) |
//! | 4 | bytes of the content |
//! | 4 | CRC-32 of the 24 bytes before and of the content as it is stored |
//!
//! A block is only ever appended, so a file that was cut off anywhere is good up to the last whole block.

use std::io::{self, Read, Seek, SeekFrom};

use thiserror::Error;

/// First bytes of a session file.
pub const MAGIC: &[u8; 16] = b"memtrace-session";
/// The format that this memtrace writes, and the newest that it reads.
pub const VERSION: u32 = 1;
/// Bytes before the first block.
pub const HEAD: usize = 24;
/// First bytes of a block.
const MARK: [u8; 4] = *b"mtBK";
/// Bytes of a block before its content.
const BLOCK_HEAD: usize = 28;
/// Most bytes that a block's content may have: what a hostile file can make memtrace allocate for one.
pub const MAX_CONTENT: usize = 32 << 20;
/// Most bytes that it takes as it is stored: what cannot be compressed grows by less than a 256th (`ZSTD_compressBound`).
const MAX_STORED: usize = MAX_CONTENT + MAX_CONTENT / 128;
/// zstd's own default: higher levels cost much time and save little here.
const LEVEL: i32 = 3;

/// What a block holds. Never reuse a number; a reader passes over those that it does not know.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Kind(pub u16);

/// Where a block is, and what it says of itself.
#[derive(Clone, Copy, Debug)]
pub struct BlockHead {
    /// What it holds.
    pub kind: Kind,
    /// Kernel time of what it tells, in nanoseconds.
    pub time_ns: u64,
    /// Where it begins in the file.
    pub offset: u64,
    stored: u32,
    length: u32,
    head: [u8; 24],
    sum: u32,
}

impl BlockHead {
    /// Where the next block begins.
    pub const fn end(&self) -> u64 {
        self.offset + BLOCK_HEAD as u64 + self.stored as u64
    }
}

/// Why a session file could not be read, or not be read on.
#[derive(Debug, Error)]
pub enum ReadError {
    /// It could not be read at all.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It has no bytes.
    #[error("the file is empty: nothing was recorded in it")]
    Empty,
    /// Something else.
    #[error("this is no memtrace recording: it does not begin with \"memtrace-session\"")]
    Magic,
    /// A later format.
    #[error("the recording has format {0}, and this memtrace reads formats up to {VERSION}: use a newer memtrace")]
    Newer(u32),
    /// The file ends inside a block, or before its first.
    #[error("the recording is cut off at byte {0}")]
    CutOff(u64),
    /// A block whose sum is wrong, or that makes no sense.
    #[error("the recording is damaged at byte {0}")]
    Damaged(u64),
    /// There is no block that says what was recorded.
    #[error("the recording has no beginning: memtrace ended before it could write it")]
    NoStart,
}

/// The bytes before the first block.
pub fn file_head() -> [u8; HEAD] {
    let mut head = [0; HEAD];
    head[..16].copy_from_slice(MAGIC);
    head[16..20].copy_from_slice(&VERSION.to_le_bytes());
    head
}

/// A block as it stands in the file.
///
/// # Errors
/// Content of more than [`MAX_CONTENT`] bytes, or what the compressor says.
pub fn encode(kind: Kind, time_ns: u64, content: &[u8]) -> io::Result<Vec<u8>> {
    if content.len() > MAX_CONTENT {
        return Err(io::Error::other(format!(
            "a block of {} bytes is larger than any reader takes",
            content.len()
        )));
    }
    let stored = zstd::bulk::compress(content, LEVEL)?;
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).map_err(io::Error::other);
    let mut block = Vec::with_capacity(BLOCK_HEAD + stored.len());
    block.extend(MARK);
    block.extend(kind.0.to_le_bytes());
    block.extend([0; 2]);
    block.extend(time_ns.to_le_bytes());
    block.extend(length(&stored)?.to_le_bytes());
    block.extend(length(content)?.to_le_bytes());
    let sum = sum_of(&block, &stored);
    block.extend(sum.to_le_bytes());
    block.extend(stored);
    Ok(block)
}

fn sum_of(head: &[u8], stored: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(head);
    hasher.update(stored);
    hasher.finalize()
}

/// Reads the blocks of a file in turn, or any of them again.
pub struct Blocks<R> {
    file: R,
    /// Made once: it takes more memory than most blocks.
    unpacker: zstd::bulk::Decompressor<'static>,
    length: u64,
    /// Where the next block begins.
    next: u64,
}

impl<R: Read + Seek> Blocks<R> {
    /// Looks at the head of a file.
    ///
    /// # Errors
    /// What is no recording, or one of a newer format.
    pub fn open(mut file: R) -> Result<Self, ReadError> {
        let length = file.seek(SeekFrom::End(0))?;
        if length == 0 {
            return Err(ReadError::Empty);
        }
        file.rewind()?;
        let mut head = [0; HEAD];
        let known = usize::try_from(length.min(HEAD as u64)).unwrap_or(head.len());
        file.read_exact(&mut head[..known])?;
        if !MAGIC.starts_with(&head[..known.min(MAGIC.len())]) {
            return Err(ReadError::Magic);
        }
        if length < HEAD as u64 {
            return Err(ReadError::CutOff(length));
        }
        let version = u32::from_le_bytes([head[16], head[17], head[18], head[19]]);
        if version == 0 || version > VERSION {
            return Err(ReadError::Newer(version));
        }
        Ok(Self {
            file,
            unpacker: zstd::bulk::Decompressor::new()?,
            length,
            next: HEAD as u64,
        })
    }

    /// The head of the next block; `None` at the end of the file.
    ///
    /// # Errors
    /// A file that ends inside the block, or is damaged there.
    pub fn next_head(&mut self) -> Result<Option<BlockHead>, ReadError> {
        let offset = self.next;
        if offset == self.length {
            return Ok(None);
        }
        let cut_off = ReadError::CutOff(offset);
        if self.length - offset < BLOCK_HEAD as u64 {
            return Err(cut_off);
        }
        self.file.seek(SeekFrom::Start(offset))?;
        let mut bytes = [0; BLOCK_HEAD];
        self.file.read_exact(&mut bytes)?;
        let mut head = [0; 24];
        head.copy_from_slice(&bytes[..24]);
        let four = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let eight = |at: usize| u64::from(four(at)) | u64::from(four(at + 4)) << 32;
        let found = BlockHead {
            kind: Kind(u16::from_le_bytes([bytes[4], bytes[5]])),
            time_ns: eight(8),
            offset,
            stored: four(16),
            length: four(20),
            sum: four(24),
            head,
        };
        if bytes[..4] != MARK || found.length as usize > MAX_CONTENT || found.stored as usize > MAX_STORED {
            return Err(ReadError::Damaged(offset));
        }
        if found.end() > self.length {
            return Err(cut_off);
        }
        self.next = found.end();
        Ok(Some(found))
    }

    /// The content of a block.
    ///
    /// # Errors
    /// Content that is not what was written.
    pub fn content(&mut self, head: &BlockHead) -> Result<Vec<u8>, ReadError> {
        let damaged = || ReadError::Damaged(head.offset);
        self.file.seek(SeekFrom::Start(head.offset + BLOCK_HEAD as u64))?;
        let mut stored = vec![0; head.stored as usize];
        self.file.read_exact(&mut stored)?;
        if sum_of(&head.head, &stored) != head.sum {
            return Err(damaged());
        }
        let content = self.unpacker.decompress(&stored, head.length as usize);
        let content = content.map_err(|_error| damaged())?;
        if content.len() == head.length as usize {
            Ok(content)
        } else {
            Err(damaged())
        }
    }

    /// Where the next block begins in the file.
    pub const fn position(&self) -> u64 {
        self.next
    }

    /// From here on blocks come from the first again.
    pub const fn rewind(&mut self) {
        self.next = HEAD as u64;
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::*;

    fn file(contents: &[&[u8]]) -> Vec<u8> {
        let mut file = file_head().to_vec();
        for (number, content) in (0..).zip(contents) {
            file.extend(encode(Kind(number), u64::from(number) * 10, content).unwrap());
        }
        file
    }

    /// The contents up to the first error.
    fn read(bytes: &[u8]) -> (Vec<Vec<u8>>, Option<ReadError>) {
        let mut contents = Vec::new();
        let mut blocks = match Blocks::open(Cursor::new(bytes)) {
            Ok(blocks) => blocks,
            Err(error) => return (contents, Some(error)),
        };
        loop {
            let next = blocks.next_head();
            match next.and_then(|head| head.map(|head| blocks.content(&head)).transpose()) {
                Ok(Some(content)) => contents.push(content),
                Ok(None) => return (contents, None),
                Err(error) => return (contents, Some(error)),
            }
        }
    }

    #[test]
    fn what_is_no_recording_says_so() {
        assert!(matches!(read(b""), (_, Some(ReadError::Empty))));
        assert!(matches!(read(b"\x7fELF"), (_, Some(ReadError::Magic))));
        assert!(matches!(read(b"memtr"), (_, Some(ReadError::CutOff(5)))));
        let mut newer = file_head();
        newer[16] = 9;
        let (_, error) = read(&newer);
        assert!(error.unwrap().to_string().contains("format 9"));
        assert!(matches!(read(&file_head()), (none, None) if none.is_empty()));
    }

    #[test]
    fn a_file_that_is_cut_off_is_good_up_to_the_last_whole_block() {
        let large = vec![7; 100_000];
        let contents: [&[u8]; 3] = [b"first", &large, b""];
        let whole = file(&contents);
        let ends: Vec<usize> = (0..=3).map(|count| file(&contents[..count]).len()).collect();
        for length in HEAD..whole.len() {
            let (found, error) = read(&whole[..length]);
            let good = ends.iter().filter(|&&end| end <= length).count() - 1;
            assert_eq!(found.len(), good, "{length}");
            assert_eq!(error.is_none(), ends.contains(&length), "{length}");
        }
    }

    #[test]
    fn any_changed_byte_is_found() {
        let whole = file(&[b"first", b"second"]);
        for at in HEAD..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x10;
            let (found, error) = read(&damaged);
            assert!(error.is_some() && found.len() < 2, "{at}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_end(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut file = file_head().to_vec();
            file.extend(bytes);
            let (found, _) = read(&file);
            prop_assert!(found.len() <= file.len());
        }

        #[test]
        fn what_is_written_is_read(contents in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 0..8)) {
            let slices: Vec<&[u8]> = contents.iter().map(Vec::as_slice).collect();
            let (found, error) = read(&file(&slices));
            prop_assert!(error.is_none());
            prop_assert_eq!(found, contents);
        }
    }
}
