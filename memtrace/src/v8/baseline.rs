//! From a place in baseline code to the offset in the bytecode that it was made of.
//!
//! Baseline code is the bytecode, instruction by instruction, behind a prologue. V8 keeps how many bytes each of these has become
//! (src/baseline/bytecode-offset-iterator.h).

use super::{code::Bytecodes, varint};

/// Prefixes: the operands of the instruction behind are twice or four times as large (`kWide`, `kExtraWide`, src/interpreter/bytecodes.h).
const WIDE: u8 = 0;
const EXTRA_WIDE: u8 = 1;

/// The offset in the bytecode of the instruction to which a return address at an offset of the code belongs; `None` in the prologue, and behind all.
pub(super) fn offset(bytecodes: &Bytecodes, offsets: &[u8], bytecode: &[u8], place: u32) -> Option<u32> {
    let mut offsets = offsets.iter();
    let mut end = u64::from(varint(&mut offsets)?);
    if u64::from(place) <= end {
        return None;
    }
    let mut at = 0;
    loop {
        let begin = at;
        let (scale, opcode) = match *bytecode.get(at)? {
            WIDE => (1, *bytecode.get(at + 1)?),
            EXTRA_WIDE => (2, *bytecode.get(at + 1)?),
            opcode => (0, opcode),
        };
        let size = *bytecodes.sizes[scale].get(usize::from(opcode))?;
        at += usize::from(scale != 0) + usize::from(size);
        end += u64::from(varint(&mut offsets)?);
        if u64::from(place) <= end {
            return u32::try_from(begin).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Instructions of one byte, of two, and of one with an operand that can be wider.
    fn bytecodes() -> Bytecodes {
        let sizes = |sizes: [u8; 5]| -> Box<[u8]> { sizes.into() };
        Bytecodes {
            sizes: [sizes([1, 1, 1, 2, 2]), sizes([1, 1, 1, 2, 3]), sizes([1, 1, 1, 2, 5])],
        }
    }

    #[test]
    fn a_return_address_belongs_to_the_instruction_before_it() {
        // At 0, 1, 3 (wide), 7 (extra wide) and 13.
        let bytecode = [2, 3, 9, WIDE, 4, 9, 9, EXTRA_WIDE, 4, 9, 9, 9, 9, 2];
        // A prologue of 200 bytes.
        let offsets = [0xc8, 0x01, 10, 20, 30, 40, 50];
        for (place, expected) in [
            (0, None),
            (200, None),
            (201, Some(0)),
            (210, Some(0)),
            (211, Some(1)),
            (230, Some(1)),
            (260, Some(3)),
            (261, Some(7)),
            (350, Some(13)),
            (351, None),
        ] {
            assert_eq!(offset(&bytecodes(), &offsets, &bytecode, place), expected, "{place}");
        }
        assert_eq!(offset(&bytecodes(), &offsets, &[77], 205), None, "no such instruction");
        assert_eq!(offset(&bytecodes(), &[], &bytecode, 1), None);
    }

    proptest! {
        #[test]
        fn no_table_is_too_strange(
            offsets in proptest::collection::vec(any::<u8>(), 0..64),
            bytecode in proptest::collection::vec(0_u8..6, 0..64),
            place: u32,
        ) {
            let found = offset(&bytecodes(), &offsets, &bytecode, place);
            prop_assert!(found.is_none_or(|found| (found as usize) < bytecode.len()));
        }
    }
}
