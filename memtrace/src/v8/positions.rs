//! From the offset in a function's bytecode to a line of its script.
//!
//! A position table has pairs of numbers, each the difference to the one before: the offset in the bytecode, and the position in the source
//! (src/codegen/source-position-table.h). The numbers are in groups of seven bits, lowest first, with the sign in the lowest bit.

use std::ops::Range;

use super::groups;

/// Position of an instruction at an offset of the bytecode, in UTF-16 units of the script; `None` when the table has none for it.
pub fn position(table: &[u8], offset: u32) -> Option<u32> {
    let mut bytes = table.iter();
    // Before the first instruction the function is entered (`kFunctionEntryBytecodeOffset`).
    let (mut code, mut source, mut found) = (-1_i64, 0_i64, None);
    while let (Some(step), Some(by)) = (number(&mut bytes), number(&mut bytes)) {
        // What is no statement has the difference's complement.
        code = code.checked_add(if step < 0 { -(step + 1) } else { step })?;
        source = source.checked_add(by)?;
        if code > i64::from(offset) {
            break;
        }
        found = Some(source);
    }
    // One more than the position, above a bit that says whether it is in a script (src/codegen/source-position.h).
    let position = (found? >> 1) & 0x3fff_ffff;
    u32::try_from(position - 1).ok()
}

/// The next number, if there is one that fits.
fn number(bytes: &mut std::slice::Iter<'_, u8>) -> Option<i64> {
    let value = groups(bytes, 9)?;
    let half = (value >> 1).cast_signed();
    Some(if value & 1 == 0 { half } else { !half })
}

/// Where the lines of a script begin.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Lines {
    /// Positions at which a line ends, and the next begins behind it.
    ends: Vec<u32>,
}

impl Lines {
    /// Those of a source, of characters of one byte (Latin-1) or of two (UTF-16).
    pub fn of(source: &[u8], width: u8) -> Option<Self> {
        let ends = match width {
            1 => ends(source.iter().map(|&byte| u16::from(byte))),
            2 => ends(
                source
                    .chunks_exact(2)
                    .map(|unit| u16::from_le_bytes([unit[0], unit[1]])),
            ),
            _ => return None,
        };
        Some(Self { ends })
    }

    /// Line and column of a position, both from one on.
    pub fn place(&self, position: u32) -> (u32, u32) {
        let line = self.ends.partition_point(|&end| end < position);
        let begin = line
            .checked_sub(1)
            .and_then(|before| self.ends.get(before))
            .map_or(0, |end| end + 1);
        let number = |index: usize| u32::try_from(index).unwrap_or(u32::MAX).saturating_add(1);
        (number(line), position.saturating_sub(begin).saturating_add(1))
    }
}

/// What ends lines (ECMA-262, 12.3); of two that belong together the second does.
fn ends(units: impl Iterator<Item = u16>) -> Vec<u32> {
    let mut units = units.zip(0..).peekable();
    let mut ends = Vec::new();
    while let Some((unit, at)) = units.next() {
        let is_end = match unit {
            0x0a | 0x2028 | 0x2029 => true,
            0x0d => units.peek().is_none_or(|&(next, _)| next != 0x0a),
            _ => false,
        };
        if is_end {
            ends.push(at);
        }
    }
    ends
}

/// Lengths of a source that are read, in characters.
pub const SOURCE: Range<u32> = 1..64 << 20;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A table of pairs.
    fn table(pairs: &[(u32, u32)]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut put = |value: i64| {
            let mut rest = (value << 1 ^ value >> 63).cast_unsigned();
            while rest > 0x7f {
                bytes.push(u8::try_from(rest & 0x7f).unwrap() | 0x80);
                rest >>= 7;
            }
            bytes.push(u8::try_from(rest).unwrap());
        };
        let (mut code, mut source) = (-1, 0);
        for (index, &(offset, position)) in pairs.iter().enumerate() {
            let step = i64::from(offset) - code;
            // Statements and expressions by turns.
            put(if index % 2 == 0 { step } else { -step - 1 });
            let value = i64::from(position + 1) << 1;
            put(value - source);
            (code, source) = (offset.into(), value);
        }
        bytes
    }

    #[test]
    fn the_last_entry_that_is_not_behind_is_taken() {
        let table = table(&[(3, 100), (7, 20), (300, 70_000)]);
        for (offset, expected) in [
            (2, None),
            (3, Some(100)),
            (6, Some(100)),
            (7, Some(20)),
            (300, Some(70_000)),
            (9999, Some(70_000)),
        ] {
            assert_eq!(position(&table, offset), expected, "{offset}");
        }
        assert_eq!(position(&[], 4), None);
        assert_eq!(position(&table[..2], 4), None, "a part of an entry");
    }

    #[test]
    fn lines_and_columns_begin_at_one() {
        let lines = Lines::of(b"one\ntwo\r\nthree\rfour", 1).unwrap();
        let places = [
            (0, (1, 1)),
            (3, (1, 4)),
            (4, (2, 1)),
            (9, (3, 1)),
            (15, (4, 1)),
            (99, (4, 85)),
        ];
        for (position, place) in places {
            assert_eq!(lines.place(position), place, "{position}");
        }
        let wide: Vec<u8> = "a\u{2028}b".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(Lines::of(&wide, 2).unwrap().place(2), (2, 1));
        assert_eq!(Lines::of(b"x", 4), None);
    }

    #[test]
    fn a_table_of_v8_is_read_as_v8_prints_it() {
        // What `node --print-bytecode` (20.20.2) says: 98 S> 0, 98 E> 8, 123 S> 12, 139 S> 17, 141 E> 21, 146 E> 26, 158 E> 45, 180 E> 57, 190 S> 62.
        let table = [
            1, 228, 2, 2, 40, 17, 0, 8, 100, 10, 64, 9, 8, 11, 20, 39, 48, 25, 88, 10, 40,
        ];
        for (offset, expected) in [
            (0, 98),
            (8, 98),
            (12, 123),
            (16, 123),
            (21, 141),
            (26, 146),
            (44, 146),
            (45, 158),
            (57, 180),
            (62, 190),
        ] {
            assert_eq!(position(&table, offset), Some(expected), "{offset}");
        }
    }

    proptest! {
        #[test]
        fn no_table_is_too_strange(bytes in proptest::collection::vec(any::<u8>(), 0..64), offset: u32) {
            let _position = position(&bytes, offset);
        }
    }
}
