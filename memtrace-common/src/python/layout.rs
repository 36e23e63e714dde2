//! How the structures of one interpreter lie, in one process.

/// All that a walk needs: addresses in the process (avma), and offsets in bytes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
#[repr(C)]
pub struct Layout {
    /// Where the interpreter keeps the key under which each thread has its thread state (`_PyRuntime.gilstate.autoTSSkey`, avma).
    pub key: u64,
    /// Where it keeps the thread state of who holds the GIL (`tstate_current`, avma); 0 where there is no such word.
    pub current: u64,
    /// The type of code objects (`PyCode_Type`, avma).
    pub code_type: u64,
    /// How frames lie.
    pub frame: FrameLayout,
    /// Where the C library keeps what threads have under keys.
    pub keys: KeyLayout,
    /// How thread states lie.
    pub state: StateLayout,
    /// How code objects lie.
    pub code: CodeLayout,
    /// How strings lie.
    pub text: TextLayout,
}

/// How the C library keeps what a thread has under a key, as it tells debuggers (`_thread_db_*`, glibc's `nptl_db/structs.def`): an
/// array of pointers to blocks in the thread's descriptor, which is at the thread pointer.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
#[repr(C)]
pub struct KeyLayout {
    /// The array of pointers, from the thread pointer (`pthread.specific`).
    pub blocks: u32,
    /// How many there are.
    pub block_count: u32,
    /// Keys of a block, as a power of two: the exponent.
    pub block_shift: u32,
    /// Where in a block they begin (`pthread_key_data_level2.data`).
    pub entries: u32,
    /// Bytes of a key's entry.
    pub entry_bytes: u32,
    /// Where in it the value is (`pthread_key_data.data`).
    pub value: u32,
}

/// Where what a thread has under a key is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Place {
    /// The pointer to the block, from the thread pointer.
    pub block: u64,
    /// The value, from the begin of the block.
    pub value: u64,
}

impl KeyLayout {
    /// Where what a thread has under the interpreter's key is. `key` is the word in which that has it: whether it was made, and above that
    /// the key (`Py_tss_t`, Include/pythread.h). `None` when there is none yet, or none that the C library can have made.
    #[inline(always)]
    pub fn place(&self, key: u64) -> Option<Place> {
        let (made, key) = (key as u32, (key >> 32) as u32);
        let shift = self.block_shift & 31;
        let block = key >> shift;
        if made == 0 || block >= self.block_count {
            return None;
        }
        let index = key & ((1 << shift) - 1);
        Some(Place {
            block: u64::from(self.blocks) + 8 * u64::from(block),
            value: u64::from(self.entries) + u64::from(self.entry_bytes) * u64::from(index) + u64::from(self.value),
        })
    }
}

/// How a thread state lies (`PyThreadState`).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
#[repr(C)]
pub struct StateLayout {
    /// Bytes to read.
    pub bytes: u32,
    /// The thread (`thread_id`): glibc's `pthread_self`, which is the thread pointer.
    pub thread_id: u32,
    /// The innermost frame, or what has it (`frame`, `cframe`, `current_frame`).
    pub top: u32,
    /// Where in that the innermost frame is (`_PyCFrame.current_frame`), or [`DIRECT`].
    pub via: u32,
}

/// See [`StateLayout::via`].
pub const DIRECT: u32 = u32::MAX;

/// How a frame lies (`PyFrameObject` up to 3.10, `_PyInterpreterFrame` from 3.11 on).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
#[repr(C)]
pub struct FrameLayout {
    /// Bits of the word at `code` that are no part of the address.
    pub tag_mask: u64,
    /// Bytes to read.
    pub bytes: u32,
    /// The code object.
    pub code: u32,
    /// The caller's frame.
    pub previous: u32,
    /// What is executed.
    pub position_at: u32,
    /// How that is told: [`Position`] as its number.
    pub position: u32,
    /// The byte that tells where a call of the evaluator begins.
    pub boundary_at: u32,
    /// How it does: [`Boundary`] as its number.
    pub boundary: u32,
    /// Keeps the layout free of implicit padding.
    pub reserved: u32,
}

/// How a frame tells what it executes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u32)]
pub enum Position {
    /// Offset of the last instruction in bytes, as `int` (3.8, 3.9).
    Bytes = 0,
    /// Its number, of two bytes each (3.10).
    Instructions = 1,
    /// A pointer into the code (from 3.11 on).
    Pointer = 2,
}

/// How it is told which frames one call of the evaluator executes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u32)]
pub enum Boundary {
    /// Each frame has one of its own (up to 3.10).
    Each = 0,
    /// The outermost one has a byte that is not 0 (`is_entry`, 3.11).
    Entry = 1,
    /// A frame that stands for C code follows the outermost one (from 3.12 on).
    Shim = 2,
}

/// How a code object lies (`PyCodeObject`).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
#[repr(C)]
pub struct CodeLayout {
    /// Bytes to read.
    pub bytes: u32,
    /// The bytecode (`co_code_adaptive`), from 3.11 on.
    pub start: u32,
    /// The line it begins at (`co_firstlineno`).
    pub first_line: u32,
    /// The path of its source (`co_filename`).
    pub file: u32,
    /// Its qualified name (`co_qualname`), before 3.11 its name (`co_name`).
    pub name: u32,
    /// Its line table (`co_linetable`, `co_lnotab`).
    pub table: u32,
}

/// Where the characters of a compact string are (Include/cpython/unicodeobject.h).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
#[repr(C)]
pub struct TextLayout {
    /// Of one that is ASCII (`sizeof(PyASCIIObject)`).
    pub ascii: u32,
    /// Of any other (`sizeof(PyCompactUnicodeObject)`).
    pub other: u32,
}

const _: () = {
    assert!(size_of::<FrameLayout>() == 40);
    assert!(size_of::<Layout>() == 24 + 40 + 24 + 16 + 24 + 8);
};
