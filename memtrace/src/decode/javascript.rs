//! Functions of JavaScript, and their compiled code.

use memtrace_common::{
    event::{JavaScriptCode, JavaScriptFunction},
    javascript::code::{PIECE_BYTES, PIECES, Part, Tier},
};

use super::Malformed;

/// A function of JavaScript.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct JavaScript<'a> {
    /// The fixed part.
    pub head: JavaScriptFunction,
    /// Its name, as it is in memory.
    pub name: &'a [u8],
    /// The name of its script, likewise.
    pub file: &'a [u8],
    /// The source of its script, or nothing.
    pub source: &'a [u8],
    /// Its position table, or nothing.
    pub table: &'a [u8],
}

/// Reads the record of a function.
pub(super) fn read(record: &[u8]) -> Result<JavaScript<'_>, Malformed> {
    let too_short = || super::length(record);
    let (head, rest) = record
        .split_at_checked(size_of::<JavaScriptFunction>())
        .ok_or_else(too_short)?;
    let head: JavaScriptFunction = super::read(head)?;
    let (name, rest) = rest.split_at_checked(head.name_bytes.into()).ok_or_else(too_short)?;
    let (file, rest) = rest.split_at_checked(head.file_bytes.into()).ok_or_else(too_short)?;
    let (source, table) = rest
        .split_at_checked(head.source_bytes as usize)
        .ok_or_else(too_short)?;
    if table.len() != head.table_bytes as usize {
        return Err(super::length(record));
    }
    Ok(JavaScript {
        head,
        name,
        file,
        source,
        table,
    })
}

/// A piece of compiled code of a function.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Piece<'a> {
    /// The fixed part.
    pub head: JavaScriptCode,
    /// Which compiler has made the code.
    pub tier: Tier,
    /// Of which part it is.
    pub part: Part,
    /// Its bytes.
    pub bytes: &'a [u8],
}

/// Reads the record of a piece.
pub(super) fn read_piece(record: &[u8]) -> Result<Piece<'_>, Malformed> {
    let too_short = || super::length(record);
    let (head, bytes) = record
        .split_at_checked(size_of::<JavaScriptCode>())
        .ok_or_else(too_short)?;
    let head: JavaScriptCode = super::read(head)?;
    let unknown = Malformed::Op {
        kind: head.header.kind,
        op: head.part,
    };
    let part = Part::from_u8(head.part).ok_or(unknown)?;
    let tier = Tier::from_u8(head.tier).ok_or(unknown)?;
    let end = head.at.checked_add(head.bytes).ok_or_else(too_short)?;
    let most = PIECE_BYTES * PIECES as usize;
    if bytes.len() != head.bytes as usize || end > head.total || head.total as usize > most {
        return Err(super::length(record));
    }
    Ok(Piece {
        head,
        tier,
        part,
        bytes,
    })
}

#[cfg(test)]
mod tests {
    use memtrace_common::{
        event::{Header, JavaScriptCode, JavaScriptFunction, Kind, StackHead},
        identity::Identity,
        javascript::{
            MARK,
            code::{Part, Tier},
        },
    };

    use super::Piece;
    use crate::decode::{Event, JavaScript, Malformed, StackFrame, decode, encode};

    const HEADER: Header = Header {
        kind: Kind::JavaScriptFunction as u8,
        op: 0,
        flags: 0,
        pid: 7,
        tid: 8,
        incarnation: 3,
        time_ns: 1,
    };

    #[test]
    fn a_function_is_read_as_it_was_sent() {
        let head = JavaScriptFunction {
            header: HEADER,
            id: 1 | MARK,
            source: 2,
            source_object: 3,
            source_map: 4,
            source_length: 5,
            script: 6,
            start: -1,
            table_bytes: 3,
            source_bytes: 4,
            reserved: 0,
            name_bytes: 2,
            file_bytes: 1,
            name_width: 1,
            file_width: 1,
            source_width: 1,
            about: 0,
        };
        let sent = JavaScript {
            head,
            name: b"fn",
            file: b"p",
            source: b"f();",
            table: &[5, 6, 7],
        };
        let bytes = encode(&Event::JavaScript(sent));
        assert_eq!(decode(&bytes), Ok(Event::JavaScript(sent)));
        for length in 0..bytes.len() {
            let read = decode(&bytes[..length]);
            assert!(matches!(read, Err(Malformed::Length { .. })), "{length}");
        }
        assert!(decode(&[&bytes[..], &[0]].concat()).is_err());
    }

    #[test]
    fn a_piece_of_code_is_read_as_it_was_sent() {
        let head = JavaScriptCode {
            header: Header {
                kind: Kind::JavaScriptCode as u8,
                ..HEADER
            },
            function: 1 | MARK,
            code: 5,
            at: 8,
            total: 12,
            bytes: 3,
            part: Part::Exits as u8,
            tier: Tier::Maglev as u8,
            reserved: 0,
        };
        let piece = |head| Piece {
            head,
            tier: Tier::Maglev,
            part: Part::Exits,
            bytes: &[1, 2, 3],
        };
        let bytes = encode(&Event::JavaScriptCode(piece(head)));
        assert_eq!(decode(&bytes), Ok(Event::JavaScriptCode(piece(head))));
        for length in 0..bytes.len() {
            assert!(
                matches!(decode(&bytes[..length]), Err(Malformed::Length { .. })),
                "{length}"
            );
        }
        let changed = |change: fn(&mut JavaScriptCode)| {
            let mut head = head;
            change(&mut head);
            decode(&encode(&Event::JavaScriptCode(piece(head)))).is_err()
        };
        assert!(changed(|head| head.part = 9));
        assert!(changed(|head| head.tier = 9));
        assert!(changed(|head| head.total = 10), "it goes beyond its part");
        assert!(changed(|head| head.total = u32::MAX));
        assert!(changed(|head| head.at = u32::MAX));
    }

    /// The record of a stack of such words.
    fn stack(words: &[u64]) -> Vec<u8> {
        let head = StackHead {
            header: Header {
                kind: Kind::Stack as u8,
                ..HEADER
            },
            id: Identity::of(HEADER.incarnation, words, 0, 0).id,
            epoch: 0,
            count: u32::try_from(words.len()).unwrap(),
            end: 0,
            notes: 0,
            python: 0,
        };
        let mut bytes = bytemuck::bytes_of(&head).to_vec();
        bytes.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        bytes
    }

    #[test]
    fn a_stack_has_functions_behind_the_addresses_of_their_frames() {
        let frames = |words: &[u64]| match decode(&stack(words)) {
            Ok(Event::Stack(stack)) => stack.frames().collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        };
        let frame = |address, function| StackFrame { address, function };
        assert_eq!(
            frames(&[0x10, 0x20, MARK | 1, 5, 0x30]),
            [frame(0x10, None), frame(0x20, Some((MARK | 1, 5))), frame(0x30, None)]
        );
        // Words that nobody sends do no harm.
        assert_eq!(frames(&[0x10, MARK | 1]), [frame(0x10, Some((MARK | 1, 0)))]);
        assert_eq!(frames(&[MARK | 1, MARK | 2]).len(), 1);
    }
}
