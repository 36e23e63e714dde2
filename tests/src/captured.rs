//! What a process has printed so far.

use std::{
    io::Read,
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};

use crate::wait_until;

/// Reads a stream to its end in the background, so that the process never waits for the test.
pub(crate) struct Captured {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Captured {
    /// Starts to read.
    pub(crate) fn of(mut stream: impl Read + Send + 'static) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&bytes);
        let reader = thread::spawn(move || {
            let mut buffer = [0; 16384];
            while let Ok(length @ 1..) = stream.read(&mut buffer) {
                sink.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .extend_from_slice(&buffer[..length]);
            }
        });
        Self {
            bytes,
            reader: Some(reader),
        }
    }

    /// All that has been printed so far.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }

    /// Waits for a whole line that starts with `mark` and returns what follows the mark; `None` when the
    /// stream ends or the time is over before.
    pub(crate) fn wait_for(&self, mark: &str, within: Duration) -> Option<String> {
        wait_until(within, || {
            let ended = self.ended();
            let text = self.text();
            let found = text
                .split_inclusive('\n')
                .find(|line| line.ends_with('\n') && line.starts_with(mark));
            match found {
                Some(line) => Some(Some(line[mark.len()..].trim().to_owned())),
                None if ended => Some(None),
                None => None,
            }
        })
        .flatten()
    }

    /// Waits for the end of the stream, but no longer than `within`: a grandchild may hold it open.
    pub(crate) fn whole(&mut self, within: Duration) -> String {
        if wait_until(within, || self.ended().then_some(())).is_some()
            && let Some(reader) = self.reader.take()
        {
            // A reader that panicked has nothing more to say than what it stored.
            drop(reader.join());
        }
        self.text()
    }

    fn ended(&self) -> bool {
        self.reader.as_ref().is_none_or(JoinHandle::is_finished)
    }
}
