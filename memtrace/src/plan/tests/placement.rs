//! Prologues of real builds, and such as are put together from instructions whose effects are known.

use iced_x86::Register;
use memtrace_common::Shape;
use proptest::prelude::*;

use super::{
    super::{
        AttachPoint, Cost, Detail, Kind, Placement, Request, analyse, families,
        placement::{HOLDERS, MOST},
    },
    made::{Made, function, near},
};

/// Beginnings of functions as compilers made them, by build: name, bytes, and where the probe belongs.
const PROLOGUES: &str = include_str!("prologues.txt");

const RET: u8 = 0xc3;
const JE: [u8; 2] = [0x74, 0];

/// The placement of the entry probe of `symbol`, which has this code, in a file that has its counterpart too.
fn placed(symbol: &str, code: &[u8]) -> Option<AttachPoint> {
    let frees = families::hook(symbol)?.op.is_free();
    let made = Made::default().with(symbol, code).with(counterpart(frees), &[RET]);
    let analysis = analyse("/lib/made.so", &*made.bytes(), None::<&[u8]>, &Request::default()).ok()?;
    let mut points = analysis.points();
    points
        .find(|point| point.symbol == symbol && point.kind != Kind::Exit)
        .cloned()
}

/// A function that does the opposite.
const fn counterpart(frees: bool) -> &'static str {
    if frees { "malloc" } else { "free" }
}

#[test]
fn prologues_of_real_builds() {
    let mut count = 0;
    for row in PROLOGUES.lines().filter(|row| !row.starts_with('#')) {
        let [build, symbol, bytes, expected] = row.split(" | ").collect::<Vec<_>>()[..] else {
            panic!("{row}");
        };
        let bytes = bytes.split(' ').map(|byte| u8::from_str_radix(byte, 16).unwrap());
        let bytes = without_the_rest(bytes.collect(), expected);
        // What may throw is not looked at without all of its code.
        if let Some(point) = placed(symbol, &[&bytes[..], &[RET]].concat()) {
            assert_eq!(point.placement.to_string(), expected, "{symbol} of {build}");
            assert_eq!(point.offset, function(0) + u64::from(point.placement.beyond));
            count += 1;
        }
    }
    assert!(count > 150, "{count}");
}

/// The bytes up to the instruction that is probed, which leads nowhere: the rest of the function is not here.
fn without_the_rest(mut bytes: Vec<u8>, expected: &str) -> Vec<u8> {
    let Some((beyond, "emulated")) = expected.split_once(' ') else {
        return bytes;
    };
    let at: usize = beyond.parse().unwrap();
    let (opcode, distance) = match bytes[at..] {
        [0x70..=0x7f | 0xeb, ..] => (1, 1),
        [0xe8 | 0xe9, ..] => (1, 4),
        [0x0f, ..] => (2, 4),
        [0x41, ..] => (2, 0),
        _ => (1, 0),
    };
    bytes.truncate(at + opcode);
    bytes.extend(vec![0; distance]);
    bytes
}

fn free(code: &[&[u8]]) -> Placement {
    placed("free", &code.concat()).unwrap().placement
}

const EMULATED: Cost = Cost::Emulated;

#[test]
fn the_entry_does_where_the_kernel_emulates_it() {
    for code in [
        &[0x53][..],
        &[0x41, 0x57],
        &[0x90],
        &JE,
        &near(0xe8, function(0), function(1)),
    ] {
        assert_eq!(free(&[code, &[RET]]), Placement::at_entry(EMULATED), "{code:x?}");
    }
    // The same with prefixes that the kernel's emulation refuses.
    for code in [
        &[0x48, 0x53][..],
        &[0x66, 0x90],
        &[0x66, 0xe9, 0, 0],
        &[0x0f, 0x1f, 0x00],
    ] {
        assert!(free(&[code, &[RET]]) != Placement::at_entry(EMULATED), "{code:x?}");
    }
}

#[test]
fn what_comes_before_the_probe_must_change_nothing_that_matters() {
    let why = |code: &[&[u8]]| match free(code).cost {
        Cost::Stepped(why) => why,
        Cost::Emulated => panic!("{code:x?}"),
    };
    // sub $8,%rsp; mov %rsp,%rbp; xor %edi,%edi; mov %rax,(%rdi); lock decl (%rdi); syscall; ret.
    assert!(why(&[&[0x48, 0x83, 0xec, 8], &JE, &[RET]]).contains("stack or frame pointer"));
    assert!(why(&[&[0x48, 0x89, 0xe5], &JE, &[RET]]).contains("stack or frame pointer"));
    assert!(why(&[&[0x31, 0xff], &JE, &[RET]]).contains("an argument is gone"));
    assert!(why(&[&[0x48, 0x89, 0x07], &JE, &[RET]]).contains("writes to memory"));
    assert!(why(&[&[0xf0, 0xff, 0x0f], &JE, &[RET]]).contains("writes to memory"));
    assert!(why(&[&[0x0f, 0x05], &JE, &[RET]]).contains("ends, branches or calls"));
    assert!(why(&[&[RET]]).contains("ends, branches or calls"));
}

#[test]
fn every_call_comes_by_once() {
    // test %rdi,%rdi; je +0; jmp to the je: a loop through the place.
    let test: &[u8] = &[0x48, 0x85, 0xff];
    let back = free(&[test, &JE, &[0xeb, 0xfc]]);
    assert_eq!(back.cost, Cost::Stepped("code jumps to what follows the entry"));
    // Back to the entry itself it is another call.
    assert_eq!(free(&[test, &JE, &[0xeb, 0xf9]]).cost, EMULATED);
    // jmp *%rax: nobody knows where to. With something on the stack it leads to where something is.
    let anywhere: &[u8] = &[0xff, 0xe0];
    assert!(matches!(free(&[test, &JE, anywhere]).cost, Cost::Stepped(why) if why.contains("cannot be told")));
    assert_eq!(free(&[test, &JE, &[0x53], anywhere]).cost, EMULATED);
    assert!(matches!(
        free(&[test, &JE, &[0x53, 0x5b], anywhere]).cost,
        Cost::Stepped(_)
    ));
    // Another hook that jumps behind the entry.
    let target = function(0) + 3;
    let other = Made::default()
        .with("free", &[test, &JE, &[RET]].concat())
        .with("malloc", &near(0xe9, function(1), target));
    let analysis = analyse("/lib/made.so", &*other.bytes(), None::<&[u8]>, &Request::default()).unwrap();
    let free = analysis.points().find(|point| point.symbol == "free").unwrap();
    assert!(matches!(free.placement.cost, Cost::Stepped(_)), "{free:?}");
}

/// An instruction with the registers that it changes, and the one that it copies to another.
type Known = (&'static [u8], &'static [Register], Option<(Register, Register)>);

const HARMLESS: [Known; 8] = [
    (&[0xf3, 0x0f, 0x1e, 0xfa], &[], None),
    (&[0x48, 0x85, 0xff], &[], None),
    (&[0x48, 0x8b, 0x47, 0xf8], &[Register::RAX], None),
    (&[0x31, 0xd2], &[Register::RDX], None),
    (
        &[0x48, 0x89, 0xfe],
        &[Register::RSI],
        Some((Register::RDI, Register::RSI)),
    ),
    (
        &[0x48, 0x89, 0xf0],
        &[Register::RAX],
        Some((Register::RSI, Register::RAX)),
    ),
    (&[0x48, 0x8b, 0x3e], &[Register::RDI], None),
    (
        &[0x49, 0x89, 0xfa],
        &[Register::R10],
        Some((Register::RDI, Register::R10)),
    ),
];

proptest! {
    // Follows the argument by the table above, and not by what the disassembler says.
    #[test]
    fn the_argument_is_where_the_probe_is_told(picks in prop::collection::vec(0..HARMLESS.len(), 0..9)) {
        let mut holds = [false; 8];
        holds[0] = true;
        let index = |register| HOLDERS.iter().position(|&holder| holder == register).unwrap();
        let mut code = Vec::new();
        for pick in picks {
            let (bytes, changed, copied) = HARMLESS[pick];
            code.extend(bytes);
            let moved = copied.map(|(from, to)| (holds[index(from)], to));
            for &register in changed {
                holds[index(register)] = false;
            }
            if let Some((true, to)) = moved {
                holds[index(to)] = true;
            }
        }
        let beyond = u16::try_from(code.len()).unwrap();
        code.extend(JE);
        code.push(RET);
        let point = placed("free", &code).unwrap();
        match holds.iter().position(|&held| held) {
            None => prop_assert!(matches!(point.placement.cost, Cost::Stepped(why) if why.contains("argument"))),
            Some(first) => {
                prop_assert_eq!(point.placement, Placement { beyond, cost: Cost::Emulated });
                let Detail::Shape(shape) = point.detail else { unreachable!() };
                prop_assert_eq!(shape, Shape { old: u8::try_from(first).ok(), ..Shape::default() });
            }
        }
    }

    #[test]
    fn any_bytes_have_a_place(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Some(point) = placed("free", &bytes) {
            prop_assert!(usize::from(point.placement.beyond) < 15 * MOST);
        }
    }
}
