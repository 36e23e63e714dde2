//! `/proc/PID/smaps`: how much of each mapping is resident. The parser is total: any text gives a list or an error.
//!
//! The kernel walks the page tables of a mapping for its lines and holds the lock on the list of mappings meanwhile, shared:
//! page faults go on, `mmap` and `munmap` of the process wait.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read as _},
};

use thiserror::Error;

use super::maps;

/// Bytes of a line that are looked at: paths have 4096 at most (`PATH_MAX`), each byte written as four where it is escaped.
const LINE_BYTES: u64 = 64 << 10;

/// Mappings at most: the kernel's default limit is 65,530 (`vm.max_map_count`), machines for databases have a few millions.
const MOST: usize = 1 << 23;

/// What lies behind a mapping.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Behind {
    /// Nothing: private memory of the process alone.
    #[default]
    Anonymous,
    /// Nothing, below the program break (`[heap]`).
    Heap,
    /// Nothing: the stack of the main thread.
    Stack,
    /// A file, memory that is shared, or what the kernel maps into every process.
    FileOrShared,
}

/// A mapping. Sizes are bytes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "the kernel tells each by itself")]
pub struct Entry {
    /// First address (avma).
    pub start: u64,
    /// End (avma).
    pub end: u64,
    /// What lies behind it.
    pub behind: Behind,
    /// Whether it can be read, written or executed at all.
    pub accessible: bool,
    /// Whether it can be written.
    pub writable: bool,
    /// Whether it can be executed.
    pub executable: bool,
    /// Whether it was asked for as a stack, or huge pages were declined for it (`nh`: since Linux 6.7 `MAP_STACK` does that).
    pub declines_huge: bool,
    /// Resident.
    pub rss: u64,
    /// Resident, each page divided by the number of processes that have it mapped. The kernel cuts it off to whole KiB.
    pub pss: u64,
    /// Resident and not of a file nor shared memory (`Anonymous`): pages of a file that were written to are among them.
    pub anonymous: u64,
    /// Resident, and free for the kernel to take when it needs memory (`LazyFree`, after `MADV_FREE`).
    pub lazy_free: u64,
    /// In anonymous huge pages.
    pub huge: u64,
    /// Swapped out.
    pub swap: u64,
}

impl Entry {
    /// Its size in bytes.
    pub const fn size(&self) -> u64 {
        self.end - self.start
    }

    /// Whether every page is resident.
    pub const fn is_whole(&self) -> bool {
        self.rss >= self.size()
    }
}

/// Why there is no list.
#[derive(Debug, Error)]
pub enum SmapsError {
    /// The process is gone or may not be looked at, or the kernel has no such file.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The process has ended: its memory is gone already.
    #[error("the process has no memory any more")]
    Ended,
    /// A size without a mapping before it, or one that is no number.
    #[error("line {0} is not understood")]
    Line(usize),
    /// More mappings than any process has.
    #[error("there are more than {MOST} mappings")]
    TooMany,
}

/// Reads all mappings of a process.
///
/// # Errors
/// See [`SmapsError`].
pub fn read(pid: u32) -> Result<Vec<Entry>, SmapsError> {
    let file = File::open(format!("/proc/{pid}/smaps"))?;
    // The kernel fills as much as it is given, and lets go of its lock in between.
    let all = parse(BufReader::with_capacity(64 << 10, file))?;
    if all.is_empty() {
        Err(SmapsError::Ended)
    } else {
        Ok(all)
    }
}

/// The mappings of a text, by address. What overlaps one before it is left out: the list may change while it is read.
///
/// # Errors
/// What reading says, and what is not understood.
pub fn parse(mut text: impl BufRead) -> Result<Vec<Entry>, SmapsError> {
    let mut all: Vec<Entry> = Vec::new();
    let mut current: Option<Entry> = None;
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let taken = (&mut text).take(LINE_BYTES).read_until(b'\n', &mut line)?;
        if taken == 0 {
            break;
        }
        // Only names are not ASCII, and of these only brackets matter.
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end_matches('\n');
        if let Some(entry) = first_line(text) {
            keep(&mut all, current.replace(entry));
            if all.len() >= MOST {
                return Err(SmapsError::TooMany);
            }
        } else {
            let entry = current.as_mut().ok_or(SmapsError::Line(number))?;
            field(entry, text).ok_or(SmapsError::Line(number))?;
        }
    }
    keep(&mut all, current);
    Ok(all)
}

fn keep(all: &mut Vec<Entry>, entry: Option<Entry>) {
    if let Some(entry) = entry
        && all.last().is_none_or(|last| last.end <= entry.start)
    {
        all.push(entry);
    }
}

/// The line that begins a mapping, as in `maps`.
fn first_line(line: &str) -> Option<Entry> {
    let mapping = maps::parse(line).next()?;
    let permissions = line.split(' ').nth(1)?.as_bytes();
    let behind = match mapping.name {
        "[heap]" => Behind::Heap,
        "[stack]" => Behind::Stack,
        // What programs call their memory (`PR_SET_VMA_ANON_NAME`).
        name if mapping.inode == 0 && (name.is_empty() || name.starts_with("[anon:")) => Behind::Anonymous,
        _ => Behind::FileOrShared,
    };
    Some(Entry {
        start: mapping.start,
        end: mapping.end,
        behind: if permissions.get(3) == Some(&b's') {
            Behind::FileOrShared
        } else {
            behind
        },
        accessible: permissions.iter().take(3).any(|&byte| byte != b'-'),
        writable: permissions.get(1) == Some(&b'w'),
        executable: permissions.get(2) == Some(&b'x'),
        ..Entry::default()
    })
}

/// A line of a mapping: `Rss:    12 kB`, or flags.
fn field(entry: &mut Entry, line: &str) -> Option<()> {
    let (name, value) = line.split_once(':')?;
    let into = match name {
        "Rss" => &mut entry.rss,
        "Pss" => &mut entry.pss,
        "Anonymous" => &mut entry.anonymous,
        "LazyFree" => &mut entry.lazy_free,
        "AnonHugePages" => &mut entry.huge,
        "Swap" => &mut entry.swap,
        "VmFlags" => {
            entry.declines_huge = value.split(' ').any(|flag| flag == "nh");
            return Some(());
        }
        _ => return Some(()),
    };
    let kib: u64 = value.trim().strip_suffix(" kB")?.trim_end().parse().ok()?;
    *into = kib.checked_mul(1024)?;
    Some(())
}

#[cfg(test)]
mod tests;
