//! CPython: where an interpreter keeps the Python stack of a thread, and what the BPF side makes of it.
//!
//! An interpreter is a program that its own debuggers walk through: its structures lie as its version says. The collector finds out
//! which one it is and publishes a [`Layout`]; the BPF side reads the structures of the thread that allocates. Whatever it reads may
//! be garbage: each word is taken for what it should be only after a check, and each loop is bounded.

mod layout;

pub use self::layout::{
    Boundary, CodeLayout, DIRECT, FrameLayout, KeyLayout, Layout, Place, Position, StateLayout, TextLayout,
};
use crate::identity::Identity;

/// Python frames of a stack at most, with the marks between them.
pub const MAX_ENTRIES: usize = 128;

/// Words that are read of a frame at once.
pub const FRAME_WORDS: usize = 16;

/// Words that are read of a code object at once.
pub const CODE_WORDS: usize = 32;

/// Words that are read of a thread state at once.
pub const STATE_WORDS: usize = 32;

/// Words that are read of a string before its characters.
pub const TEXT_WORDS: usize = 8;

/// Bytes of a name, of a path and of a line table that a record holds at most: each is one less than a power of two, which is what
/// the verifier believes of a length. A line table that is longer is read by the collector.
pub const NAME_BYTES: usize = 511;
/// See [`NAME_BYTES`].
pub const FILE_BYTES: usize = 1023;
/// See [`NAME_BYTES`].
pub const TABLE_BYTES: usize = 16_383;

/// Slots of the filter that keeps code from being told of twice. A conflict only tells of it again.
pub const DEFINED_SLOTS: u32 = 1 << 15;

/// Interpreters that can be known at once, those of forked processes not counted.
pub const MAX_LAYOUTS: u32 = 2048;

/// A word of a structure, or the part of one that lies at an offset in bytes; 0 beyond the end.
#[inline(always)]
pub(crate) fn word<const N: usize>(words: &[u64; N], offset: u32) -> u64 {
    const { assert!(N.is_power_of_two()) };
    // The mask is what the verifier believes; offsets are checked when a layout is made.
    words[(offset / 8) as usize & (N - 1)]
}

/// Half a word at an offset that is a multiple of four.
#[inline(always)]
pub(crate) fn half<const N: usize>(words: &[u64; N], offset: u32) -> u32 {
    (word(words, offset) >> (8 * (offset & 4))) as u32
}

/// A byte at an offset.
#[inline(always)]
fn byte<const N: usize>(words: &[u64; N], offset: u32) -> u8 {
    (word(words, offset) >> (8 * (offset & 7))) as u8
}

/// What a frame says.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Frame {
    /// Its code object (avma).
    pub code: u64,
    /// The caller's frame (avma), or 0.
    pub previous: u64,
    /// Where in the code it is, before the code's address is known: see [`Position`].
    pub position: u64,
    /// Bits of [`entry`].
    pub flags: u64,
}

impl FrameLayout {
    /// What a frame says.
    #[inline(always)]
    pub fn read(&self, words: &[u64; FRAME_WORDS]) -> Frame {
        let marker = byte(words, self.boundary_at);
        let flags = match self.boundary {
            kind if kind == Boundary::Each as u32 => entry::OUTERMOST,
            kind if kind == Boundary::Entry as u32 => {
                if marker == 0 {
                    0
                } else {
                    entry::OUTERMOST
                }
            }
            _ => {
                if marker < OWNED_BY_C {
                    0
                } else {
                    entry::SHIM
                }
            }
        };
        let position = if self.position == Position::Pointer as u32 {
            word(words, self.position_at)
        } else {
            u64::from(half(words, self.position_at))
        };
        Frame {
            code: word(words, self.code) & !self.tag_mask,
            previous: word(words, self.previous),
            position,
            flags,
        }
    }

    /// Offset in the bytecode of what a frame executes, in bytes; negative when it has not begun.
    #[inline(always)]
    pub fn offset(&self, position: u64, code: u64, code_start: u32) -> i32 {
        if self.position == Position::Pointer as u32 {
            let offset = position.wrapping_sub(code.wrapping_add(u64::from(code_start)));
            return if offset >> 31 == 0 { offset as i32 } else { -1 };
        }
        let last = position as i32;
        if self.position == Position::Instructions as u32 && last > 0 {
            last.wrapping_mul(2)
        } else {
            last
        }
    }
}

/// From this number on, `_PyInterpreterFrame.owner` says that a frame stands for C code (`FRAME_OWNED_BY_CSTACK`, 3.12 to 3.14,
/// `FRAME_OWNED_BY_INTERPRETER`, 3.14; `Include/internal/pycore_frame.h`).
const OWNED_BY_C: u8 = 3;

/// Bits of the second word of an entry, above the offset in the bytecode, and of [`Frame::flags`].
pub mod entry {
    /// The frames from here to the last mark before were executed by one call of the evaluator.
    pub const OUTERMOST: u64 = 1 << 32;
    /// It is no frame, but the mark that a call of the evaluator begins here.
    pub const SHIM: u64 = 2 << 32;
}

/// What a code object says.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Code {
    /// Its type (avma).
    pub of_type: u64,
    /// The line it begins at.
    pub first_line: u32,
    /// The qualified name, or the name, as a string (avma).
    pub name: u64,
    /// The path of its source, likewise.
    pub file: u64,
    /// Its line table, a `bytes` object (avma).
    pub table: u64,
}

impl CodeLayout {
    /// What a code object says.
    #[inline(always)]
    pub fn read(&self, words: &[u64; CODE_WORDS]) -> Code {
        Code {
            of_type: word(words, OBJECT_TYPE),
            first_line: half(words, self.first_line),
            name: word(words, self.name),
            file: word(words, self.file),
            table: word(words, self.table),
        }
    }
}

/// Where an object has its type (`PyObject.ob_type`, Include/object.h, builds with a GIL).
const OBJECT_TYPE: u32 = 8;

impl Code {
    /// What names a code object at this address in stacks: its memory may be another's later, which then has another name.
    #[inline(always)]
    pub fn identity(&self, incarnation: u32, address: u64) -> u64 {
        let mut identity = Identity::new(incarnation);
        identity.push(address);
        identity.push(u64::from(self.first_line));
        identity.push(self.name);
        identity.push(self.file);
        identity.push(self.table);
        identity.finish(0, 0).id
    }
}

/// Where the characters of a string are.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Text {
    /// First byte (avma).
    pub address: u64,
    /// How many bytes.
    pub bytes: u64,
    /// Bytes of a character: 1 (Latin-1), 2 (UCS-2) or 4 (UCS-4).
    pub width: u8,
}

// Bits of `PyASCIIObject.state` (Include/cpython/unicodeobject.h, the same from 3.8 to 3.14 with a GIL).
const TEXT_STATE: u32 = 32;
const KIND_SHIFT: u32 = 2;
const KIND_MASK: u32 = 7;
const COMPACT: u32 = 1 << 5;
const ASCII: u32 = 1 << 6;

/// Where a string and a `bytes` object have their length (Include/cpython/unicodeobject.h, Include/object.h).
const LENGTH: u32 = 16;

/// Where a `bytes` object has its content (Include/cpython/bytesobject.h).
pub const BYTES_CONTENT: u64 = 32;

impl TextLayout {
    /// Where the characters of the string at `address` are; `None` for what is no string of the kind that names are.
    #[inline(always)]
    pub fn read(&self, words: &[u64; TEXT_WORDS], address: u64) -> Option<Text> {
        let state = half(words, TEXT_STATE);
        if state & COMPACT == 0 {
            return None;
        }
        let offset = if state & ASCII == 0 { self.other } else { self.ascii };
        let length = word(words, LENGTH);
        let (width, shift) = match state >> KIND_SHIFT & KIND_MASK {
            1 => (1, 0),
            2 => (2, 1),
            4 => (4, 2),
            _ => return None,
        };
        (length >> 40 == 0).then_some(Text {
            address: address.wrapping_add(u64::from(offset)),
            bytes: length << shift,
            width,
        })
    }
}

/// The length of a `bytes` object.
#[inline(always)]
pub fn bytes_length(words: &[u64; TEXT_WORDS]) -> u64 {
    word(words, LENGTH)
}

impl StateLayout {
    /// What a thread state says: its thread, and the address at which the innermost frame is found, or that of what has it.
    #[inline(always)]
    pub fn read(&self, words: &[u64; STATE_WORDS]) -> (u64, u64) {
        (word(words, self.thread_id), word(words, self.top))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAYOUT: FrameLayout = FrameLayout {
        tag_mask: 7,
        bytes: 80,
        code: 0,
        previous: 8,
        position_at: 56,
        position: Position::Pointer as u32,
        boundary_at: 74,
        boundary: Boundary::Shim as u32,
        reserved: 0,
    };

    #[test]
    fn frames_are_read_by_their_offsets() {
        let mut words = [0; FRAME_WORDS];
        words[0] = 0x1001;
        words[1] = 0x2000;
        words[7] = 0x10d8;
        words[9] = 3 << 16;
        let frame = LAYOUT.read(&words);
        assert_eq!((frame.code, frame.previous), (0x1000, 0x2000));
        assert_eq!(frame.flags, entry::SHIM);
        assert_eq!(LAYOUT.offset(frame.position, frame.code, 200), 16);
        assert_eq!(LAYOUT.offset(0x1000, frame.code, 200), -1, "before its code");
        assert_eq!(LAYOUT.offset(u64::MAX, 0, 200), -1, "far behind it");
        words[9] = 1 << 16;
        assert_eq!(LAYOUT.read(&words).flags, 0);
    }

    #[test]
    fn positions_are_counted_in_bytes() {
        let of = |position: Position| FrameLayout {
            position: position as u32,
            boundary: Boundary::Each as u32,
            ..LAYOUT
        };
        assert_eq!(of(Position::Bytes).offset(6, 1, 1), 6);
        assert_eq!(of(Position::Instructions).offset(6, 1, 1), 12);
        assert_eq!(of(Position::Instructions).offset(u64::from(u32::MAX), 1, 1), -1);
        let mut words = [0; FRAME_WORDS];
        words[7] = 0x7_0000_0009;
        assert_eq!(of(Position::Bytes).read(&words).position, 9);
        assert_eq!(of(Position::Bytes).read(&words).flags, entry::OUTERMOST);
    }

    #[test]
    fn keys_are_in_blocks() {
        let keys = KeyLayout {
            blocks: 0x510,
            block_count: 32,
            block_shift: 5,
            entries: 0,
            entry_bytes: 16,
            value: 8,
        };
        let place = |key: u64| keys.place(key << 32 | 1);
        assert_eq!(
            place(2),
            Some(Place {
                block: 0x510,
                value: 40
            })
        );
        assert_eq!(
            place(33),
            Some(Place {
                block: 0x518,
                value: 24
            })
        );
        assert_eq!(place(1024), None, "more than there can be");
        assert_eq!(keys.place(2 << 32), None, "not made yet");
    }

    #[test]
    fn strings_that_are_none_are_refused() {
        let layout = TextLayout { ascii: 40, other: 56 };
        let mut words = [0; TEXT_WORDS];
        assert_eq!(layout.read(&words, 0), None);
        words[2] = 3;
        words[4] = u64::from(COMPACT | 2 << KIND_SHIFT);
        let text = layout.read(&words, 0x1000).unwrap();
        assert_eq!((text.address, text.bytes, text.width), (0x1000 + 56, 6, 2));
        words[4] = u64::from(COMPACT | ASCII | 1 << KIND_SHIFT);
        assert_eq!(layout.read(&words, 0x1000).unwrap().address, 0x1000 + 40);
        words[2] = u64::MAX;
        assert_eq!(layout.read(&words, 0x1000), None, "longer than memory");
        words[2] = 3;
        words[4] = u64::from(COMPACT | 3 << KIND_SHIFT);
        assert_eq!(layout.read(&words, 0x1000), None, "no such width");
    }

    #[test]
    fn code_at_the_same_address_with_another_name_is_other_code() {
        let code = Code {
            of_type: 1,
            first_line: 2,
            name: 3,
            file: 4,
            table: 5,
        };
        assert_ne!(code.identity(1, 9), Code { name: 6, ..code }.identity(1, 9));
        assert_ne!(code.identity(1, 9), code.identity(2, 9));
        assert_ne!(code.identity(1, 9), code.identity(1, 10));
    }
}
