//! Python functions.

use memtrace_common::event::PythonCode;

use super::Malformed;

/// A Python function.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Python<'a> {
    /// The fixed part.
    pub head: PythonCode,
    /// Its name, as it is in memory.
    pub name: &'a [u8],
    /// The path of its source, likewise.
    pub file: &'a [u8],
    /// Its line table, or nothing.
    pub table: &'a [u8],
}

/// Reads the record of a function.
pub(super) fn read(record: &[u8]) -> Result<Python<'_>, Malformed> {
    let too_short = || super::length(record);
    let (head, rest) = record.split_at_checked(size_of::<PythonCode>()).ok_or_else(too_short)?;
    let head: PythonCode = super::read(head)?;
    let (name, rest) = rest.split_at_checked(head.name_bytes.into()).ok_or_else(too_short)?;
    let (file, table) = rest.split_at_checked(head.file_bytes.into()).ok_or_else(too_short)?;
    if table.len() != head.table_bytes as usize {
        return Err(super::length(record));
    }
    Ok(Python {
        head,
        name,
        file,
        table,
    })
}

#[cfg(test)]
mod tests {
    use memtrace_common::{
        event::{Header, Kind, StackHead},
        identity::Identity,
    };

    use crate::decode::{Event, Malformed, Python, decode, encode};

    const HEADER: Header = Header {
        kind: Kind::PythonCode as u8,
        op: 0,
        flags: 0,
        pid: 7,
        tid: 8,
        incarnation: 3,
        time_ns: 1,
    };

    fn function() -> Vec<u8> {
        let head = super::PythonCode {
            header: HEADER,
            id: 1,
            table: 2,
            table_length: 99,
            table_bytes: 3,
            first_line: 4,
            name_bytes: 2,
            file_bytes: 1,
            name_width: 1,
            file_width: 1,
            cut: 0,
            reserved: 0,
        };
        encode(&Event::Python(Python {
            head,
            name: b"fn",
            file: b"p",
            table: &[5, 6, 7],
        }))
    }

    #[test]
    fn a_function_is_read_as_it_was_sent() {
        let bytes = function();
        let Ok(Event::Python(python)) = decode(&bytes) else {
            panic!("it is one");
        };
        assert_eq!(
            (python.name, python.file, python.table),
            (&b"fn"[..], &b"p"[..], &[5, 6, 7][..])
        );
        assert_eq!(encode(&Event::Python(python)), bytes);
        for length in 0..bytes.len() {
            assert!(
                matches!(decode(&bytes[..length]), Err(Malformed::Length { .. })),
                "{length}"
            );
        }
        assert!(decode(&[&bytes[..], &[0]].concat()).is_err());
    }

    #[test]
    fn python_frames_are_part_of_a_stack_and_of_its_identity() {
        let words = [0x10_u64, 0x20, 77, 5, 0, 2 << 32];
        let mut identity = Identity::new(3);
        for &word in &words {
            identity.push(word);
        }
        let head = StackHead {
            header: Header {
                kind: Kind::Stack as u8,
                ..HEADER
            },
            id: identity.finish(0, 0).id,
            epoch: 0,
            count: 2,
            end: 0,
            notes: 0,
            python: 2,
        };
        let record = |head: StackHead| {
            let mut bytes = bytemuck::bytes_of(&head).to_vec();
            bytes.extend(words.iter().flat_map(|word| word.to_le_bytes()));
            bytes
        };
        let bytes = record(head);
        let Ok(Event::Stack(stack)) = decode(&bytes) else {
            panic!("it is one");
        };
        assert_eq!(
            stack.frames().map(|frame| frame.address).collect::<Vec<_>>(),
            [0x10, 0x20]
        );
        assert_eq!(stack.python().collect::<Vec<_>>(), [(77, 5), (0, 2 << 32)]);
        assert_eq!(encode(&Event::Stack(stack)), bytes);
        let wrong = |head: StackHead| decode(&record(head)).is_err();
        assert!(wrong(StackHead { python: 1, ..head }), "too long");
        assert!(wrong(StackHead { python: 129, ..head }));
        let mut changed = bytes;
        changed[48 + 16] ^= 1;
        assert_eq!(decode(&changed), Err(Malformed::Identity));
    }
}
