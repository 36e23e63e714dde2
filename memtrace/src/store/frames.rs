//! Frames: everything that the ledger was told, in its order, so that it can be told again.
//!
//! A frame is one tag byte, a length (`u32`, little endian) and that many bytes:
//!
//! | tag | content |
//! |---|---|
//! | `E` | a record of the ring, as it was |
//! | `S` | the stack just sent: pid, incarnation (`u32`), id, check (`u64`), 1 if it is whole (`u8`), then module (`u32`) and address (`u64`) of each frame |
//! | `G` | from here on events of a program count in a group: incarnation and group (`u32`) |
//! | `X` | a process was found to have ended: incarnation (`u32`) and kernel time (`u64`, nanoseconds) |
//! | `L` | a lost free that was applied: key and value as in the map |
//! | `B` | a program that was there at the start: pid, incarnation (`u32`), and its program break (`u64`), 0 for none |
//! | `P` | a moment at which live bytes were noted: kernel time (`u64`, nanoseconds) |
//! | `N` | so many records had never come by the moment that follows: `u64`; left out where it is none |
//! | `U` | blocks that were known are not any more, because they may be freed unseen: kernel time (`u64`, nanoseconds), 1 after a look at the allocator (`u32`) |
//!
//! Addresses are placed when a stack arrives, from mappings that only the live process has; hence `S`.

use memtrace_common::{
    identity::Identity,
    limits::MAX_MERGED,
    state::{LostFree, LostKey},
};

use crate::{ledger::CallStack, process::Location};

/// Bytes of a placed frame: module and address.
const LOCATION: usize = 12;

/// One frame.
#[derive(Debug)]
pub enum Frame<'a> {
    /// A record of the ring.
    Event(&'a [u8]),
    /// A stack.
    Stack {
        /// Process id.
        pid: u32,
        /// The process incarnation.
        incarnation: u32,
        /// What its events name it by.
        identity: Identity,
        /// What it is.
        stack: CallStack,
    },
    /// From here on events of a program count in a group.
    Group {
        /// The process incarnation.
        incarnation: u32,
        /// The group.
        group: u32,
    },
    /// A process was found to have ended.
    End {
        /// The process incarnation.
        incarnation: u32,
        /// Kernel time in nanoseconds.
        now_ns: u64,
    },
    /// A lost free.
    LostFree(LostKey, LostFree),
    /// How many records had never come by then.
    Lost(u64),
    /// A moment at which live bytes were noted, in nanoseconds.
    Sample(u64),
    /// From here on blocks that were known are not, because they may be freed unseen.
    Forget {
        /// Kernel time in nanoseconds.
        now_ns: u64,
        /// Whether they were known by a look at the allocator.
        after_look: bool,
    },
    /// Where the program break was at the start.
    Break {
        /// Process id.
        pid: u32,
        /// The process incarnation.
        incarnation: u32,
        /// The program break (avma).
        address: u64,
    },
}

/// The frames of a block, and `None` where they cannot be read on.
pub fn frames(bytes: &[u8]) -> impl Iterator<Item = Option<Frame<'_>>> {
    let mut at = 0;
    let mut broken = false;
    std::iter::from_fn(move || {
        if broken || at == bytes.len() {
            return None;
        }
        let frame = take(bytes, &mut at).and_then(|(tag, content)| frame(tag, content));
        broken = frame.is_none();
        Some(frame)
    })
}

fn take<'a>(bytes: &'a [u8], at: &mut usize) -> Option<(u8, &'a [u8])> {
    let rest = bytes.get(*at..)?;
    let (&tag, rest) = rest.split_first()?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let content = rest.get(..length)?;
    *at += 5 + length;
    Some((tag, content))
}

fn frame(tag: u8, content: &[u8]) -> Option<Frame<'_>> {
    let mut rest = content;
    let frame = match tag {
        b'E' => return Some(Frame::Event(content)),
        b'S' => {
            let (pid, incarnation) = (small(&mut rest)?, small(&mut rest)?);
            let identity = Identity {
                id: number(&mut rest)?,
                check: number(&mut rest)?,
            };
            let (&whole, after) = rest.split_first()?;
            rest = after;
            let count = rest.len() / LOCATION;
            if count > MAX_MERGED {
                return None;
            }
            let mut locations = Vec::with_capacity(count);
            while !rest.is_empty() {
                locations.push(Location {
                    module: small(&mut rest)?,
                    address: number(&mut rest)?,
                });
            }
            let stack = CallStack {
                locations: locations.into(),
                whole: whole == 1,
            };
            Frame::Stack {
                pid,
                incarnation,
                identity,
                stack,
            }
        }
        b'G' => Frame::Group {
            incarnation: small(&mut rest)?,
            group: small(&mut rest)?,
        },
        b'X' => Frame::End {
            incarnation: small(&mut rest)?,
            now_ns: number(&mut rest)?,
        },
        b'L' => Frame::LostFree(
            LostKey {
                address: number(&mut rest)?,
                incarnation: small(&mut rest)?,
                reserved: 0,
            },
            LostFree {
                time_ns: number(&mut rest)?,
                size: number(&mut rest)?,
            },
        ),
        b'B' => Frame::Break {
            pid: small(&mut rest)?,
            incarnation: small(&mut rest)?,
            address: number(&mut rest)?,
        },
        b'N' => Frame::Lost(number(&mut rest)?),
        b'P' => Frame::Sample(number(&mut rest)?),
        b'U' => Frame::Forget {
            now_ns: number(&mut rest)?,
            after_look: small(&mut rest)? != 0,
        },
        _ => return None,
    };
    rest.is_empty().then_some(frame)
}

fn number(bytes: &mut &[u8]) -> Option<u64> {
    let (head, rest) = bytes.split_first_chunk::<8>()?;
    *bytes = rest;
    Some(u64::from_le_bytes(*head))
}

fn small(bytes: &mut &[u8]) -> Option<u32> {
    let (head, rest) = bytes.split_first_chunk::<4>()?;
    *bytes = rest;
    Some(u32::from_le_bytes(*head))
}

/// Frames under construction.
#[derive(Debug, Default)]
pub struct FrameWriter {
    bytes: Vec<u8>,
}

impl FrameWriter {
    fn frame(&mut self, tag: u8, content: &[u8]) {
        // No frame is longer than a stack of the greatest depth.
        let length = u32::try_from(content.len()).unwrap_or(0);
        self.bytes.push(tag);
        self.bytes.extend(length.to_le_bytes());
        self.bytes.extend(content.get(..length as usize).unwrap_or_default());
    }

    /// The bytes so far.
    pub const fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Takes the bytes so far.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
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
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut writer = FrameWriter::default();
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
        let bytes = writer.take();
        assert!(writer.is_empty());
        let all: Vec<Frame<'_>> = frames(&bytes).map(Option::unwrap).collect();
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

    proptest! {
        #[test]
        fn any_bytes_end(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            prop_assert!(frames(&bytes).count() <= bytes.len());
        }
    }
}
