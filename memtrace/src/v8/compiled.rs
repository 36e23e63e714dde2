//! Compiled code of a function, as the BPF side tells of it: which calls are open at a place in it.

use memtrace_common::javascript::code::{Part, Tier};

use super::{baseline, code::Grammar, optimized, safepoints::Table};

/// A call that is open in compiled code.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Level {
    /// The identity of its function; `None` for the function that was compiled.
    pub function: Option<u64>,
    /// Where in its bytecode it is, where that is known.
    pub offset: Option<u32>,
}

/// See the module's description.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Compiled {
    tier: Tier,
    parts: [Vec<u8>; Part::COUNT],
}

impl Compiled {
    /// Code of which nothing is told yet.
    pub fn new(tier: Tier) -> Self {
        Self {
            tier,
            parts: Default::default(),
        }
    }

    /// Adds a piece of a part at a place in it. One that begins it anew takes the place of all; any other that does not fit is left out, and
    /// the part is then too short for what is looked up in it.
    pub fn add(&mut self, part: Part, at: usize, bytes: &[u8]) {
        let part = &mut self.parts[part as usize];
        if at == 0 {
            part.clear();
        }
        if part.len() == at {
            part.extend_from_slice(bytes);
        }
    }

    /// Bytes that are kept of it.
    pub fn len(&self) -> usize {
        self.parts.iter().map(Vec::len).sum()
    }

    /// Whether nothing is told of it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The calls that are open at a return address at an offset of the code, innermost first; `None` where that cannot be told.
    pub fn levels(&self, grammar: &Grammar, place: u32) -> Option<Vec<Level>> {
        let part = |part: Part| self.parts[part as usize].as_slice();
        let table = match self.tier {
            Tier::Baseline => {
                let bytecodes = grammar.bytecodes.as_ref()?;
                let offset = baseline::offset(bytecodes, part(Part::Offsets), part(Part::Bytecode), place)?;
                return Some(vec![Level {
                    function: None,
                    offset: Some(offset),
                }]);
            }
            Tier::Maglev => Table::Maglev,
            Tier::TurboFan => Table::TurboFan,
        };
        let kept = optimized::Kept {
            safepoints: part(Part::Safepoints),
            exits: part(Part::Exits),
            translations: part(Part::Translations),
            table,
        };
        let open = optimized::open(grammar.translations.as_ref()?, kept, place)?;
        let functions = part(Part::Functions).as_chunks::<8>().0;
        let own = open.first()?.literal;
        let levels = open.iter().map(|open| {
            let mut function = None;
            // The outermost is the function itself, and it may call itself.
            if open.literal != own {
                let id = functions.get(usize::try_from(open.literal).ok()?)?;
                function = Some(u64::from_le_bytes(*id)).filter(|&id| id != 0);
                function?;
            }
            Some(Level {
                function,
                offset: open.offset,
            })
        });
        let mut levels: Vec<_> = levels.collect::<Option<_>>()?;
        levels.reverse();
        Some(levels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_put_together_of_pieces_that_follow_each_other() {
        let mut code = Compiled::new(Tier::Baseline);
        assert!(code.is_empty());
        code.add(Part::Offsets, 0, &[1, 2]);
        code.add(Part::Offsets, 4, &[9]);
        code.add(Part::Offsets, 2, &[3]);
        assert_eq!((code.len(), &code.parts[0][..]), (3, &[1, 2, 3][..]));
        code.add(Part::Offsets, 0, &[7]);
        assert_eq!(code.len(), 1, "told again");
        assert_eq!(
            code.levels(&Grammar::default(), 1),
            None,
            "nothing is known of its bytecode"
        );
    }

    #[test]
    fn functions_are_those_of_the_literals() {
        let grammar = Grammar {
            translations: Some(optimized_grammar()),
            ..Grammar::default()
        };
        let mut code = Compiled::new(Tier::TurboFan);
        let words = |words: &[u64]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<_>>();
        code.add(Part::Safepoints, 0, &[1, 0, 0, 0, 0x91, 0, 0, 0, 5, 1, 0]);
        code.add(Part::Exits, 0, &words(&[0, 0, 0]));
        // The function of literal 2 calls that of literal 0, which calls the first one again.
        code.add(
            Part::Translations,
            0,
            &[1, 0, 6, 6, 0, 20, 4, 0, 0, 40, 0, 0, 0, 60, 4, 0],
        );
        code.add(Part::Functions, 0, &words(&[77, 0, 88]));
        let level = |function, offset| Level {
            function,
            offset: Some(offset),
        };
        let expected = vec![level(None, 30), level(Some(77), 20), level(None, 10)];
        assert_eq!(code.levels(&grammar, 5), Some(expected));
        assert_eq!(code.levels(&grammar, 6), None);
        code.add(Part::Functions, 0, &words(&[0, 0, 88]));
        assert_eq!(code.levels(&grammar, 5), None, "one of them could not be told");
    }

    fn optimized_grammar() -> super::super::code::Translations {
        super::super::code::Translations {
            operands: [3, 3, 1].into(),
            begin: 1..=1,
            interpreted: 0..=0,
            continued: 9..=9,
            again: Some(2),
            first_exit: 0,
            before_safepoints: 0,
        }
    }
}
