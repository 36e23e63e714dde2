//! Python functions.

use super::Header;

/// A code object, sent before the first stack that names it. Its name, the path of its source and its line table follow, as they are in
/// memory, as far as a record has room for them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
#[repr(C)]
pub struct PythonCode {
    /// Common start; no flags apply.
    pub header: Header,
    /// What stacks name it by: [`crate::python::Code::identity`].
    pub id: u64,
    /// Where the content of its line table is (avma).
    pub table: u64,
    /// Bytes of that.
    pub table_length: u64,
    /// Bytes of it that follow.
    pub table_bytes: u32,
    /// The line it begins at.
    pub first_line: u32,
    /// Bytes of the name that follow.
    pub name_bytes: u16,
    /// Bytes of the path that follow.
    pub file_bytes: u16,
    /// Bytes of a character of the name ([`crate::python::Text::width`]); 0 when it could not be read.
    pub name_width: u8,
    /// The same of the path.
    pub file_width: u8,
    /// 1 when the name is longer, 2 when the path is, 3 when both are.
    pub cut: u8,
    /// Keeps the layout free of implicit padding.
    pub reserved: u8,
}
