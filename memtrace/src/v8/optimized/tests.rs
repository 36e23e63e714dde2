use proptest::prelude::*;

use super::{safepoints::Table, *};

/// Operations: a frame with a return value and one without, a frame of a built-in function, a begin, a literal, and "again".
fn grammar() -> Translations {
    Translations {
        operands: [5, 3, 3, 3, 1, 1].into(),
        begin: 3..=3,
        interpreted: 0..=1,
        continued: 2..=2,
        again: Some(5),
        first_exit: 1,
        before_safepoints: 0,
    }
}

/// A table with one safepoint for each of so many exits, at 1, 2, 3 and so on.
fn safepoints(exits: u8) -> Vec<u8> {
    let mut bytes = [u32::from(exits), 1 | 1 << 4 | 1 << 7]
        .iter()
        .flat_map(|word| word.to_le_bytes())
        .collect::<Vec<_>>();
    for exit in 1..=exits {
        bytes.extend([exit, exit, 0]);
    }
    bytes
}

/// Deoptimization data with exits whose translations begin there.
fn exits(begins: &[u64]) -> Vec<u8> {
    let mut words = vec![77];
    words.extend(begins.iter().flat_map(|&begin| [9 << 32, begin << 32, 9 << 32]));
    words.iter().flat_map(|word: &u64| word.to_le_bytes()).collect()
}

fn at(begins: &[u64], translations: &[u8], place: u32) -> Option<Vec<Open>> {
    let kept = Kept {
        safepoints: &safepoints(u8::try_from(begins.len()).unwrap()),
        exits: &exits(begins),
        translations,
        table: Table::TurboFan,
    };
    open(&grammar(), kept, place)
}

const fn call(literal: u32, offset: u32) -> Open {
    Open {
        literal,
        offset: Some(offset),
    }
}

/// Signed numbers are twice as large.
const FIRST: [u8; 16] = [3, 0, 4, 4, 1, 20, 6, 0, 4, 0, 0, 40, 2, 0, 0, 0];

#[test]
fn open_calls_are_those_that_the_translation_has() {
    // A frame at 10 of the third literal, which has called the first one, that is at 20.
    assert_eq!(at(&[0], &FIRST, 1), Some(vec![call(3, 10), call(1, 20)]));
    assert_eq!(at(&[0], &FIRST, 2), None, "no call returns there");
    assert_eq!(at(&[0], &FIRST[..12], 1), None, "a part of it");
    assert_eq!(at(&[5], &FIRST, 1), None, "where none begins");
    assert_eq!(at(&[99], &FIRST, 1), None);
    // A built-in function between two, and one that is just entered.
    let with_built_in = [3, 0, 6, 6, 1, 20, 6, 0, 2, 14, 8, 0, 1, 3, 2, 0];
    let built_in = Open {
        literal: 4,
        offset: None,
    };
    let entered = Open {
        literal: 1,
        offset: None,
    };
    assert_eq!(at(&[0], &with_built_in, 1), Some(vec![call(3, 10), built_in, entered]));
    let of_its_caller = [3, 0, 6, 6, 1, 20, 6, 0, 2, 14, 6, 0, 1, 3, 2, 0];
    assert_eq!(at(&[0], &of_its_caller, 1), Some(vec![call(3, 10), entered]));
    let too_few = [3, 0, 6, 6, 1, 20, 6, 0];
    assert_eq!(at(&[0], &too_few, 1), None, "it says that there are three");
}

#[test]
fn what_is_as_before_is_taken_from_there() {
    let mut translations = FIRST.to_vec();
    // One operation as before, a literal, and the rest of the operations as before; the short form is beyond all numbers.
    translations.extend([3, 16, 4, 4, 5, 1, 4, 8, 6 + 2]);
    let second = Some(vec![call(3, 10), call(1, 20)]);
    assert_eq!(at(&[0, 16], &translations, 1), second);
    assert_eq!(at(&[0, 16], &translations, 2), None, "there are not so many");
    translations[24] = 6 + 1;
    assert_eq!(at(&[0, 16], &translations, 2), second);
    translations[17] = 15;
    assert_eq!(at(&[0, 16], &translations, 2), None, "no translation begins there");
}

#[test]
fn the_oldest_form_has_signed_numbers_of_operations() {
    let oldest = Translations {
        operands: [5, 1, 3, 3].into(),
        interpreted: 0..=0,
        again: None,
        ..grammar()
    };
    // A begin of one frame, a literal, a frame.
    let translations = [6, 2, 2, 0, 2, 4, 0, 20, 6, 0, 0, 0, 6, 2, 2, 0];
    let kept = Kept {
        safepoints: &safepoints(1),
        exits: &exits(&[0]),
        translations: &translations,
        table: Table::TurboFan,
    };
    assert_eq!(open(&oldest, kept, 1), Some(vec![call(3, 10)]));
}

proptest! {
    #[test]
    fn no_code_is_too_strange(
        translations in proptest::collection::vec(0_u8..16, 0..64),
        begins in proptest::collection::vec(0_u64..64, 0..4),
        bytes in proptest::collection::vec(any::<u8>(), 0..64),
        place in 0_u32..5,
    ) {
        let _open = at(&begins, &translations, place);
        let kept = Kept { safepoints: &safepoints(2), exits: &bytes, translations: &bytes, table: Table::TurboFan };
        let _open = open(&grammar(), kept, place);
        let kept = Kept { safepoints: &bytes, exits: &exits(&begins), translations: &bytes, table: Table::Maglev };
        let _open = open(&grammar(), kept, place);
    }
}
