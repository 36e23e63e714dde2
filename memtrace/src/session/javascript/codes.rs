//! Compiled code of each program, as the BPF side has told of it.

use std::sync::Arc;

use memtrace_common::event::JavaScriptCode;
use rustc_hash::FxHashMap;

use crate::{
    decode::Piece,
    v8::{Compiled, Grammar, Level},
};

/// Bytes of one program that are kept. Code that comes when there are more has no lines.
const MOST_BYTES: usize = 64 << 20;

/// Places of one program that are kept with what they come to.
const MOST_PLACES: usize = 1 << 20;

/// Calls that are open at a place, innermost first; `None` where that cannot be told.
type Open = Option<Arc<[Level]>>;

/// A program.
#[derive(Debug, Default)]
struct Program {
    /// By the function's identity and the code's number.
    codes: FxHashMap<(u64, u64), Compiled>,
    bytes: usize,
    /// What was looked up, by function, code and offset in it.
    places: FxHashMap<(u64, u64, u32), Open>,
}

/// See the module's description.
#[derive(Debug, Default)]
pub(super) struct Codes {
    programs: FxHashMap<u32, Program>,
    /// Pieces of code that were not kept, for there were too many.
    pub(super) left_out: u64,
}

impl Codes {
    /// Keeps a piece.
    pub(super) fn add(&mut self, piece: &Piece<'_>) {
        let JavaScriptCode {
            header,
            function,
            code,
            at,
            ..
        } = piece.head;
        let program = self.programs.entry(header.incarnation).or_default();
        if program.bytes + piece.bytes.len() > MOST_BYTES {
            self.left_out += 1;
            return;
        }
        let compiled = program
            .codes
            .entry((function, code))
            .or_insert_with(|| Compiled::new(piece.tier));
        let before = compiled.len();
        compiled.add(piece.part, usize::try_from(at).unwrap_or(usize::MAX), piece.bytes);
        program.bytes = program.bytes - before + compiled.len();
    }

    /// Keeps all that is told of the code of a function.
    pub(super) fn insert(&mut self, incarnation: u32, function: u64, number: u64, code: Compiled) {
        let program = self.programs.entry(incarnation).or_default();
        if program.bytes + code.len() > MOST_BYTES {
            self.left_out += 1;
            return;
        }
        program.bytes += code.len();
        if let Some(before) = program.codes.insert((function, number), code) {
            program.bytes -= before.len();
        }
    }

    /// The calls that are open at an offset of code of a function; `None` where that cannot be told.
    pub(super) fn levels(
        &mut self,
        incarnation: u32,
        function: u64,
        (code, offset): (u64, u32),
        grammar: &Grammar,
    ) -> Open {
        let program = self.programs.get_mut(&incarnation)?;
        let place = (function, code, offset);
        if let Some(known) = program.places.get(&place) {
            return known.clone();
        }
        let compiled = program.codes.get(&(function, code))?;
        let open: Open = compiled.levels(grammar, offset).map(Arc::from);
        if program.places.len() < MOST_PLACES {
            program.places.insert(place, open.clone());
        }
        open
    }

    /// A program is gone.
    pub(super) fn forget(&mut self, incarnation: u32) {
        self.programs.remove(&incarnation);
    }
}

#[cfg(test)]
mod tests {
    use memtrace_common::{
        event::Header,
        javascript::code::{Part, Tier},
    };

    use super::*;

    fn piece(incarnation: u32, bytes: &[u8]) -> Piece<'_> {
        Piece {
            head: JavaScriptCode {
                header: Header {
                    kind: 0,
                    op: 0,
                    flags: 0,
                    pid: 1,
                    tid: 1,
                    incarnation,
                    time_ns: 0,
                },
                function: 2,
                code: 3,
                at: 0,
                total: u32::try_from(bytes.len()).unwrap(),
                bytes: u32::try_from(bytes.len()).unwrap(),
                part: Part::Bytecode as u8,
                tier: Tier::Baseline as u8,
                reserved: 0,
            },
            tier: Tier::Baseline,
            part: Part::Bytecode,
            bytes,
        }
    }

    #[test]
    fn code_is_kept_until_its_program_ends_and_as_far_as_there_is_room() {
        let mut codes = Codes::default();
        codes.add(&piece(7, &[1; 100]));
        codes.add(&piece(7, &[1; 60]));
        assert_eq!(codes.programs[&7].bytes, 60, "told again");
        assert_eq!(codes.levels(7, 2, (3, 5), &Grammar::default()), None);
        assert_eq!(codes.programs[&7].places.len(), 1, "it is not looked up twice");
        assert_eq!(codes.levels(7, 2, (4, 5), &Grammar::default()), None, "never told");
        let much = vec![0; MOST_BYTES];
        codes.add(&piece(7, &much));
        assert_eq!((codes.left_out, codes.programs[&7].bytes), (1, 60));
        codes.forget(7);
        assert!(codes.programs.is_empty());
    }
}
