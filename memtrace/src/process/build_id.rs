//! What tells one build of a file from another.

use object::{Object as _, ReadRef};

/// The GNU build id of an ELF file, when it has one: linkers make it of the content.
pub fn build_id<'data, R: ReadRef<'data>>(data: R) -> Option<Vec<u8>> {
    let file = object::File::parse(data).ok()?;
    file.build_id().ok()?.map(<[u8]>::to_vec)
}
