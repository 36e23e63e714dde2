//! Where frames are in compiled code, and what there is to the code.

use memtrace_common::javascript::{
    Key,
    code::{Code, LITERALS, PIECE_BYTES, PIECES, Part, Tier, compiled, number},
    loops,
    read::{self, Bytes, Memory as _, Seen},
};

use super::{Asked, Compiled, OfFunction, Reader};
use crate::process::metered::Fill;

impl<M: Fill> Reader<'_, M> {
    /// Where in code of a loop a frame is that looks like the interpreter's.
    pub(super) fn place_in_loop(&mut self, seen: &mut Seen, key: Key, asked: &Asked) -> Option<u64> {
        loops::kept(&self.memory, &self.layout.code.loops, seen)?;
        self.place(seen, key, asked)
    }

    /// Where in its compiled code a frame is.
    pub(super) fn place(&mut self, seen: &mut Seen, key: Key, asked: &Asked) -> Option<u64> {
        let behind = asked.address.wrapping_add(u64::from(!asked.is_call));
        let code = read::code(&self.memory, &self.layout.code, seen, &mut self.table);
        let code = match code.filter(|code| code.offset(behind).is_some()) {
            Some(code) => code,
            None => self.code_of_loop(seen, behind)?,
        };
        // Baseline code tells of each of its instructions, optimized code only of calls. An instruction ends behind its first byte.
        let is_told = asked.is_call || code.tier == Tier::Baseline as u8;
        let offset = code.offset(behind).filter(|_| is_told)?;
        let function = key.identity(0);
        let id = code.identity(0, function);
        let is_known = self.codes.get(&id).copied();
        let is_known = is_known.unwrap_or_else(|| {
            let of = self.code(seen, key, code);
            let is_some = of.is_some();
            self.told.codes.extend(of.map(|code| OfFunction {
                function,
                number: number(id),
                code,
            }));
            self.codes.insert(id, is_some);
            is_some
        });
        is_known.then(|| compiled(number(id), offset))
    }

    /// The code of a loop of the function, in which an address behind a call is.
    fn code_of_loop(&self, seen: &mut Seen, behind: u64) -> Option<Code> {
        let layout = &self.layout.code;
        let kept = self.part(loops::words(&self.memory, &layout.loops, seen)?)?;
        let words = kept.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word));
        let shared = self.layout.shared_of(&seen.function_words);
        let mut before = 0;
        let mut candidates = words.filter(|&word| {
            let before = std::mem::replace(&mut before, word);
            loops::may_be_code(&layout.loops, before, word, shared)
        });
        let at = candidates.find_map(|word| loops::code_around(&self.memory, layout, seen, word, behind))?;
        layout.code(at, &seen.code_words)
    }

    /// What there is to the code of a function.
    fn code(&mut self, seen: &mut Seen, key: Key, code: Code) -> Option<Compiled> {
        if !read::is_code(&self.memory, &self.layout.code, seen) {
            return None;
        }
        seen.bytecode = read::bytecode(&self.memory, self.layout, seen);
        self.define(seen, key);
        let tier = Tier::from_u8(code.tier)?;
        let mut of = Compiled::new(tier);
        if tier == Tier::Baseline {
            let (offsets, bytecode) = read::baseline(&self.memory, self.layout, code)?;
            of.add(Part::Offsets, 0, &self.part(offsets)?);
            of.add(Part::Bytecode, 0, &self.part(bytecode)?);
            return Some(of);
        }
        let kept = read::optimized(&self.memory, self.layout, seen, code)?;
        of.add(Part::Safepoints, 0, &self.part(kept.safepoints)?);
        of.add(Part::Exits, 0, &self.part(kept.exits)?);
        of.add(Part::Translations, 0, &self.part(kept.translations)?);
        let (at, count) = kept.literals;
        let count = count.min(LITERALS as u64);
        let functions: Vec<u8> = (0..count)
            .flat_map(|index| self.literal(at.wrapping_add(8 * index)).to_le_bytes())
            .collect();
        of.add(Part::Functions, 0, &functions);
        Some(of)
    }

    /// The identity of the function that is a literal; 0 where it is none.
    fn literal(&mut self, at: u64) -> u64 {
        let literal = self.memory.word(at).unwrap_or(0);
        if !read::is_of(&self.memory, literal, self.layout.shared_type) {
            return 0;
        }
        let mut seen = Seen::default();
        let Ok(key) = read::function_of(&self.memory, self.layout, literal, &mut seen, self.tid) else {
            return 0;
        };
        if key.script != 0 {
            seen.bytecode = read::bytecode(&self.memory, self.layout, &seen);
        }
        self.define(&seen, key);
        key.identity(0)
    }

    fn part(&self, (address, bytes): Bytes) -> Option<Vec<u8>> {
        self.memory
            .content(address, bytes, PIECE_BYTES as u64 * u64::from(PIECES))
    }
}
