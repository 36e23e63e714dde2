//! `/proc/PID/maps`, read whole and parsed. The parser is pure and total: lines that are not understood are left out.

use std::{fs, io};

/// The last line of a 64-bit x86 process, unless the kernel was built or started without it (`get_gate_vma`,
/// `arch/x86/entry/vsyscall`).
const LAST: &str = "[vsyscall]\n";

/// How often the text is read before a process is given up that maps memory all the time.
const READINGS: usize = 4;

/// One line: a mapping.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Mapping<'a> {
    /// First address (avma).
    pub start: u64,
    /// End (avma).
    pub end: u64,
    /// Whether it can be written to, as stacks can.
    pub writable: bool,
    /// Whether it can be executed.
    pub executable: bool,
    /// Offset in the file, in bytes.
    pub offset: u64,
    /// Device as the kernel prints it, `major:minor` in hex.
    pub device: &'a str,
    /// Inode; 0 where there is no file.
    pub inode: u64,
    /// Path or name in brackets; empty for anonymous memory. The kernel writes newlines in it as `\012`.
    pub name: &'a str,
}

impl Mapping<'_> {
    /// The name without those that programs give to their memory (`prctl(PR_SET_VMA)`): they are without number.
    pub fn memory_name(&self) -> &str {
        match self.name {
            name if name.starts_with("[anon") || name.starts_with("[stack:") => "",
            name => name,
        }
    }

    /// The path without the mark that the kernel adds when the file was unlinked (`fs/d_path.c`).
    pub fn path(&self) -> &str {
        self.name.strip_suffix(" (deleted)").unwrap_or(self.name)
    }
}

/// The whole text of a process that is there. Of one that ends while it is read, the kernel gives the lines so far as if they
/// were all (`m_start`, `fs/proc/task_mmu.c`, finds the memory gone): what does not end as it must is read until it is the same
/// twice.
///
/// # Errors
/// When the process is gone, ends meanwhile, or may not be looked at.
pub fn read(pid: u32) -> io::Result<String> {
    let path = format!("/proc/{pid}/maps");
    whole(|| fs::read(&path))
}

fn whole(mut text: impl FnMut() -> io::Result<Vec<u8>>) -> io::Result<String> {
    let mut last = Vec::new();
    for _ in 0..READINGS {
        let bytes = text()?;
        if bytes.is_empty() {
            return Err(io::Error::other("the process has no memory any more"));
        }
        if bytes.ends_with(LAST.as_bytes()) || bytes == last {
            // Paths need not be UTF-8; a replaced character only shows in a name.
            return Ok(String::from_utf8_lossy(&bytes).into_owned());
        }
        last = bytes;
    }
    Err(io::Error::other("the mappings change while they are read"))
}

/// The mappings of a text, in its order: by address.
pub fn parse(text: &str) -> impl Iterator<Item = Mapping<'_>> {
    text.lines().filter_map(line)
}

fn line(line: &str) -> Option<Mapping<'_>> {
    let mut rest = line;
    let mut field = || {
        let trimmed = rest.trim_start_matches(' ');
        let (field, after) = trimmed.split_once(' ').unwrap_or((trimmed, ""));
        rest = after;
        (!field.is_empty()).then_some(field)
    };
    let (start, end) = field()?.split_once('-')?;
    let permissions = field()?;
    let offset = field()?;
    let device = field()?;
    let inode = field()?;
    let hex = |text| u64::from_str_radix(text, 16).ok();
    let (start, end) = (hex(start)?, hex(end)?);
    (start < end).then_some(())?;
    Some(Mapping {
        start,
        end,
        writable: permissions.as_bytes().get(1) == Some(&b'w'),
        executable: permissions.as_bytes().get(2) == Some(&b'x'),
        offset: hex(offset)?,
        device,
        inode: inode.parse().ok()?,
        name: rest.trim_start_matches(' '),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_was_cut_off_by_the_end_of_the_process_is_not_taken_for_the_whole() {
        let reading = |texts: &[&'static str]| {
            let mut texts = texts.iter();
            whole(|| Ok(texts.next().unwrap().as_bytes().to_vec()))
        };
        let (part, all) = (
            "1000-2000 r-xp 0 0:0 0 a\n",
            "1000-2000 r-xp 0 0:0 0 a\n9000-a000 --xp 0 0:0 0 [vsyscall]\n",
        );
        assert_eq!(reading(&[all]).unwrap(), all);
        assert!(reading(&[part, ""]).is_err(), "it has ended");
        assert_eq!(reading(&[part, all]).unwrap(), all, "it has become another program");
        assert_eq!(reading(&[part, part]).unwrap(), part, "no such line here");
        assert!(reading(&["a", "b", "c", "d"]).is_err());
        assert!(whole(|| Err(io::ErrorKind::NotFound.into())).is_err());
    }

    const TEXT: &str = "\
55e8a0a00000-55e8a0a02000 r--p 00000000 fe:00 1311 /usr/bin/with space
55e8a0a02000-55e8a0a07000 r-xp 00002000 fe:00 1311 /usr/bin/with space
55e8a1c00000-55e8a1c21000 rw-p 00000000 00:00 0                          [heap]
7f0000000000-7f0000001000 rwxp 00000000 00:00 0 
7f1d5c000000-7f1d5c001000 r-xp 00001000 00:2a 77 /tmp/a\\012b.so (deleted)
7ffd4e3f8000-7ffd4e3fa000 r-xp 00000000 00:00 0                          [vdso]
nonsense
";

    #[test]
    fn names_devices_and_marks() {
        let all: Vec<_> = parse(TEXT).collect();
        assert_eq!(all.len(), 6);
        assert_eq!(all[1].name, "/usr/bin/with space");
        assert!(all[1].executable && !all[0].executable);
        assert!(all[2].writable && all[3].writable && !all[1].writable);
        assert_eq!((all[1].offset, all[1].device, all[1].inode), (0x2000, "fe:00", 1311));
        assert_eq!(all[2].name, "[heap]");
        assert_eq!(all[3].name, "");
        assert_eq!(all[4].path(), "/tmp/a\\012b.so");
        assert_eq!(all[5].name, "[vdso]");
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in "\\PC{0,200}") {
            for mapping in parse(&text) {
                prop_assert!(mapping.start < mapping.end);
            }
        }
    }
}
