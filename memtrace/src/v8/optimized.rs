//! From a return address in optimized code to the calls of JavaScript that are open there.
//!
//! V8 can leave optimized code at each call that may return to other code: its table of safepoints (src/codegen/safepoint-table.h) has the number
//! of the exit, deoptimization data has where the translation of the exit begins, and that says of which frames of the interpreter the frame is
//! made (src/deoptimizer). V8's own stacks come from there.

use super::{
    code::Translations,
    safepoints::{self, exit},
    signed, varint,
};

/// A call that is open.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Open {
    /// Which literal its function is.
    pub(super) literal: u32,
    /// Where in the bytecode it is; `None` in a function that is built in, and where one is entered.
    pub(super) offset: Option<u32>,
}

/// Calls of a frame at most; V8 inlines less deep.
const MOST_OPEN: i64 = 128;

/// What an engine keeps of optimized code.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kept<'a> {
    pub(super) safepoints: &'a [u8],
    /// Deoptimization data.
    pub(super) exits: &'a [u8],
    pub(super) translations: &'a [u8],
    pub(super) table: safepoints::Table,
}

/// The calls that are open at a return address at an offset of the code, outermost first; `None` where V8 cannot leave the code there, or where
/// anything is not as it should be.
pub(super) fn open(grammar: &Translations, kept: Kept<'_>, place: u32) -> Option<Vec<Open>> {
    let exit = exit(kept.safepoints, grammar.before_safepoints, kept.table, place)?;
    let begin = translation(kept.exits, grammar.first_exit, exit)?;
    let translation = Translation::read(grammar, kept.translations, begin)?;
    let basis = match translation.before {
        0 => Vec::new(),
        before => {
            let basis = Translation::read(grammar, kept.translations, begin.checked_sub(before)?)?;
            (basis.before == 0).then_some(())?;
            basis.operations(grammar, &[])?
        }
    };
    let count = usize::try_from(translation.open).ok()?;
    let mut open = Vec::new();
    let mut seen = 0;
    for operation in translation.operations(grammar, &basis)? {
        let is_interpreted = grammar.interpreted.contains(&operation.number);
        if !is_interpreted && !grammar.continued.contains(&operation.number) {
            continue;
        }
        seen += 1;
        let literal = u32::try_from(operation.operands[1]).ok()?;
        // Maglev does not say which function it is that is built in: it says its caller.
        if is_interpreted || open.last().is_none_or(|caller: &Open| caller.literal != literal) {
            open.push(Open {
                literal,
                offset: u32::try_from(operation.operands[0]).ok().filter(|_| is_interpreted),
            });
        }
    }
    (seen == count && count > 0).then_some(open)
}

/// Words of an exit: where it is in the bytecode, where its translation begins, where it is in the code.
const EXIT_WORDS: usize = 3;

/// Where the translation of an exit begins.
fn translation(exits: &[u8], first: usize, exit: u32) -> Option<usize> {
    let words = exits.as_chunks::<8>().0;
    let of_exits = words.get(first..)?;
    (of_exits.len().is_multiple_of(EXIT_WORDS)).then_some(())?;
    let word = of_exits.get(usize::try_from(exit).ok()?.checked_mul(EXIT_WORDS)? + 1)?;
    let word = u64::from_le_bytes(*word);
    // A small integer.
    (word.trailing_zeros() >= 32).then(|| usize::try_from(word >> 32).ok())?
}

/// An operation, with what is of interest of its operands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Operation {
    number: u8,
    operands: [i64; 2],
}

/// A translation, of which the begin was read.
struct Translation<'a> {
    rest: std::slice::Iter<'a, u8>,
    /// How far before it the translation begins that it repeats parts of, in bytes; 0 for none.
    before: usize,
    /// Frames of JavaScript.
    open: i64,
}

impl<'a> Translation<'a> {
    fn read(grammar: &Translations, bytes: &'a [u8], begin: usize) -> Option<Self> {
        let mut rest = bytes.get(begin..)?.iter();
        grammar.begin.contains(&number(grammar, &mut rest)?).then_some(())?;
        let mut before = 0;
        // The oldest has the number of feedback's updates behind the other two instead.
        if grammar.again.is_some() {
            before = usize::try_from(varint(&mut rest)?).ok()?;
        }
        let _frames = varint(&mut rest)?;
        let open = signed(varint(&mut rest)?);
        if grammar.again.is_none() {
            let _updates = varint(&mut rest)?;
        }
        (0..=MOST_OPEN).contains(&open).then_some(Self { rest, before, open })
    }

    /// Its operations; those that are as in another one are taken from there.
    fn operations(mut self, grammar: &Translations, basis: &[Operation]) -> Option<Vec<Operation>> {
        let mut all = Vec::new();
        while !self.rest.as_slice().is_empty() {
            let number = number(grammar, &mut self.rest)?;
            if grammar.begin.contains(&number) {
                break;
            }
            let count = grammar.operands.len();
            let again = match grammar.again {
                Some(again) if number == again => Some(usize::try_from(varint(&mut self.rest)?).ok()?),
                // Numbers beyond those of all operations are the same, in short.
                Some(_) => usize::from(number).checked_sub(count),
                None => None,
            };
            if let Some(again) = again {
                let same = basis.get(all.len()..)?.get(..again)?;
                all.extend_from_slice(same);
                continue;
            }
            let mut operation = Operation {
                number,
                operands: [0; 2],
            };
            for index in 0..usize::from(*grammar.operands.get(usize::from(number))?) {
                let operand = varint(&mut self.rest)?;
                if let Some(kept) = operation.operands.get_mut(index) {
                    *kept = signed(operand);
                }
            }
            all.push(operation);
        }
        Some(all)
    }
}

/// The number of the next operation.
fn number(grammar: &Translations, bytes: &mut std::slice::Iter<'_, u8>) -> Option<u8> {
    if grammar.again.is_some() {
        bytes.next().copied()
    } else {
        // The oldest writes it as it writes operands.
        u8::try_from(signed(varint(bytes)?)).ok()
    }
}

#[cfg(test)]
mod tests;
