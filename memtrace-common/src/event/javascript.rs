//! Functions of JavaScript, and their compiled code.

use super::Header;

/// A function of JavaScript, sent before the first stack that names it, and again when its position table is first seen. Its name, the name of
/// its script, a short source of that and the table follow, as they are in memory, as far as a record has room for them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
#[repr(C)]
pub struct JavaScriptFunction {
    /// Common start; no flags apply.
    pub header: Header,
    /// What stacks name it by: [`crate::javascript::Key::identity`].
    pub id: u64,
    /// Where the characters of its script's source are (avma), 0 where that is not known.
    pub source: u64,
    /// The object that they lie in (avma), 0 where they do not lie on the heap.
    pub source_object: u64,
    /// That object's first word.
    pub source_map: u64,
    /// UTF-16 units of the source.
    pub source_length: u32,
    /// Number of its script, 0 for a function that is built in.
    pub script: u32,
    /// Where in the source it begins, in UTF-16 units; -1 where that is not known.
    pub start: i32,
    /// Bytes of the position table that follow.
    pub table_bytes: u32,
    /// Bytes of the source that follow: all of it, or none.
    pub source_bytes: u32,
    /// Keeps the layout free of implicit padding.
    pub reserved: u32,
    /// Bytes of the name that follow.
    pub name_bytes: u16,
    /// Bytes of the script's name that follow.
    pub file_bytes: u16,
    /// Bytes of a character of the name: 1 (Latin-1) or 2 (UTF-16); 0 when there is none.
    pub name_width: u8,
    /// The same of the script's name.
    pub file_width: u8,
    /// The same of the source.
    pub source_width: u8,
    /// Bits of [`about`].
    pub about: u8,
}

/// Bits of [`JavaScriptFunction::about`].
pub mod about {
    /// The name is longer.
    pub const NAME_CUT: u8 = 1;
    /// The script's name is longer.
    pub const FILE_CUT: u8 = 2;
    /// The script's name is that of another one, which had this one evaluated.
    pub const EVALUATED: u8 = 4;
    /// The table is longer than a record has room for.
    pub const TABLE_CUT: u8 = 8;
}

const _: () = assert!(size_of::<JavaScriptFunction>() == size_of::<Header>() + 64);

/// A piece of what is told of compiled code of a function, before the first stack that has it. Its bytes follow.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
#[repr(C)]
pub struct JavaScriptCode {
    /// Common start; no flags apply.
    pub header: Header,
    /// What stacks name the function by.
    pub function: u64,
    /// The number of the code in positions: [`crate::javascript::code::number`].
    pub code: u64,
    /// Where in its part the piece begins, in bytes.
    pub at: u32,
    /// Bytes of the part.
    pub total: u32,
    /// Bytes that follow.
    pub bytes: u32,
    /// [`crate::javascript::code::Part`] as its number.
    pub part: u8,
    /// [`crate::javascript::code::Tier`] as its number.
    pub tier: u8,
    /// Keeps the layout free of implicit padding.
    pub reserved: u16,
}

const _: () = assert!(size_of::<JavaScriptCode>() == size_of::<Header>() + 32);
