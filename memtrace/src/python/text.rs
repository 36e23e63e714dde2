//! Names of Python as they are in memory.

/// The text of characters of a width in bytes: 1 (Latin-1), 2 (UCS-2) or 4 (UCS-4). What is no character becomes U+FFFD; `None` for
/// another width.
pub fn text(bytes: &[u8], width: u8) -> Option<String> {
    let character = |number: u32| char::from_u32(number).unwrap_or(char::REPLACEMENT_CHARACTER);
    let wide = |bytes: &[u8]| {
        bytes
            .iter()
            .rev()
            .fold(0, |number, &byte| number << 8 | u32::from(byte))
    };
    match width {
        1 => Some(bytes.iter().copied().map(char::from).collect()),
        2 | 4 => {
            let pieces = bytes.chunks_exact(width.into());
            Some(pieces.map(|piece| character(wide(piece))).collect())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::text;

    #[test]
    fn each_width_has_its_characters() {
        assert_eq!(text(b"caf\xe9", 1).unwrap(), "café");
        assert_eq!(text(&[0x3b, 0x04, 0x61, 0], 2).unwrap(), "лa");
        assert_eq!(text(&[0x40, 0xf6, 1, 0], 4).unwrap(), "\u{1f640}");
        assert_eq!(
            text(&[0, 0xd8, 0], 2).unwrap(),
            "\u{fffd}",
            "half a pair, and half a character"
        );
        assert_eq!(text(b"x", 0), None);
    }
}
