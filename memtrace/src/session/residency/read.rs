//! One round of readings: the part that waits for the kernel.

use std::{
    cmp::Reverse,
    fs, io,
    time::{Duration, Instant},
};

use rustix::param::page_size;

use crate::{
    ledger::Memory,
    process::{
        Memory as ProcessMemory,
        pages::{PAGE, Pagemap},
        smaps::{self, Entry, SmapsError},
        stack_pointers,
    },
    profile::resident::Reading,
    resident::{Input, Known},
    target,
    v8::{
        engine::Version,
        pages::{self, HeapPages},
    },
};

/// Pages that a process is looked at by, one by one, in one reading: 16 GiB, some 0.1 s and 32 MiB of `pagemap`.
const MOST_PAGES: u64 = 4 << 20;

/// A process whose memory is to be split.
pub(super) struct Subject {
    pub(super) pid: u32,
    pub(super) incarnation: u32,
    pub(super) memory: Memory,
    pub(super) blocks_seen: bool,
    /// The V8 that it has, if one is understood.
    pub(super) engine: Option<Version>,
    pub(super) known: Known,
}

/// What is to be read, and what came of it.
pub(super) struct Round {
    /// Since the start of the observation.
    pub(super) at: Duration,
    pub(super) subjects: Vec<Subject>,
    /// Incarnation and pid of the others.
    pub(super) others: Vec<(u32, u32)>,
    /// By incarnation.
    pub(super) readings: Vec<(u32, Reading)>,
    /// What could not be read and why, a sentence each.
    pub(super) failed: Vec<String>,
    /// All of them, most resident memory first.
    pub(super) largest: Vec<u32>,
    /// The sum of the others.
    pub(super) others_read: Reading,
    pub(super) took: Duration,
}

impl Round {
    /// Reads.
    pub(super) fn read(mut self) -> Self {
        let begun = Instant::now();
        let mut sizes = Vec::new();
        for subject in &mut self.subjects {
            match read(subject, &mut self.failed) {
                Ok(reading) => {
                    sizes.push((Reverse(reading.rss), subject.incarnation));
                    let reading = Reading { at: self.at, ..reading };
                    self.readings.push((subject.incarnation, reading));
                }
                Err(error) if has_ended(&error) => {}
                Err(error) => self.failed.push(format!(
                    "resident memory of process {} could not be read: {error}",
                    subject.pid
                )),
            }
            // It is what takes room.
            subject.memory = Memory::default();
        }
        for &(incarnation, pid) in &self.others {
            if let Some(rss) = total(pid) {
                sizes.push((Reverse(rss), incarnation));
                self.others_read.others += 1;
                self.others_read.others_rss += rss;
            }
        }
        sizes.sort_unstable();
        self.largest = sizes.into_iter().map(|(_, incarnation)| incarnation).collect();
        self.took = begun.elapsed();
        self
    }
}

fn read(subject: &mut Subject, failed: &mut Vec<String>) -> Result<Reading, SmapsError> {
    let (tid, entries) = entries(subject.pid)?;
    let pagemap = Pagemap::open(tid);
    let stack_pointers = stack_pointers::waiting(subject.pid);
    let mut left = MOST_PAGES;
    let mut pages = |start: u64, end: u64| {
        left = left.checked_sub((end - start) / PAGE)?;
        pagemap.as_ref().ok()?.read(start, end).ok()
    };
    let heaps = subject
        .engine
        .and_then(|version| heaps((subject.pid, tid), version, &entries, pagemap.as_ref().ok(), failed));
    let input = Input {
        entries: &entries,
        memory: &subject.memory,
        stack_pointers: &stack_pointers,
        blocks_seen: subject.blocks_seen,
        heaps: heaps.as_ref(),
    };
    Ok(subject.known.read(&input, &mut pages))
}

/// The memory of a process as V8's pages are looked for in it.
struct Inside<'file> {
    memory: ProcessMemory,
    pagemap: Option<&'file Pagemap>,
}

impl pages::Memory for Inside<'_> {
    fn is_there(&self, address: u64) -> bool {
        let end = address.saturating_add(PAGE);
        let pages = self.pagemap.and_then(|pagemap| pagemap.read(address, end).ok());
        pages.is_some_and(|pages| pages.bytes(address, end) > 0)
    }

    fn fill(&self, address: u64, bytes: &mut [u8]) -> bool {
        self.memory.fill(address, bytes)
    }
}

/// The pages of V8's heaps.
fn heaps(
    (pid, tid): (u32, u32),
    version: Version,
    entries: &[Entry],
    pagemap: Option<&Pagemap>,
    failed: &mut Vec<String>,
) -> Option<HeapPages> {
    let memory = match ProcessMemory::open(tid) {
        Ok(memory) => memory,
        Err(error) => {
            let error = SmapsError::Io(error);
            if has_ended(&error) {
                return None;
            }
            failed.push(format!(
                "the heap of JavaScript of process {pid} could not be read: {error}"
            ));
            return None;
        }
    };
    let found = pages::find(version, entries, &Inside { memory, pagemap })?;
    if found.is_cut_off {
        failed.push(format!(
            "the heap of JavaScript of process {pid} was looked for in the first 32 GiB of its memory only"
        ));
    }
    Some(found)
}

/// The mappings, and the thread that they are shown by: the kernel shows none by a main thread that has ended.
fn entries(pid: u32) -> Result<(u32, Vec<Entry>), SmapsError> {
    match smaps::read(pid) {
        Ok(entries) => Ok((pid, entries)),
        Err(SmapsError::Ended) => {
            let tid = target::living_thread(pid, pid).ok_or(SmapsError::Ended)?;
            Ok((tid, smaps::read(tid)?))
        }
        Err(error) => Err(error),
    }
}

/// Resident memory by the second number of `statm`, which the kernel keeps as it goes and may be off by some pages for each
/// processor.
fn total(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let pages: u64 = text.split_ascii_whitespace().nth(1)?.parse().ok()?;
    pages.checked_mul(page_size() as u64)
}

/// Whether a process has just ended: that is told otherwise.
fn has_ended(error: &SmapsError) -> bool {
    match error {
        SmapsError::Ended => true,
        SmapsError::Io(error) => {
            error.kind() == io::ErrorKind::NotFound
                || error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error())
        }
        SmapsError::Line(_) | SmapsError::TooMany => false,
    }
}
