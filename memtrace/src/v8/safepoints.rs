//! The table of safepoints of optimized code (src/codegen/safepoint-table.h, maglev-safepoint-table.h): calls, and which of them V8 can leave the
//! code at.

/// Whose table it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Table {
    Maglev,
    TurboFan,
}

/// Bytes of Maglev's table before its entries: with numbers of slots, of which the newest has one in front of all instead of behind.
const MAGLEV_HEAD: usize = 16;

/// The number of the exit at a return address at an offset of the code; `None` where there is none.
pub(super) fn exit(bytes: &[u8], before: usize, table: Table, place: u32) -> Option<u32> {
    let number = |at: usize| Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
    let (count, configuration) = (number(before)?, number(before + 4)?);
    // Whether entries have exits, and bytes of registers, of an address and of an exit's number.
    let bits = |from: u32| (configuration >> from & 7) as usize;
    let (has_exits, registers, address, exit) = (configuration & 1 != 0, bits(1), bits(4), bits(7));
    if !has_exits || address == 0 || address > 4 || exit > 4 {
        return None;
    }
    let (begin, pushed) = match table {
        Table::TurboFan => (before + 8, 0),
        // One byte says how many registers are on the stack.
        Table::Maglev => (MAGLEV_HEAD, 1),
    };
    let size = address + exit + address + pushed + registers;
    let entries = bytes.get(begin..)?.chunks_exact(size).take(count as usize);
    let mut entries = entries.filter(|entry| little(&entry[..address]) == place);
    // One more than the number.
    little(&entries.next()?[address..address + exit]).checked_sub(1)
}

/// A number of four bytes at most, lowest first.
fn little(bytes: &[u8]) -> u32 {
    bytes.iter().rev().fold(0, |value, &byte| value << 8 | u32::from(byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A table as V8 writes it: entries with registers of one byte, addresses of two, exits of one.
    fn table(head: &[u32], pushed: &[u8]) -> Vec<u8> {
        let mut bytes: Vec<u8> = head.iter().flat_map(|word| word.to_le_bytes()).collect();
        for (place, exit, trampoline) in [(0x5f_u16, 2_u8, 0xa9_u16), (0x1a2, 0, 0), (0x1b0, 3, 0x1f0)] {
            bytes.extend(place.to_le_bytes());
            bytes.push(exit);
            bytes.extend(trampoline.to_le_bytes());
            bytes.extend(pushed);
            bytes.push(0x0f);
        }
        bytes
    }

    /// Exits, registers of one byte, addresses of two, exits' numbers of one.
    const CONFIGURATION: u32 = 1 | 1 << 1 | 2 << 4 | 1 << 7;

    #[test]
    fn calls_are_found_by_their_return_address() {
        let turbofan = table(&[3, CONFIGURATION], &[]);
        let newest = table(&[6, 3, CONFIGURATION], &[]);
        let maglev = table(&[3, CONFIGURATION, 7, 8], &[9]);
        let newest_maglev = table(&[6, 3, CONFIGURATION, 7], &[9]);
        for (bytes, before, kind) in [
            (&turbofan, 0, Table::TurboFan),
            (&newest, 4, Table::TurboFan),
            (&maglev, 0, Table::Maglev),
            (&newest_maglev, 4, Table::Maglev),
        ] {
            let exits = [0x5f, 0x1a2, 0x1b0, 0x1f0, 0x60].map(|place| exit(bytes, before, kind, place));
            // The second has no exit, and who has been sent to an exit does not return to the call any more.
            assert_eq!(exits, [Some(1), None, Some(2), None, None], "{before} {kind:?}");
        }
        assert_eq!(
            exit(&table(&[3, CONFIGURATION & !1], &[]), 0, Table::TurboFan, 0x5f),
            None
        );
        assert_eq!(exit(&table(&[0, CONFIGURATION], &[]), 0, Table::TurboFan, 0x5f), None);
    }

    proptest! {
        #[test]
        fn no_table_is_too_strange(
            bytes in proptest::collection::vec(any::<u8>(), 0..64),
            configuration: u32,
            maglev: bool,
            place in 0_u32..9,
        ) {
            let kind = if maglev { Table::Maglev } else { Table::TurboFan };
            let mut all = vec![0xff, 0, 0, 0];
            all.extend(configuration.to_le_bytes());
            all.extend(&bytes);
            let _exit = exit(&all, 0, kind, place);
            let _exit = exit(&bytes, 4, kind, place);
        }
    }
}
