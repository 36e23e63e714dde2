//! Writes a session file, in a thread of its own: compressing and waiting for a disk must not keep the loop from the ring.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
};

use super::block::{self, Kind};

/// Blocks that may wait for the disk. Each may be some megabytes.
const WAITING: usize = 16;

/// A block on its way.
struct Piece {
    kind: Kind,
    time_ns: u64,
    content: Vec<u8>,
}

/// What both sides see.
#[derive(Debug, Default)]
struct Shared {
    /// Bytes in the file.
    written: AtomicU64,
    /// Blocks on their way.
    waiting: AtomicU64,
    /// Why nothing is written any more.
    failed: Mutex<Option<String>>,
}

/// An open session file. When it can no longer be written, the observation goes on and what is in the file stays good.
#[derive(Debug)]
pub struct FileWriter {
    pieces: SyncSender<Piece>,
    thread: JoinHandle<io::Result<()>>,
    shared: Arc<Shared>,
    path: PathBuf,
}

impl FileWriter {
    /// Makes the file. One that is there already is neither followed nor overwritten.
    ///
    /// # Errors
    /// When it cannot be made, or is there.
    pub fn create(path: &Path) -> io::Result<Self> {
        let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
        file.write_all(&block::file_head())?;
        let (pieces, received) = sync_channel(WAITING);
        let shared = Arc::new(Shared::default());
        shared.written.store(block::HEAD as u64, Ordering::Relaxed);
        let seen = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("recording".to_owned())
            .spawn(move || write_all(file, &received, &seen))?;
        Ok(Self {
            pieces,
            thread,
            shared,
            path: path.to_owned(),
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes in the file.
    pub fn written(&self) -> u64 {
        self.shared.written.load(Ordering::Relaxed)
    }

    /// Why nothing is written any more, if that is so.
    pub fn failure(&self) -> Option<String> {
        let failed = self.shared.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.clone()
    }

    /// Whether so many blocks are on their way that what can wait should.
    pub fn is_behind(&self) -> bool {
        self.shared.waiting.load(Ordering::Relaxed) > WAITING as u64 / 2
    }

    /// Appends a block as soon as there is time; waits while too many are on their way.
    pub fn block(&self, kind: Kind, time_ns: u64, content: Vec<u8>) {
        self.shared.waiting.fetch_add(1, Ordering::Relaxed);
        // A thread that has ended has left its reason.
        let _gone = self.pieces.send(Piece { kind, time_ns, content });
    }

    /// Waits until everything is on the disk.
    ///
    /// # Errors
    /// The first failure to write since the file was made.
    pub fn finish(self) -> io::Result<()> {
        let Self { pieces, thread, .. } = self;
        drop(pieces);
        thread
            .join()
            .unwrap_or_else(|_panic| Err(io::Error::other("the thread that writes it has failed")))
    }
}

fn write_all(mut file: File, pieces: &Receiver<Piece>, shared: &Shared) -> io::Result<()> {
    let mut good = block::HEAD as u64;
    let mut result = Ok(());
    while let Ok(Piece { kind, time_ns, content }) = pieces.recv() {
        shared.waiting.fetch_sub(1, Ordering::Relaxed);
        if result.is_err() {
            continue;
        }
        let written = block::encode(kind, time_ns, &content).and_then(|block| {
            file.write_all(&block)?;
            Ok(block.len() as u64)
        });
        match written {
            Ok(bytes) => {
                good += bytes;
                shared.written.store(good, Ordering::Relaxed);
            }
            Err(error) => {
                // What is half written would end every later reading there.
                let _still_readable = file.set_len(good);
                *shared.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
                result = Err(error);
            }
        }
    }
    result?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::block::Blocks;

    #[test]
    fn blocks_come_in_order_and_an_existing_file_stays() {
        let here = tempfile::tempdir().unwrap();
        let path = here.path().join("session");
        let writer = FileWriter::create(&path).unwrap();
        for number in 0..50_u8 {
            writer.block(Kind(7), number.into(), vec![number; 1000]);
        }
        writer.finish().unwrap();
        let mut blocks = Blocks::open(File::open(&path).unwrap()).unwrap();
        for number in 0..50_u8 {
            let head = blocks.next_head().unwrap().unwrap();
            assert_eq!((head.kind, head.time_ns), (Kind(7), number.into()));
            assert_eq!(blocks.content(&head).unwrap(), [number; 1000]);
        }
        assert!(blocks.next_head().unwrap().is_none());
        assert_eq!(
            FileWriter::create(&path).unwrap_err().kind(),
            io::ErrorKind::AlreadyExists
        );
    }

    #[test]
    fn a_device_that_is_full_is_told_and_does_not_stop_anybody() {
        let (pieces, received) = sync_channel(WAITING);
        let shared = Shared::default();
        shared.waiting.store(3, Ordering::Relaxed);
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        for _ in 0..3 {
            let content = vec![0; 10];
            pieces
                .send(Piece {
                    kind: Kind(1),
                    time_ns: 0,
                    content,
                })
                .unwrap();
        }
        drop(pieces);
        let error = write_all(full, &received, &shared).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert!(shared.failed.lock().unwrap().is_some());
    }
}
