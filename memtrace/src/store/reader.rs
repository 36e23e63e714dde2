//! Reads a recording. Total: any bytes give frames or an error.

use memtrace_common::{
    identity::Identity,
    limits::MAX_FRAMES,
    state::{LostFree, LostKey},
};
use thiserror::Error;

use super::{Final, MAGIC};
use crate::{ledger::CallStack, process::Location};

/// Bytes of a placed frame: module and address.
const LOCATION: usize = 12;

/// One frame of a recording.
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
    /// The end.
    Final(Box<Final>),
}

/// Why a recording could not be read on.
#[derive(Debug, Error)]
pub enum ReadError {
    /// Not a recording, or one of another version.
    #[error("this is not a recording of this version: it does not start with \"memtrace-ring 3\"")]
    Magic,
    /// The file ends inside a frame.
    #[error("the recording is cut off at byte {0}")]
    Truncated(usize),
    /// A frame that makes no sense.
    #[error("the frame at byte {0} of the recording is damaged")]
    Damaged(usize),
    /// Something follows the end: the files of two recordings, for example.
    #[error("the recording goes on at byte {0}, after its end")]
    Trailing(usize),
}

/// The frames of a recording, up to the first that cannot be read.
pub fn frames(bytes: &[u8]) -> impl Iterator<Item = Result<Frame<'_>, ReadError>> {
    let mut at = 0;
    let (mut broken, mut ended) = (false, false);
    std::iter::from_fn(move || {
        if broken || (at > 0 && at == bytes.len()) {
            return None;
        }
        if ended {
            broken = true;
            return Some(Err(ReadError::Trailing(at)));
        }
        if at == 0 {
            if !bytes.starts_with(MAGIC) {
                broken = true;
                return Some(Err(ReadError::Magic));
            }
            at = MAGIC.len();
            if at == bytes.len() {
                return None;
            }
        }
        let start = at;
        let result = take(bytes, &mut at)
            .ok_or(ReadError::Truncated(start))
            .and_then(|(tag, content)| frame(tag, content).ok_or(ReadError::Damaged(start)));
        broken = result.is_err();
        ended = matches!(result, Ok(Frame::Final(_)));
        Some(result)
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
        b'F' => {
            return serde_json::from_slice(content)
                .ok()
                .map(|end| Frame::Final(Box::new(end)));
        }
        b'S' => {
            let (pid, incarnation) = (small(&mut rest)?, small(&mut rest)?);
            let identity = Identity {
                id: number(&mut rest)?,
                check: number(&mut rest)?,
            };
            let (&whole, after) = rest.split_first()?;
            rest = after;
            let count = rest.len() / LOCATION;
            if count > MAX_FRAMES {
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn other_files_and_cut_ones_are_refused_with_the_reason() {
        assert!(matches!(frames(b"ELF").next(), Some(Err(ReadError::Magic))));
        assert!(matches!(frames(b"").next(), Some(Err(ReadError::Magic))));
        let mut bytes = MAGIC.to_vec();
        assert!(frames(&bytes).next().is_none());
        bytes.extend(b"P\x08\0\0\0\x01\0\0\0");
        assert!(matches!(frames(&bytes).next(), Some(Err(ReadError::Truncated(_)))));
        bytes.extend(b"\0\0\0\0");
        let mut all = frames(&bytes);
        assert!(matches!(all.next(), Some(Ok(Frame::Sample(1)))));
        assert!(all.next().is_none());
    }

    proptest! {
        #[test]
        fn any_bytes_end(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let mut file = MAGIC.to_vec();
            file.extend(bytes);
            prop_assert!(frames(&file).count() <= file.len());
        }
    }
}
