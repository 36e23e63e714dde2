//! Which line of the source an instruction belongs to.
//!
//! Three tables, by version: `Objects/lnotab_notes.txt` of 3.8 to 3.10, Objects/locations.md (3.11 to 3.13) and
//! `InternalDocs/code_objects.md` (from 3.14 on) describe them.

/// How a line table is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Form {
    /// Pairs of an advance in bytes and one in lines (`co_lnotab`, 3.8 and 3.9).
    Advances,
    /// Pairs of a length in bytes and an advance in lines (`co_linetable`, 3.10).
    Ranges,
    /// Entries of several bytes (`co_linetable`, from 3.11 on).
    Locations,
}

impl Form {
    /// The form of a minor version.
    pub const fn of(minor: u8) -> Self {
        match minor {
            ..=9 => Self::Advances,
            10 => Self::Ranges,
            _ => Self::Locations,
        }
    }
}

/// The line of the instruction at an offset in bytes, of code that begins at `first_line`; `None` when the table gives it none. What
/// has not begun yet (a negative offset) is at the first line.
pub fn line(form: Form, table: &[u8], first_line: u32, offset: i32) -> Option<u32> {
    let Ok(offset) = u64::try_from(offset) else {
        return Some(first_line);
    };
    let line = match form {
        Form::Advances => advances(table, i64::from(first_line), offset),
        Form::Ranges => ranges(table, i64::from(first_line), offset)?,
        Form::Locations => locations(table, i64::from(first_line), offset)?,
    };
    u32::try_from(line).ok()
}

fn advances(table: &[u8], first_line: i64, offset: u64) -> i64 {
    let (mut line, mut at) = (first_line, 0_u64);
    for pair in table.chunks_exact(2) {
        at += u64::from(pair[0]);
        if at > offset {
            break;
        }
        line += i64::from(pair[1].cast_signed());
    }
    line
}

fn ranges(table: &[u8], first_line: i64, offset: u64) -> Option<i64> {
    /// An advance that says that there is no line.
    const NONE: i8 = -128;
    let (mut line, mut end) = (first_line, 0_u64);
    for pair in table.chunks_exact(2) {
        let advance = pair[1].cast_signed();
        end += u64::from(pair[0]);
        if advance != NONE {
            line += i64::from(advance);
        }
        if end > offset {
            return (advance != NONE).then_some(line);
        }
    }
    None
}

/// Bit of the first byte of an entry.
const BEGIN: u8 = 0x80;

/// Bytes of an instruction, in which lengths are counted.
const UNIT: u64 = 2;

fn locations(table: &[u8], first_line: i64, offset: u64) -> Option<i64> {
    let (mut line, mut end) = (first_line, 0_u64);
    let mut rest = table;
    while let Some((&first, after)) = rest.split_first() {
        if first & BEGIN == 0 {
            return None;
        }
        let length = after.iter().position(|byte| byte & BEGIN != 0).unwrap_or(after.len());
        let (entry, next) = after.split_at(length);
        rest = next;
        let code = first >> 3 & 15;
        // PyCodeLocationInfoKind, Include/cpython/code.h: 10 to 12 tell the line by themselves, 13 and 14 by a number, 15 is none.
        line += match code {
            10..=12 => i64::from(code - 10),
            13 | 14 => signed(entry),
            _ => 0,
        };
        end += UNIT * (u64::from(first & 7) + 1);
        if end > offset {
            return (code != 15).then_some(line);
        }
    }
    None
}

/// A number of six bits for each byte, lowest first, whose lowest bit is the sign.
fn signed(bytes: &[u8]) -> i64 {
    let mut value = 0_u64;
    for (index, &byte) in bytes.iter().enumerate().take(6) {
        value |= u64::from(byte & 63) << (6 * index);
        if byte & 64 == 0 {
            break;
        }
    }
    let magnitude = i64::try_from(value >> 1).unwrap_or(0);
    if value & 1 == 0 { magnitude } else { -magnitude }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_form_tells_its_lines() {
        // Made by hand from the descriptions: two instructions at line 10, two at 12, two at 11.
        let advances = [0, 0, 4, 2, 4, 255];
        let lines = |form, table: &[u8]| [0, 2, 4, 6, 8, 10].map(|offset| line(form, table, 10, offset));
        let wanted = [Some(10), Some(10), Some(12), Some(12), Some(11), Some(11)];
        assert_eq!(lines(Form::Advances, &advances), wanted);
        assert_eq!(lines(Form::Ranges, &[4, 0, 4, 2, 4, 255]), wanted);
        let locations = [
            0x80 | 10 << 3 | 1,
            0,
            5,
            0x80 | 12 << 3 | 1,
            0,
            5,
            0x80 | 13 << 3 | 1,
            3,
        ];
        assert_eq!(lines(Form::Locations, &locations), wanted);
        assert_eq!(line(Form::Locations, &locations, 10, 12), None, "behind the end");
        assert_eq!(line(Form::Locations, &locations, 10, -1), Some(10));
    }

    #[test]
    fn instructions_without_a_line_have_none() {
        assert_eq!(line(Form::Ranges, &[2, 1, 2, 128, 2, 0], 10, 2), None);
        assert_eq!(line(Form::Ranges, &[2, 1, 2, 128, 2, 0], 10, 4), Some(11));
        assert_eq!(
            line(Form::Locations, &[0x80 | 15 << 3, 0x80 | 11 << 3, 0, 0], 10, 0),
            None
        );
        assert_eq!(
            line(Form::Locations, &[0x80 | 15 << 3, 0x80 | 11 << 3, 0, 0], 10, 2),
            Some(11)
        );
    }

    #[test]
    fn large_advances_take_several_bytes() {
        // 100 = 0b1100100, with the sign below: 200 = 8 + 3 * 64.
        assert_eq!(line(Form::Locations, &[0x80 | 13 << 3, 64 | 8, 3], 10, 0), Some(110));
        assert_eq!(
            line(Form::Locations, &[0x80 | 14 << 3, 64 | 9, 3, 0, 1, 1], 200, 0),
            Some(100)
        );
    }

    proptest! {
        #[test]
        fn any_table_is_survived(table in proptest::collection::vec(any::<u8>(), 0..64), first in any::<u32>(), at in any::<i32>()) {
            for form in [Form::Advances, Form::Ranges, Form::Locations] {
                let _either = line(form, &table, first, at);
            }
        }
    }
}
