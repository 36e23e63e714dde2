//! Unwind tables of damaged files, with the checks of the fuzz target.

use std::{fs, path::Path};

use proptest::{collection::vec, prelude::*};

#[path = "../../fuzz/fuzz_targets/check_unwind_table.rs"]
mod check_unwind_table;

use check_unwind_table::check;

/// The files that the fuzzer starts from.
fn seeds() -> Vec<Vec<u8>> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/unwind_table");
    ["sections", "segments", "debug_frame"]
        .iter()
        .map(|name| fs::read(corpus.join(name)).expect("a file of the corpus"))
        .collect()
}

/// What is done to a file.
#[derive(Clone, Debug)]
enum Damage {
    /// A byte becomes another.
    Byte(usize, u8),
    /// Eight bytes become a number that lengths and offsets have at their limits.
    Number(usize, u64),
    /// A piece is put over another.
    Copy(usize, usize, usize),
    /// The end is missing.
    Cut(usize),
}

fn damage() -> impl Strategy<Value = Damage> {
    let at = || 0..2_000_usize;
    let numbers = prop::sample::select(vec![
        0,
        1,
        0x7f,
        0x1000,
        0x7fff_ffff,
        0xffff_fff0,
        u64::MAX,
        u64::MAX >> 1,
    ]);
    prop_oneof![
        6 => (at(), any::<u8>()).prop_map(|(at, byte)| Damage::Byte(at, byte)),
        3 => (at(), numbers).prop_map(|(at, number)| Damage::Number(at, number)),
        2 => (at(), at(), 1..64_usize).prop_map(|(from, to, length)| Damage::Copy(from, to, length)),
        1 => at().prop_map(Damage::Cut),
    ]
}

fn apply(file: &mut Vec<u8>, damage: &Damage) {
    let length = file.len();
    match *damage {
        Damage::Byte(at, byte) => put(file, at, &[byte]),
        Damage::Number(at, number) => put(file, at, &number.to_le_bytes()),
        Damage::Copy(from, to, count) => {
            let from = from % length;
            let piece = file[from..(from + count).min(length)].to_vec();
            put(file, to, &piece);
        }
        Damage::Cut(at) => file.truncate(at.max(1)),
    }
}

fn put(file: &mut [u8], at: usize, bytes: &[u8]) {
    let at = at % file.len();
    for (slot, byte) in file.iter_mut().skip(at).zip(bytes) {
        *slot = *byte;
    }
}

#[test]
fn sound_files_pass() {
    for seed in seeds() {
        check(&seed);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn damaged_files_give_a_table_or_an_error(seed in 0..3_usize, damages in vec(damage(), 1..8)) {
        let mut file = seeds().swap_remove(seed);
        for damage in &damages {
            apply(&mut file, damage);
        }
        check(&file);
    }
}
