//! Programs made at random, against gimli's own rows at every address.

use gimli::{BaseAddresses, EhFrame, EndianSlice, LittleEndian, UnwindContext, UnwindSection};
use memtrace_common::unwind::Rule;
use proptest::{collection::vec, prelude::*, sample::select};

use super::{
    super::{Pruning, Table},
    cfi_bytes::{CfiBytes, USUAL},
    elf_file::{EH_FRAME, ElfFile, TEXT},
    meaning::{Registers, of_row, of_rule},
};

/// Bytes of a function.
const LENGTH: u64 = 150;

/// Registers: those that matter, and some that do not.
fn register() -> impl Strategy<Value = u8> {
    select(vec![6_u8, 6, 7, 16, 3, 10])
}

/// A number as ULEB128 or SLEB128, mostly small.
fn number() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => (0_u8..0x80).prop_map(|low| vec![low]),
        1 => (any::<u8>(), 0_u8..0x80).prop_map(|(low, high)| vec![low | 0x80, high]),
        1 => (any::<[u8; 4]>(), 0_u8..0x80).prop_map(|(low, high)| {
            low.into_iter().map(|byte| byte | 0x80).chain([high]).collect()
        }),
    ]
}

/// An expression: one that rules can say, or something else.
fn expression() -> impl Strategy<Value = Vec<u8>> {
    let base = (select(vec![0x76_u8, 0x77, 0x70]), -0x40_i8..0x40)
        .prop_map(|(op, offset)| vec![op, offset.cast_unsigned() & 0x7f]);
    let rest = vec(
        prop_oneof![
            Just(vec![0x06]),
            (0_u8..0x80).prop_map(|plus| vec![0x23, plus]),
            (0x30_u8..0x50).prop_map(|literal| vec![literal, 0x22]),
            any::<i8>().prop_map(|constant| vec![0x09, constant.cast_unsigned(), 0x22]),
            any::<u8>().prop_map(|operation| vec![operation]),
        ],
        0..4,
    );
    let plt =
        (0x30_u8..0x50).prop_map(|threshold| vec![0x77, 8, 0x80, 0, 0x3f, 0x1a, threshold, 0x2a, 0x33, 0x24, 0x22]);
    let expression = prop_oneof![
        4 => (base, rest).prop_map(|(base, rest)| [base, rest.concat()].concat()),
        1 => plt,
    ];
    expression.prop_map(|bytes| [vec![u8::try_from(bytes.len()).unwrap()], bytes].concat())
}

/// One instruction.
fn instruction() -> impl Strategy<Value = Vec<u8>> {
    let with_register =
        |code: u8| (register(), number()).prop_map(move |(register, number)| [vec![code, register], number].concat());
    prop_oneof![
        // advance_loc and its longer forms
        6 => (0_u8..32).prop_map(|delta| vec![0x40 | delta]),
        1 => any::<u8>().prop_map(|delta| vec![2, delta]),
        1 => (0_u16..300).prop_map(|delta| [vec![3], delta.to_le_bytes().to_vec()].concat()),
        1 => (0_u32..300).prop_map(|delta| [vec![4], delta.to_le_bytes().to_vec()].concat()),
        // set_loc
        1 => (0..2 * LENGTH).prop_map(|at| [vec![1], (TEXT + at).to_le_bytes().to_vec()].concat()),
        // offset, restore
        3 => (register(), number()).prop_map(|(register, number)| [vec![0x80 | register], number].concat()),
        1 => register().prop_map(|register| vec![0xc0 | register]),
        // offset_extended, restore_extended, undefined, same_value, register
        1 => with_register(5),
        1 => register().prop_map(|register| vec![6, register]),
        1 => register().prop_map(|register| vec![7, register]),
        1 => register().prop_map(|register| vec![8, register]),
        1 => (register(), register()).prop_map(|(to, from)| vec![9, to, from]),
        // remember_state, restore_state
        2 => Just(vec![0x0a]),
        2 => Just(vec![0x0b]),
        // def_cfa, def_cfa_register, def_cfa_offset and their signed forms
        3 => with_register(0x0c),
        2 => register().prop_map(|register| vec![0x0d, register]),
        3 => number().prop_map(|number| [vec![0x0e], number].concat()),
        1 => with_register(0x12),
        1 => number().prop_map(|number| [vec![0x13], number].concat()),
        // def_cfa_expression, expression, val_expression
        2 => expression().prop_map(|expression| [vec![0x0f], expression].concat()),
        2 => (register(), expression()).prop_map(|(register, expression)| [vec![0x10, register], expression].concat()),
        1 => (register(), expression()).prop_map(|(register, expression)| [vec![0x16, register], expression].concat()),
        // offset_extended_sf, val_offset, val_offset_sf
        1 => with_register(0x11),
        1 => with_register(0x14),
        1 => with_register(0x15),
        // GNU_args_size, and what nobody knows
        1 => number().prop_map(|number| [vec![0x2e], number].concat()),
        1 => any::<u8>().prop_map(|code| vec![code & 0x3f]),
    ]
}

/// Checks a table against gimli at every address of one function.
fn compare(initial: &[u8], instructions: &[u8]) {
    let mut cfi = CfiBytes::eh_frame();
    cfi.cie("", initial);
    let at = cfi.bytes.len();
    cfi.fde(TEXT, LENGTH, false, instructions);
    let file = ElfFile {
        text: vec![0x90; 512],
        eh_frame: cfi.end(),
        ..ElfFile::default()
    };
    let table = Table::build_with(&*file.bytes(), Pruning::None, &[]).unwrap();

    let eh_frame = EhFrame::from(EndianSlice::new(&file.eh_frame, LittleEndian));
    let bases = BaseAddresses::default().set_eh_frame(EH_FRAME);
    let fde = eh_frame
        .fde_from_offset(&bases, at.into(), EhFrame::cie_from_offset)
        .unwrap();
    let mut context = UnwindContext::new();
    let mut described = TEXT;
    if let Ok(mut rows) = fde.rows(&eh_frame, &bases, &mut context) {
        while described < TEXT + LENGTH {
            let row = match rows.next_row() {
                Ok(Some(row)) => row,
                // It allows less than we do.
                Err(gimli::Error::StackFull) => return,
                _ => break,
            };
            for rip in row.start_address()..row.end_address().min(TEXT + LENGTH) {
                let registers = Registers {
                    rip,
                    rsp: 0x7fff_0000_1230,
                    rbp: 0x7fff_0000_4560,
                };
                let rule = table.lookup(rip);
                let (said, simple) = of_row(&eh_frame, row, registers);
                if rule == Rule::UNSUPPORTED {
                    assert!(!simple, "{rip:x}: {row:?}");
                } else {
                    assert_eq!(of_rule(rule, registers), said, "{rip:x}: {row:?}, {rule:?}");
                }
            }
            described = row.end_address();
        }
    }
    for rip in described..TEXT + LENGTH {
        assert_eq!(table.lookup(rip), Rule::UNSUPPORTED, "{rip:x}");
    }
    for rip in (TEXT + LENGTH..TEXT + 512).chain([0, TEXT - 1, TEXT + 512, u64::MAX]) {
        assert_eq!(table.lookup(rip), Rule::NONE, "{rip:x}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn programs_say_what_gimli_says(instructions in vec(instruction(), 0..24)) {
        compare(USUAL, &instructions.concat());
    }

    #[test]
    fn initial_programs_too(
        // gimli lets a function restore what its common part remembered, and looks at addresses there; nobody else does.
        initial in vec(instruction().prop_filter("no place for it", |bytes| !matches!(bytes[0], 0x01 | 0x0a)), 0..6),
        usual: bool,
        instructions in vec(instruction(), 0..6),
    ) {
        let initial = if usual { [USUAL, &initial.concat()].concat() } else { initial.concat() };
        compare(&initial, &instructions.concat());
    }
}
