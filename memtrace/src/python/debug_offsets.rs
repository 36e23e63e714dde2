//! `_Py_DebugOffsets`: what interpreters from 3.13 on say of their structures themselves (`Include/internal/pycore_runtime.h`, 3.14:
//! `pycore_debug_offsets.h`). The words have neither names nor sizes, so only the versions are read whose order is known.

use memtrace_common::python::{CODE_WORDS, FRAME_WORDS, STATE_WORDS};

use super::{offsets::Offsets, version::Version};

/// How the structure begins.
const COOKIE: &[u8; 8] = b"xdebugpy";

/// Words that are read. 3.14 has about eighty.
pub(super) const WORDS: usize = 64;

/// The numbers of the words, by version.
struct Order {
    current_frame: usize,
    thread_id: usize,
    previous: usize,
    executable: usize,
    instr_ptr: usize,
    owner: usize,
    filename: usize,
    qualname: usize,
    linetable: usize,
    firstlineno: usize,
    code: usize,
}

const ORDER_13: Order = Order {
    current_frame: 23,
    thread_id: 24,
    previous: 29,
    executable: 30,
    instr_ptr: 31,
    owner: 33,
    filename: 35,
    qualname: 37,
    linetable: 38,
    firstlineno: 39,
    code: 43,
};

const ORDER_14: Order = Order {
    current_frame: 26,
    thread_id: 27,
    previous: 32,
    executable: 33,
    instr_ptr: 34,
    owner: 36,
    filename: 40,
    qualname: 42,
    linetable: 43,
    firstlineno: 44,
    code: 48,
};

/// Puts what an interpreter says of itself in the place of what its version says, as `offsets` has it.
///
/// # Errors
/// Why its structures cannot be walked.
pub(super) fn apply(version: Version, bytes: &[u8], offsets: &mut Offsets) -> Result<(), String> {
    let order = match version.minor {
        13 => ORDER_13,
        14 => ORDER_14,
        _ => return Ok(()),
    };
    let word = |index: usize| {
        let bytes = bytes.get(8 * index..8 * index + 8)?;
        Some(u64::from_le_bytes(bytes.try_into().ok()?))
    };
    let (Some(told), Some(free_threaded)) = (word(1), word(2)) else {
        return Err("its debug offsets cannot be read".to_owned());
    };
    if !bytes.starts_with(COOKIE) {
        return Err("it does not begin with debug offsets, as its version does".to_owned());
    }
    if (told >> 16) != u64::from(3_u16 << 8 | u16::from(version.minor)) {
        return Err("its debug offsets are of another version".to_owned());
    }
    if free_threaded != 0 {
        return Err("it is a build without the GIL, whose Python stacks are not supported".to_owned());
    }
    let of = |index: usize, room: usize| {
        let offset = word(index).and_then(|offset| u32::try_from(offset).ok());
        // What is read at once must hold it.
        offset
            .filter(|&offset| (offset as usize) + 8 <= 8 * room)
            .ok_or_else(|| format!("its debug offset {index} is out of range"))
    };
    let state = &mut offsets.state;
    state.top = of(order.current_frame, STATE_WORDS)?;
    state.thread_id = of(order.thread_id, STATE_WORDS)?;
    state.bytes = 8 + state.top.max(state.thread_id);
    let frame = &mut offsets.frame;
    frame.previous = of(order.previous, FRAME_WORDS)?;
    frame.code = of(order.executable, FRAME_WORDS)?;
    frame.position_at = of(order.instr_ptr, FRAME_WORDS)?;
    frame.boundary_at = of(order.owner, FRAME_WORDS)?;
    let last = frame.previous.max(frame.code).max(frame.position_at);
    frame.bytes = (8 + last).max((frame.boundary_at / 8 + 1) * 8);
    let code = &mut offsets.code;
    code.file = of(order.filename, CODE_WORDS)?;
    code.name = of(order.qualname, CODE_WORDS)?;
    code.table = of(order.linetable, CODE_WORDS)?;
    code.first_line = of(order.firstlineno, CODE_WORDS)?;
    code.start = of(order.code, CODE_WORDS)?;
    code.bytes = 8 + code.file.max(code.name).max(code.table).max(code.first_line & !7);
    Ok(())
}
