//! How many breakpoints a process has: where its code differs from the files it was mapped from.
//!
//! That tells whether probes are in, and gone again, whoever put them there.

use std::{fs::File, io, os::unix::fs::FileExt as _, path::Path};

use anyhow::{Context as _, Result};

/// Counts them. Bytes beside each other that differ are one: a kernel may put a jump in the place of a breakpoint.
///
/// # Errors
/// When the memory of the process cannot be read: it has ended, or is not a child of this process.
pub(super) fn count(pid: u32) -> Result<usize> {
    let path = format!("/proc/{pid}/maps");
    let maps = std::fs::read_to_string(&path).with_context(|| format!("failed to read {path}"))?;
    let path = format!("/proc/{pid}/mem");
    let memory = File::open(&path).with_context(|| format!("failed to open {path}"))?;
    let mut found = 0;
    for code in maps.lines().filter_map(Code::parse) {
        // A file that is gone from its place is compared with nothing.
        let Ok(file) = File::open(code.path) else { continue };
        let now = read(&memory, code.address, code.length).with_context(|| format!("failed to read {path}"))?;
        let then =
            read(&file, code.offset, code.length).with_context(|| format!("failed to read {}", code.path.display()))?;
        found += places(&now, &then);
    }
    Ok(found)
}

/// A mapping of code.
#[derive(Debug, Eq, PartialEq)]
struct Code<'a> {
    address: u64,
    length: usize,
    offset: u64,
    path: &'a Path,
}

impl<'a> Code<'a> {
    /// Of a line of `/proc/PID/maps`; `None` when it is not code of a file.
    fn parse(line: &'a str) -> Option<Self> {
        let (fields, path) = line.split_at(line.find('/')?);
        let mut fields = fields.split_whitespace();
        let (start, end) = fields.next()?.split_once('-')?;
        if fields.next()?.as_bytes().get(2) != Some(&b'x') {
            return None;
        }
        let number = |digits| u64::from_str_radix(digits, 16).ok();
        let address = number(start)?;
        Some(Self {
            address,
            length: number(end)?.checked_sub(address)?.try_into().ok()?,
            offset: number(fields.next()?)?,
            path: Path::new(path),
        })
    }
}

/// As much as is there: a mapping goes to the end of its page, a file may not.
fn read(file: &File, offset: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    let mut filled = 0;
    while filled < length {
        match file.read_at(&mut bytes[filled..], offset + filled as u64)? {
            0 => break,
            count => filled += count,
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

/// Runs of bytes that differ.
fn places(now: &[u8], then: &[u8]) -> usize {
    let mut before = false;
    now.iter()
        .zip(then)
        .filter(|(now, then)| {
            let differs = now != then;
            let begins = differs && !before;
            before = differs;
            begins
        })
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_beside_each_other_are_one_place() {
        assert_eq!(places(b"abcdefgh", b"abcdefgh"), 0);
        assert_eq!(places(b"Xbcdefgh", b"abcdefgh"), 1);
        assert_eq!(places(b"abXXXfgX", b"abcdefgh"), 2);
        // The rest of a page that the file does not fill.
        assert_eq!(places(b"abcdXX", b"abcd"), 0);
    }

    #[test]
    fn only_code_of_files_is_looked_at() {
        let line = "55d0f0c02000-55d0f0c03000 r-xp 00001000 fe:01 917602                     /usr/bin/a program";
        assert_eq!(
            Code::parse(line),
            Some(Code {
                address: 0x55d0_f0c0_2000,
                length: 0x1000,
                offset: 0x1000,
                path: Path::new("/usr/bin/a program"),
            })
        );
        assert_eq!(Code::parse(&line.replace("r-xp", "r--p")), None);
        assert_eq!(
            Code::parse("7ffc3a9f2000-7ffc3a9f4000 r-xp 00000000 00:00 0                          [vdso]"),
            None
        );
    }

    // How many there are is not for a test to say: somebody may be tracing every process.
    #[test]
    fn memory_and_files_can_be_compared() {
        count(std::process::id()).unwrap();
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        assert!(count(child.id()).is_err());
    }
}
