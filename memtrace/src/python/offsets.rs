//! Where the structures of each version have what a walk reads, in bytes.
//!
//! From `Include/internal/pycore_runtime.h`, Include/cpython/pystate.h, `Include/internal/pycore_frame.h` (3.14:
//! `pycore_interpframe_structs.h`), Include/cpython/code.h and Include/cpython/unicodeobject.h of each version, as a compiler for
//! x86-64 lays them out: `offsetof` in builds with debug information, compared with what live interpreters have.

use memtrace_common::python::{Boundary, CodeLayout, DIRECT, FrameLayout, Position, StateLayout, TextLayout};

/// The offsets of a version.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Offsets {
    /// `autoTSSkey` in `_PyRuntime`: whether it was made, and the key.
    pub(super) key: u32,
    /// `tstate_current` in `_PyRuntime`, up to 3.11.
    pub(super) current: Option<u32>,
    pub(super) state: StateLayout,
    pub(super) frame: FrameLayout,
    pub(super) code: CodeLayout,
    pub(super) text: TextLayout,
}

/// First and last minor version that are known.
pub(super) const KNOWN: std::ops::RangeInclusive<u8> = 8..=14;

/// The offsets of a version with a GIL.
pub(super) fn of(minor: u8) -> Option<Offsets> {
    let old = matches!(minor, 8..=10);
    let (key, current) = match minor {
        8 => (0x570, Some(0x558)),
        9 | 10 => (0x248, Some(0x238)),
        11 => (0x250, Some(0x240)),
        12 => (0x608, None),
        13 => (0x870, None),
        14 => (0x920, None),
        _ => return None,
    };
    let (top, via, thread_id) = match minor {
        8..=10 => (24, DIRECT, 176),
        11 => (56, 8, 152),
        12 => (56, 0, 136),
        _ => (72, DIRECT, 152),
    };
    let state = StateLayout {
        bytes: thread_id + 8,
        thread_id,
        top,
        via,
    };
    let frame = if old {
        let (position_at, position) = if minor == 10 {
            (96, Position::Instructions)
        } else {
            (104, Position::Bytes)
        };
        FrameLayout {
            tag_mask: 0,
            bytes: position_at + 8,
            code: 32,
            previous: 24,
            position_at,
            position: position as u32,
            boundary_at: 0,
            boundary: Boundary::Each as u32,
            reserved: 0,
        }
    } else {
        let (code, previous, boundary_at, boundary, bytes) = match minor {
            11 => (32, 48, 68, Boundary::Entry, 72),
            14 => (0, 8, 74, Boundary::Shim, 80),
            _ => (0, 8, 70, Boundary::Shim, 72),
        };
        FrameLayout {
            tag_mask: if minor == 14 { 7 } else { 0 },
            bytes,
            code,
            previous,
            position_at: 56,
            position: Position::Pointer as u32,
            boundary_at,
            boundary: boundary as u32,
            reserved: 0,
        }
    };
    let (start, first_line, file, name, table) = match minor {
        8..=10 => (0, 40, 104, 112, 120),
        11 => (184, 72, 112, 128, 136),
        12 => (192, 68, 112, 128, 136),
        13 => (200, 68, 112, 128, 136),
        _ => (208, 68, 112, 128, 136),
    };
    let code = CodeLayout {
        bytes: table + 8,
        start,
        first_line,
        file,
        name,
        table,
    };
    let text = if minor < 12 {
        TextLayout { ascii: 48, other: 72 }
    } else {
        TextLayout { ascii: 40, other: 56 }
    };
    Some(Offsets {
        key,
        current,
        state,
        frame,
        code,
        text,
    })
}
