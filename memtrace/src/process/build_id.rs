//! What tells one build of a file from another.

use std::{fmt::Write as _, fs::File};

use object::{Object as _, ReadRef};

use super::FileBytes;

/// The GNU build id of an ELF file, when it has one: linkers make it of the content.
pub fn build_id<'data, R: ReadRef<'data>>(data: R) -> Option<Vec<u8>> {
    let file = object::File::parse(data).ok()?;
    file.build_id().ok()?.map(<[u8]>::to_vec)
}

/// The same in hexadecimal digits, as people and servers write it.
pub fn build_id_digits(file: &File) -> Option<String> {
    build_id(&FileBytes::new(file)).map(|id| digits(&id))
}

/// Where a debug file of this build lies below a directory of debug files, as gdb has it ("Debugging Information in Separate Files").
/// `None` for an id that is too short to be one.
pub fn debug_file_by_id(id: &[u8]) -> Option<String> {
    let (first, rest) = id.split_first().filter(|(_, rest)| !rest.is_empty())?;
    Some(format!(".build-id/{first:02x}/{}.debug", digits(rest)))
}

/// Bytes in hexadecimal digits.
pub fn digits(id: &[u8]) -> String {
    id.iter().fold(String::with_capacity(id.len() * 2), |mut digits, byte| {
        // Writing to a string does not fail.
        let _done = write!(digits, "{byte:02x}");
        digits
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_keep_their_zeros() {
        assert_eq!(digits(&[0x00, 0x0a, 0xff]), "000aff");
        assert_eq!(
            debug_file_by_id(&[0x0a, 0x00, 0xff]).as_deref(),
            Some(".build-id/0a/00ff.debug")
        );
    }

    #[test]
    fn an_id_of_nothing_leads_nowhere() {
        assert_eq!(debug_file_by_id(&[]), None);
        assert_eq!(debug_file_by_id(&[1]), None);
    }
}
