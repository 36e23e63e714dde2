//! The tables by which an interpreter calls its allocators: which functions are in them, and what lies between.
//!
//! Every version since 3.8 keeps three entries of its debug hooks next to each other: a letter for the domain and a row of five words (a
//! context, and `malloc`, `calloc`, `realloc`, `free`). The rows in them are those of the functions at the bottom, whatever is put on
//! top. They are found by this form, and nothing else in an interpreter has it.

use std::ops::Range;

use super::{
    interpreter::Interpreter,
    memory::{Memory, word},
};

/// Bytes of an entry of the debug hooks: a letter, padded to a word, and a row.
const ENTRY: usize = 48;
/// The letters: raw memory, memory, objects.
const LETTERS: [u8; 3] = *b"rmo";

/// Most bytes of data that are looked through.
const MOST: usize = 64 << 20;

/// Four functions: `malloc`, `calloc`, `realloc`, `free` (avma).
pub(super) type Row = [u64; 4];

/// What is found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Rows {
    /// That of raw memory, at the bottom.
    pub(super) raw: Row,
    /// That of memory.
    pub(super) memory: Row,
    /// That of objects.
    pub(super) objects: Row,
    /// What is called first for objects.
    pub(super) mode: Mode,
}

/// What the interpreter calls for an object.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mode {
    /// pymalloc itself.
    Pymalloc,
    /// The debug hooks, which call it (`PYTHONMALLOC=debug`, `-X dev`, debug builds).
    Debug,
    /// `tracemalloc`, which calls what was there before.
    Tracemalloc,
    /// Functions of another file, as a profiler puts them there, which call what was there before.
    Hooked,
    /// The C library (`PYTHONMALLOC=malloc`): pymalloc is not in use.
    Malloc,
    /// None of these.
    Unknown,
}

impl Mode {
    /// A few words for people.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Pymalloc => "pymalloc is called directly",
            Self::Debug => "the debug hooks are on and call pymalloc",
            Self::Tracemalloc => "tracemalloc is on and calls pymalloc",
            Self::Hooked => "hooks of another file are on and call what was there before",
            Self::Malloc => "objects come from the C library (PYTHONMALLOC=malloc)",
            Self::Unknown => "what is called for objects is not known",
        }
    }
}

/// Finds the rows of an interpreter.
///
/// # Errors
/// Why they were not found.
pub(super) fn find(memory: &impl Memory, interpreter: &Interpreter) -> Result<Rows, &'static str> {
    let data: Vec<(u64, Vec<u8>)> = interpreter.data.iter().filter_map(|part| read(memory, part)).collect();
    let mut found = Vec::new();
    for (start, bytes) in &data {
        for at in (0..bytes.len()).step_by(8) {
            if let Some(rows) = entries(bytes, at, interpreter) {
                found.push((start + at as u64, rows));
            }
        }
    }
    match found[..] {
        [(at, [raw, own_memory, objects])] => Ok(Rows {
            raw,
            memory: own_memory,
            objects,
            mode: mode(&data, at, raw, objects, interpreter),
        }),
        [] => Err("the entries of its debug hooks, which name the functions of its allocators, were not found"),
        _ => Err("several things look like the entries of its debug hooks"),
    }
}

fn read(memory: &impl Memory, part: &Range<u64>) -> Option<(u64, Vec<u8>)> {
    let mut bytes = vec![0; usize::try_from(part.end.checked_sub(part.start)?).ok()?.min(MOST)];
    memory.read(part.start, &mut bytes).then_some((part.start, bytes))
}

/// The three rows of the debug hooks' entries at an offset.
fn entries(bytes: &[u8], at: usize, interpreter: &Interpreter) -> Option<[Row; 3]> {
    let mut rows = [[0; 4]; 3];
    for (index, letter) in LETTERS.into_iter().enumerate() {
        let entry = at + index * ENTRY;
        (*bytes.get(entry)? == letter).then_some(())?;
        rows[index] = row(bytes, entry + 8).filter(|row| are_own(row, interpreter))?;
    }
    Some(rows)
}

/// The functions of the row at an offset.
fn row(bytes: &[u8], at: usize) -> Option<Row> {
    let mut row = [0; 4];
    for (index, function) in row.iter_mut().enumerate() {
        *function = word(bytes, at + 8 + index * 8)?;
    }
    Some(row)
}

fn are_own(row: &Row, interpreter: &Interpreter) -> bool {
    row.iter()
        .all(|function| interpreter.code.iter().any(|code| code.contains(function)))
}

/// What is on top of the functions at the bottom. The live rows are copies of those, or have something as their context that is or was
/// such a copy: what lies on top keeps what it is to call.
fn mode(data: &[(u64, Vec<u8>)], entries: u64, raw: Row, objects: Row, interpreter: &Interpreter) -> Mode {
    let entry = entries + 2 * ENTRY as u64;
    let all = || {
        let offsets = data
            .iter()
            .flat_map(|(start, bytes)| (0..bytes.len()).step_by(8).map(move |at| (*start, bytes, at)));
        offsets.filter(|(start, _, at)| !(entries..entries + 3 * ENTRY as u64).contains(&(start + *at as u64)))
    };
    let copies = |wanted: Row| {
        let found = all().filter(move |(_, bytes, at)| {
            word(bytes, at + 8) == Some(wanted[0]) && word(bytes, *at) == Some(0) && row(bytes, *at) == Some(wanted)
        });
        found.map(|(start, _, at)| start + at as u64).collect::<Vec<_>>()
    };
    let own = copies(objects);
    let mut over_copy = None;
    for (_, bytes, at) in all() {
        let Some(context) = word(bytes, at).filter(|context| *context == entry || own.contains(context)) else {
            continue;
        };
        let Some(row) = row(bytes, at).filter(|row| row.iter().all(|function| *function > 4096 && function >> 47 == 0))
        else {
            continue;
        };
        match (are_own(&row, interpreter), context == entry) {
            (true, true) => return Mode::Debug,
            (true, false) => over_copy = Some(Mode::Tracemalloc),
            (false, _) => over_copy = over_copy.or(is_code(&row, data).then_some(Mode::Hooked)),
        }
    }
    match over_copy {
        Some(mode) => mode,
        None if !own.is_empty() => Mode::Pymalloc,
        // The rows of all three domains.
        None if copies(raw).len() >= 3 => Mode::Malloc,
        None => Mode::Unknown,
    }
}

/// Whether these can be functions of another file: four different addresses, none of them in the interpreter's data.
fn is_code(row: &Row, data: &[(u64, Vec<u8>)]) -> bool {
    let is_data = |function: &u64| {
        let within = |(start, bytes): &(u64, Vec<u8>)| (*start..start + bytes.len() as u64).contains(function);
        data.iter().any(within)
    };
    let distinct = row
        .iter()
        .enumerate()
        .all(|(index, function)| !row[..index].contains(function));
    distinct && !row.iter().any(is_data)
}

#[cfg(test)]
mod tests {
    use super::{super::memory::tests::Made, *};
    use crate::pymalloc::tests::{DATA, interpreter};

    const ENTRIES: u64 = DATA + 0x100;
    const RAW: Row = [0x5f_0100, 0x5f_0200, 0x5f_0300, 0x5f_0400];
    const OWN: Row = [0x5f_1100, 0x5f_1200, 0x5f_1300, 0x5f_1400];
    const ON_TOP: Row = [0x5f_2100, 0x5f_2200, 0x5f_2300, 0x5f_2400];
    const ELSEWHERE: Row = [0x7f12_0000_2100, 0x7f12_0000_2200, 0x7f12_0000_2300, 0x7f12_0000_2400];

    fn put(memory: &mut Made, at: u64, context: u64, row: Row) {
        memory.write_word(at, context);
        for (index, function) in row.into_iter().enumerate() {
            memory.write_word(at + 8 + 8 * index as u64, function);
        }
    }

    /// Data with the entries, and what else is put there.
    fn found(rows: &[(u64, u64, Row)]) -> Result<Rows, &'static str> {
        let mut memory = Made::default();
        memory.0.insert(DATA, vec![0; 0x4000]);
        for (index, (letter, row)) in [(b'r', RAW), (b'm', OWN), (b'o', OWN)].into_iter().enumerate() {
            let entry = ENTRIES + (index * ENTRY) as u64;
            memory.write_word(entry, u64::from(letter) | 0xabcd_ef00);
            put(&mut memory, entry + 8, 0, row);
        }
        for &(at, context, row) in rows {
            put(&mut memory, at, context, row);
        }
        find(&memory, &interpreter())
    }

    #[test]
    fn what_lies_on_top_is_told() {
        let live = [
            (DATA + 0x1000, 0, RAW),
            (DATA + 0x1028, 0, OWN),
            (DATA + 0x1050, 0, OWN),
        ];
        let mode = |rows: &[(u64, u64, Row)]| found(rows).unwrap().mode;
        assert_eq!(
            found(&live).unwrap(),
            Rows {
                raw: RAW,
                memory: OWN,
                objects: OWN,
                mode: Mode::Pymalloc
            }
        );
        let entry = ENTRIES + 2 * ENTRY as u64;
        assert_eq!(mode(&[(DATA + 0x1050, entry, ON_TOP)]), Mode::Debug);
        let copy = (DATA + 0x2000, 0, OWN);
        assert_eq!(mode(&[copy, (DATA + 0x1050, DATA + 0x2000, ON_TOP)]), Mode::Tracemalloc);
        assert_eq!(mode(&[copy, (DATA + 0x1050, DATA + 0x2000, ELSEWHERE)]), Mode::Hooked);
        let raw = [
            (DATA + 0x1000, 0, RAW),
            (DATA + 0x1028, 0, RAW),
            (DATA + 0x1050, 0, RAW),
        ];
        assert_eq!(mode(&raw), Mode::Malloc);
        assert_eq!(mode(&[]), Mode::Unknown);
    }

    #[test]
    fn two_sets_or_none_are_no_answer() {
        let entry = |index: u64| ENTRIES + 0x1000 + index * ENTRY as u64;
        let second: Vec<_> = (0..3).map(|index| (entry(index) + 8, 0, OWN)).collect();
        assert!(found(&second).is_ok(), "no letters");
        let mut memory = Made::default();
        memory.0.insert(DATA, vec![b'o'; 0x4000]);
        assert!(find(&memory, &interpreter()).is_err());
    }
}
