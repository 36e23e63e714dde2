//! How compiled code lies in an engine, and what else of it must be known to find lines in it.

use std::ops::RangeInclusive;

use memtrace_common::javascript::{
    code::{CodeLayout, told},
    loops::LoopLayout,
};

use super::engine::{Engine, Version};

/// What an engine does not say of its code (src/objects/code.tq, code.h, js-function.tq, deoptimization-data.h): offsets in bytes.
struct Silent {
    layout: CodeLayout,
    /// The first slot of deoptimization data that is of an exit (`kFirstDeoptEntryIndex`).
    first_exit: usize,
    /// Bytes of the table of safepoints before the number of its entries.
    before_safepoints: usize,
    /// How translations are written (src/deoptimizer/translation-opcode.h).
    opcodes: Opcodes,
}

/// Operations of translations that matter, by number.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Opcodes {
    /// How many operations there are.
    count: usize,
    begin: RangeInclusive<u8>,
    interpreted: RangeInclusive<u8>,
    /// Operands of the first of these.
    operands: u8,
    continued: RangeInclusive<u8>,
    /// "as many operations as in the translation before"
    again: Option<u8>,
}

/// Bytes of a function that are read.
const FUNCTION_BYTES: u32 = 56;

fn silent(version: Version) -> Silent {
    // Where the function, its code and what is in deoptimization data are.
    let oldest = CodeLayout {
        function_bytes: FUNCTION_BYTES,
        function_code: 48,
        code_bytes: 64,
        data: 16,
        positions: 24,
        flags: 48,
        literals: 2,
        shared: 6,
        ..CodeLayout::default()
    };
    match version.major {
        0..=10 => Silent {
            layout: CodeLayout {
                start: 0,
                inside: 128,
                size: 40,
                ..oldest
            },
            first_exit: 11,
            before_safepoints: 0,
            opcodes: Opcodes {
                count: 28,
                begin: 3..=3,
                interpreted: 18..=18,
                operands: 5,
                continued: 19..=20,
                again: None,
            },
        },
        11 => Silent {
            layout: CodeLayout {
                start: 40,
                size: 56,
                ..oldest
            },
            first_exit: 11,
            before_safepoints: 0,
            opcodes: Opcodes {
                count: 36,
                begin: 2..=3,
                interpreted: 23..=24,
                operands: 5,
                continued: 25..=26,
                again: Some(35),
            },
        },
        12 => Silent {
            layout: CodeLayout {
                function_code: 24,
                data: 8,
                positions: 16,
                start: 40,
                size: 52,
                ..oldest
            },
            first_exit: 11,
            before_safepoints: 0,
            opcodes: Opcodes {
                count: 40,
                begin: 12..=13,
                interpreted: 0..=1,
                operands: 5,
                continued: 2..=3,
                again: Some(39),
            },
        },
        _ => Silent {
            layout: CodeLayout {
                table: 2400,
                function_code: 24,
                data: 8,
                positions: 16,
                start: 40,
                flags: 52,
                size: 56,
                literals: 3,
                shared: 7,
                wrapped: 1,
                ..oldest
            },
            first_exit: 12,
            before_safepoints: 4,
            opcodes: Opcodes {
                count: 45,
                begin: 14..=15,
                interpreted: 0..=1,
                operands: 6,
                continued: 2..=3,
                again: Some(44),
            },
        },
    }
}

/// How compiled code lies; without any tier in [`CodeLayout::told`] where the engine does not say enough. [`CodeLayout::group`] is what the file
/// says (svma).
pub(super) fn layout(engine: &Engine) -> CodeLayout {
    let silent = silent(engine.version);
    let number = |name: &str| engine.constant(name).and_then(|value| u32::try_from(value).ok());
    let mut layout = silent.layout;
    let (Some(code_type), Some(baseline)) = (number("type_Code__CODE_TYPE"), number("CodeKindBaseline")) else {
        return layout;
    };
    // Functions refer to their code, but for the newest: there a table has it.
    if engine.version.major > 12 && engine.group.is_none() {
        return layout;
    }
    layout.group = if engine.version.major > 12 {
        engine.group.unwrap_or(0)
    } else {
        0
    };
    layout.code_type = code_type;
    layout.baseline = baseline;
    layout.loops = loops(engine).unwrap_or_default();
    let grammar = Grammar::of(engine);
    if grammar.bytecodes.is_some() {
        layout.told |= told::BASELINE;
    }
    if grammar.translations.is_some() {
        layout.told |= told::OPTIMIZED;
    }
    layout
}

/// Where a native context of V8 10.2 has the code of loops (`OSR_CODE_CACHE_INDEX`, src/objects/contexts.h), in bytes from its begin.
const CACHE: u32 = 2152;

/// Where code of loops is: with the function, or up to 10.2 with its native context.
fn loops(engine: &Engine) -> Option<LoopLayout> {
    let one_of = |names: &[&str]| {
        let number = names.iter().find_map(|name| engine.constant(name))?;
        u32::try_from(number).ok()
    };
    let offset = |names: &[&str]| one_of(names).filter(|&offset| offset < FUNCTION_BYTES);
    match (engine.version.major, engine.version.minor) {
        (10, 2) => Some(LoopLayout {
            kept_type: one_of(&["type_WeakFixedArray__WEAK_FIXED_ARRAY_TYPE"])?,
            context: offset(&["class_JSFunction__context__Context"])?,
            native: offset(&["class_Map__native_context__NativeContext"])?,
            cache: CACHE,
            ..LoopLayout::default()
        }),
        (11.., _) => Some(LoopLayout {
            cell: offset(&[
                "class_JSFunction__raw_feedback_cell__FeedbackCell",
                "class_JSFunction__raw_feedback_cell__Tagged_FeedbackCell_",
            ])?,
            value: offset(&[
                "class_FeedbackCell__value__HeapObject",
                "class_FeedbackCell__value__Tagged_HeapObject_",
            ])?,
            kept_type: one_of(&["type_FeedbackVector__FEEDBACK_VECTOR_TYPE"])?,
            wrapper_type: match engine.version.major {
                11 => 0,
                _ => one_of(&["type_CodeWrapper__CODE_WRAPPER_TYPE"])?,
            },
            ..LoopLayout::default()
        }),
        _ => None,
    }
}

/// What it takes to make sense of what an engine keeps of compiled code.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Grammar {
    pub(super) bytecodes: Option<Bytecodes>,
    pub(super) translations: Option<Translations>,
}

/// How long the instructions of bytecode are (`Bytecodes::kBytecodeSizes`, src/interpreter/bytecodes.h).
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Bytecodes {
    /// With operands of one size, of the double, of the fourfold.
    pub(super) sizes: [Box<[u8]>; 3],
}

/// How translations are written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Translations {
    /// How many operands each operation has (`TranslationOpcodeOperandCount`).
    pub(super) operands: Box<[u8]>,
    pub(super) begin: RangeInclusive<u8>,
    /// Frames of the interpreter: the offset in the bytecode, the literal that is the function.
    pub(super) interpreted: RangeInclusive<u8>,
    /// Frames in which a built-in function goes on: likewise.
    pub(super) continued: RangeInclusive<u8>,
    /// "as many operations as in the translation before"
    pub(super) again: Option<u8>,
    /// The first word of deoptimization data that is of an exit.
    pub(super) first_exit: usize,
    /// Bytes of the table of safepoints before the number of its entries.
    pub(super) before_safepoints: usize,
}

/// Instructions of bytecode at most.
const MOST_BYTECODES: usize = 256;
/// Operands of an operation at most; V8 has six.
const MOST_OPERANDS: u8 = 8;

impl Grammar {
    /// That of an engine, as far as it says.
    pub fn of(engine: &Engine) -> Self {
        Self {
            bytecodes: engine.bytecode_sizes.as_deref().and_then(Bytecodes::of),
            translations: engine
                .operand_counts
                .as_deref()
                .and_then(|counts| Translations::of(engine.version, counts)),
        }
    }
}

impl Bytecodes {
    fn of(table: &[u8]) -> Option<Self> {
        let count = table.len() / 3;
        if !table.len().is_multiple_of(3) || !(4..=MOST_BYTECODES).contains(&count) || table.contains(&0) {
            return None;
        }
        let sizes = |scale: usize| table[scale * count..][..count].into();
        Some(Self {
            sizes: [sizes(0), sizes(1), sizes(2)],
        })
    }
}

impl Translations {
    fn of(version: Version, counts: &[u8]) -> Option<Self> {
        let silent = silent(version);
        let Opcodes {
            count,
            begin,
            interpreted,
            operands,
            continued,
            again,
        } = silent.opcodes;
        let (counts, rest) = counts.as_chunks::<4>();
        let all: Option<Box<[u8]>> = counts
            .iter()
            .map(|&count| u8::try_from(u32::from_le_bytes(count)).ok())
            .collect();
        let all = all.filter(|all| all.iter().all(|&count| count <= MOST_OPERANDS))?;
        // What is known of the operations must be true of these.
        let has = |number: u8, operands: u8| all.get(usize::from(number)) == Some(&operands);
        let is_known = rest.is_empty()
            && all.len() == count
            && begin.clone().all(|number| has(number, 3))
            && has(*interpreted.start(), operands)
            && continued.clone().all(|number| has(number, 3))
            && again.is_none_or(|number| has(number, 1));
        is_known.then_some(Self {
            operands: all,
            begin,
            interpreted,
            continued,
            again,
            first_exit: silent.first_exit,
            before_safepoints: silent.before_safepoints,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v8::engine::{
        Found, find,
        tests::{engine_of, engines},
    };

    #[test]
    fn engines_of_this_machine_tell_of_their_code() {
        let mut seen = 0;
        for (path, version) in engines() {
            let Found::Engine(engine) = find(&std::fs::File::open(&path).unwrap()) else {
                continue;
            };
            seen += 1;
            let (layout, grammar) = (layout(&engine), Grammar::of(&engine));
            // The system's node may be stripped.
            if version.is_none() {
                continue;
            }
            assert_eq!(layout.told, told::BASELINE | told::OPTIMIZED, "{}", path.display());
            let is_cached = engine.version.major == 10;
            let loops = layout.loops;
            assert_eq!(
                (loops.cache != 0, loops.cell != 0),
                (is_cached, !is_cached),
                "{}",
                path.display()
            );
            assert_eq!(layout.group != 0, engine.version.major > 12, "{}", path.display());
            let bytecodes = grammar.bytecodes.unwrap();
            // A prefix, and a load of a small number (`LdaSmi`), of which the operand is wider then.
            assert_eq!(bytecodes.sizes[0][0], 1, "{}", path.display());
            let widths = bytecodes.sizes.each_ref().map(|sizes| sizes.contains(&5));
            assert!(widths[2], "{}", path.display());
            assert!(grammar.translations.is_some(), "{}", path.display());
        }
        if seen == 0 {
            eprintln!("skipped: this machine has no node");
        }
    }

    #[test]
    fn without_tables_nothing_is_told_of_code() {
        let version = |major| Version {
            major,
            minor: 0,
            build: 0,
        };
        let constants = [("type_Code__CODE_TYPE", 240), ("CodeKindBaseline", 11)];
        let mut engine = engine_of(version(10), &constants);
        assert_eq!(layout(&engine).told, 0);
        engine.bytecode_sizes = Some([1, 1, 1, 2].repeat(3).into());
        assert_eq!(layout(&engine).told, told::BASELINE);
        let mut counts = vec![0_u8; 28];
        (counts[3], counts[18], counts[19], counts[20]) = (3, 5, 3, 3);
        let table = |counts: &[u8]| {
            counts
                .iter()
                .flat_map(|&count| u32::from(count).to_le_bytes())
                .collect()
        };
        engine.operand_counts = Some(table(&counts));
        assert_eq!(layout(&engine).told, told::BASELINE | told::OPTIMIZED);
        counts[18] = 4;
        engine.operand_counts = Some(table(&counts));
        assert_eq!(
            layout(&engine).told,
            told::BASELINE,
            "not the operations that are known"
        );
        engine.version = version(13);
        assert_eq!(layout(&engine).told, 0, "it does not say where its table of codes is");
    }

    #[test]
    fn strange_tables_are_refused() {
        for table in [&[1, 1, 1][..], &[1; 13], &[0; 12], &[1; 3 * 257]] {
            assert_eq!(Bytecodes::of(table), None, "{table:?}");
        }
        let version = Version {
            major: 12,
            minor: 4,
            build: 0,
        };
        for table in [&[][..], &[1; 3], &[0xff; 160], &[0; 160]] {
            assert_eq!(Translations::of(version, table), None, "{table:?}");
        }
    }
}
