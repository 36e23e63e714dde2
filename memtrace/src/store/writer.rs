//! Writes a recording.

use std::{
    fs::File,
    io::{self, BufWriter, Write as _},
    path::Path,
};

use memtrace_common::{
    identity::Identity,
    state::{LostFree, LostKey},
};

use super::{Final, MAGIC};
use crate::ledger::CallStack;

/// An open recording. A failure to write is kept and told at the end: it must not disturb the observation.
pub struct Writer {
    file: BufWriter<File>,
    failed: Option<io::Error>,
}

impl Writer {
    /// Makes the file.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create(path: &Path) -> io::Result<Self> {
        let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
        file.write_all(MAGIC)?;
        Ok(Self { file, failed: None })
    }

    fn frame(&mut self, tag: u8, content: &[u8]) {
        if self.failed.is_some() {
            return;
        }
        let result = u32::try_from(content.len())
            .map_err(io::Error::other)
            .and_then(|length| {
                self.file.write_all(&[tag])?;
                self.file.write_all(&length.to_le_bytes())?;
                self.file.write_all(content)
            });
        self.failed = result.err();
    }

    /// A record of the ring.
    pub fn event(&mut self, record: &[u8]) {
        self.frame(b'E', record);
    }

    /// A stack of a program, as it was placed.
    pub fn stack(&mut self, pid: u32, incarnation: u32, identity: Identity, stack: &CallStack) {
        let mut content = Vec::with_capacity(25 + 12 * stack.locations.len());
        content.extend(pid.to_le_bytes());
        content.extend(incarnation.to_le_bytes());
        content.extend(identity.id.to_le_bytes());
        content.extend(identity.check.to_le_bytes());
        content.push(u8::from(stack.whole));
        for location in &stack.locations {
            content.extend(location.module.to_le_bytes());
            content.extend(location.address.to_le_bytes());
        }
        self.frame(b'S', &content);
    }

    /// Events of a program count in this group from here on.
    pub fn group(&mut self, incarnation: u32, group: u32) {
        let mut content = Vec::with_capacity(8);
        content.extend(incarnation.to_le_bytes());
        content.extend(group.to_le_bytes());
        self.frame(b'G', &content);
    }

    /// A process was found to have ended.
    pub fn end(&mut self, incarnation: u32, now_ns: u64) {
        let mut content = Vec::with_capacity(12);
        content.extend(incarnation.to_le_bytes());
        content.extend(now_ns.to_le_bytes());
        self.frame(b'X', &content);
    }

    /// A lost free.
    pub fn lost_free(&mut self, key: LostKey, free: LostFree) {
        let mut content = Vec::with_capacity(28);
        content.extend(key.address.to_le_bytes());
        content.extend(key.incarnation.to_le_bytes());
        content.extend(free.time_ns.to_le_bytes());
        content.extend(free.size.to_le_bytes());
        self.frame(b'L', &content);
    }

    /// Where the program break was at the start.
    pub fn program_break(&mut self, pid: u32, incarnation: u32, address: u64) {
        let mut content = Vec::with_capacity(16);
        content.extend(pid.to_le_bytes());
        content.extend(incarnation.to_le_bytes());
        content.extend(address.to_le_bytes());
        self.frame(b'B', &content);
    }

    /// Blocks may be freed unseen from now on, perhaps after a look at the allocator.
    pub fn forget_blocks(&mut self, now_ns: u64, after_look: bool) {
        let mut content = now_ns.to_le_bytes().to_vec();
        content.extend(u32::from(after_look).to_le_bytes());
        self.frame(b'U', &content);
    }

    /// A moment at which live bytes were noted; `lost` records had never come by then.
    pub fn sample(&mut self, now_ns: u64, lost: u64) {
        if lost > 0 {
            self.frame(b'N', &lost.to_le_bytes());
        }
        self.frame(b'P', &now_ns.to_le_bytes());
    }

    /// Ends the recording.
    ///
    /// # Errors
    /// The first failure to write since it was made.
    pub fn finish(mut self, end: &Final) -> io::Result<()> {
        let content = serde_json::to_vec(end)?;
        self.frame(b'F', &content);
        match self.failed {
            Some(error) => Err(error),
            None => self.file.flush(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        process::Location,
        store::{Frame, frames},
    };

    #[test]
    fn what_is_written_is_read() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut writer = Writer::create(file.path()).unwrap();
        let identity = Identity { id: 5, check: 6 };
        let location = Location { module: 7, address: 8 };
        let stack = CallStack {
            locations: [location; 2].into(),
            whole: true,
        };
        writer.event(b"record");
        writer.stack(1, 2, identity, &stack);
        writer.group(2, 9);
        writer.end(2, 10);
        writer.program_break(1, 2, 11);
        writer.sample(11, 0);
        writer.sample(12, 3);
        writer.forget_blocks(13, true);
        writer.file.flush().unwrap();
        let bytes = std::fs::read(file.path()).unwrap();
        let all: Vec<Frame<'_>> = frames(&bytes).map(Result::unwrap).collect();
        let [
            Frame::Event(b"record"),
            Frame::Stack {
                pid: 1,
                incarnation: 2,
                identity: read_identity,
                stack: read_stack,
            },
            Frame::Group {
                incarnation: 2,
                group: 9,
            },
            Frame::End {
                incarnation: 2,
                now_ns: 10,
            },
            Frame::Break {
                pid: 1,
                incarnation: 2,
                address: 11,
            },
            Frame::Sample(11),
            Frame::Lost(3),
            Frame::Sample(12),
            Frame::Forget {
                now_ns: 13,
                after_look: true,
            },
        ] = all.as_slice()
        else {
            panic!("{all:?}")
        };
        assert_eq!((*read_identity, read_stack), (identity, &stack));
    }
}
