//! Small files in which every byte is known: what is a site, what is none, and what damage makes of it.

use iced_x86::Register;
use memtrace_common::{Cookie, Op};
use proptest::prelude::*;

use super::*;
use crate::plan;

/// Where the code begins, in the file and in its own addresses.
const CODE: u64 = 0x1000;
const BASE: u64 = 0x40_0000;
const OWN: [u64; 4] = [BASE + 0x1000, BASE + 0x1100, BASE + 0x1200, BASE + 0x1300];
const RAW_MALLOC: u64 = BASE + 0x1400;
const REFILL: u64 = BASE + 0x1500;
/// A function that calls.
const USER: u64 = BASE + 0x1600;
const END: u64 = BASE + 0x1700;

const FUNCTIONS: Functions = Functions {
    own: OWN,
    raw: [RAW_MALLOC; 4],
};

fn call(from: u64, to: u64) -> Vec<u8> {
    let distance = i32::try_from(to.cast_signed() - from.cast_signed() - 5).unwrap();
    [&[0xe8][..], &distance.to_le_bytes()].concat()
}

/// `cmp $function, %rax`
fn compare(function: u64) -> Vec<u8> {
    [&[0x48, 0x3d][..], &u32::try_from(function).unwrap().to_le_bytes()].concat()
}

/// A file with an allocator and a function that calls it.
fn file(user: &[u8]) -> Vec<u8> {
    file_of(user, &[], &[])
}

/// The same, with functions or parts that begin further on; and, for one that can be anywhere, with what the linker stores in its data.
fn file_of(user: &[u8], further: &[u64], pointers: &[u64]) -> Vec<u8> {
    let mut file = vec![0; 0x1700];
    let mut put = |svma: u64, bytes: &[u8]| {
        let at = usize::try_from(svma - BASE).unwrap();
        file[at..at + bytes.len()].copy_from_slice(bytes);
    };
    // push %rbx; cmp $0x1ff, %rax; ja to the call of the raw one; call refill; ret; call raw; ret
    let malloc = [
        &[0x53, 0x48, 0x3d, 0xff, 1, 0, 0, 0x77, 6][..],
        &call(OWN[0] + 9, REFILL),
        &[0xc3],
        &call(OWN[0] + 15, RAW_MALLOC),
        &[0xc3],
    ];
    put(OWN[0], &malloc.concat());
    put(OWN[1], &[0x53, 0xc3]);
    put(OWN[2], &[0x53, 0xc3]);
    // test %rsi, %rsi; je to the end; ret
    put(OWN[3], &[0x48, 0x85, 0xf6, 0x74, 1, 0x90, 0xc3]);
    put(RAW_MALLOC, &[0xc3]);
    put(REFILL, &[0x53, 0xc3]);
    put(USER, user);
    let starts = [
        &[OWN[0], OWN[1], OWN[2], OWN[3], RAW_MALLOC, REFILL, USER][..],
        further,
        &[END],
    ]
    .concat();
    let table_at = file.len() as u64;
    file.extend([1, 0x1b, 0x03, 0x3b, 0, 0, 0, 0]);
    file.extend(u32::try_from(starts.len()).unwrap().to_le_bytes());
    for start in starts {
        let distance = i32::try_from(start.cast_signed() - (BASE + table_at).cast_signed()).unwrap();
        file.extend(distance.to_le_bytes());
        file.extend([0; 4]);
    }
    let words = |words: &[u64]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
    let size = file.len() as u64 - table_at;
    let relocations_at = file.len() as u64;
    for (index, pointer) in pointers.iter().enumerate() {
        // r_offset, R_X86_64_RELATIVE, r_addend
        file.extend(words(&[8 * (index as u64 + 1), 8, *pointer]));
    }
    let sections_at = file.len() as u64;
    let sections = if pointers.is_empty() { 0 } else { 2 };
    if sections != 0 {
        // That of no section, and SHT_RELA.
        file.extend([0; 64]);
        file.extend([0, 0, 0, 0, 4, 0, 0, 0]);
        file.extend(words(&[0, 0, relocations_at, sections_at - relocations_at, 0, 8, 24]));
    }
    let header = [
        &b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0"[..],
        &[2, 0, 62, 0, 1, 0, 0, 0],
        &words(&[0, 64, if sections == 0 { 0 } else { sections_at }]),
        &[0, 0, 0, 0, 64, 0, 56, 0, 2, 0, 64, 0, sections, 0, 0, 0],
        // What can be executed, and the table for unwinding.
        &[1, 0, 0, 0, 5, 0, 0, 0],
        &words(&[CODE, BASE + CODE, 0, 0x700, 0x700, 4096]),
        &[0x50, 0xe5, 0x74, 0x64, 4, 0, 0, 0],
        &words(&[table_at, BASE + table_at, 0, size, size, 4]),
    ];
    let header = header.concat();
    file[..header.len()].copy_from_slice(&header);
    file
}

fn plan(user: &[u8]) -> PymallocPlan {
    analyse(&*file(user), &FUNCTIONS).unwrap()
}

fn sites(plan: &PymallocPlan) -> Vec<&Point> {
    plan.points.iter().filter(|point| point.kind == Kind::Site).collect()
}

/// `mov row(%rip), %rax`, a comparison, `between`, `jne` over a `ret` to `other`, `call *%rax`, `ret`.
fn user(function: u64, between: &[u8], other: &[u8]) -> Vec<u8> {
    let load = [0x48, 0x8b, 0x05, 0, 1, 0, 0];
    [
        &load,
        &*compare(function),
        between,
        &[0x75, 1, 0xc3],
        other,
        &[0xff, 0xd0, 0xc3],
    ]
    .concat()
}

/// Where the jump of [`user`] is in the file, without anything between.
const JUMP: u64 = USER - BASE + 13;

#[test]
fn without_comparisons_the_functions_are_all() {
    // A direct call is seen at the function.
    let plan = plan(&[&*call(USER, OWN[0]), &[0xc3]].concat());
    assert_eq!((plan.class, plan.points.len(), plan.gaps.len()), (Class::Direct, 4, 0));
    let at = |role: Role| plan.points.iter().find(|point| point.role == role).unwrap();
    let rsi = Some(Where::register(Register::RSI));
    let rdx = Some(Where::register(Register::RDX));
    assert_eq!((at(Role::Malloc).offset, at(Role::Malloc).size), (CODE, rsi));
    assert_eq!((at(Role::Calloc).count, at(Role::Calloc).size), (rsi, rdx));
    assert_eq!((at(Role::Realloc).old, at(Role::Realloc).size), (rsi, rdx));
    assert_eq!((at(Role::Free).offset, at(Role::Free).old), (CODE + 0x303, rsi));
    assert_eq!(plan.refill.unwrap().0, REFILL - BASE);
}

#[test]
fn pools_are_taken_in_one_place_whatever_is_in_line() {
    for user in [&[0xc3][..], &user(OWN[0], &[], &[])] {
        let pools = Pools::find("python".to_owned(), &*file(user), &FUNCTIONS, 16384).unwrap();
        let point = pools.point();
        assert_eq!(
            (point.offset, point.kind, point.op),
            (REFILL - BASE, plan::Kind::Pool, Op::Pool)
        );
        assert_eq!(Cookie::unpack(point.cookie(3)).unwrap().pool_bytes(), 16384);
        assert!(!point.only_takes(), "it stays");
    }
    // All that malloc does is elsewhere.
    let elsewhere = Functions {
        own: [OWN[1], OWN[0], OWN[2], OWN[3]],
        ..FUNCTIONS
    };
    let refused = Pools::find("python".to_owned(), &*file(&[0xc3]), &elsewhere, 4096);
    assert!(refused.unwrap_err().contains("as in 3.8"));
}

#[test]
fn arguments_are_where_the_other_way_takes_them_from() {
    let size = |other: &[u8]| {
        let plan = plan(&user(OWN[0], &[], other));
        assert_eq!((plan.class, plan.gaps.as_slice()), (Class::Promoted, &[][..]));
        let sites = sites(&plan);
        assert_eq!((sites.len(), sites[0].role, sites[0].offset), (1, Role::Malloc, JUMP));
        assert_eq!(sites[0].placement.cost, placement::Cost::Emulated);
        sites[0].size.unwrap().to_string()
    };
    assert_eq!(size(&[]), "rsi");
    assert_eq!(size(&[0x48, 0x89, 0xde]), "rbx", "mov %rbx, %rsi");
    assert_eq!(size(&[0xbe, 0x38, 0, 0, 0]), "56", "mov $56, %esi");
    assert_eq!(size(&[0x89, 0xde]), "rbx (32 bits)", "mov %ebx, %esi");
    assert_eq!(size(&[0x48, 0x8d, 0x75, 0x18]), "rbp+24", "lea 24(%rbp), %rsi");
    assert_eq!(
        size(&[0x48, 0x8b, 0x74, 0x24, 0x10]),
        "rsp+16 in memory",
        "mov 16(%rsp), %rsi"
    );
    assert_eq!(
        size(&[0x53, 0x48, 0x8b, 0x34, 0x24]),
        "rbx",
        "push %rbx; mov (%rsp), %rsi"
    );
    assert_eq!(
        size(&[0x53, 0x48, 0x8b, 0x74, 0x24, 0x18]),
        "rsp+16 in memory",
        "push; mov 24(%rsp), %rsi"
    );
    assert_eq!(
        size(&[0x44, 0x89, 0x4c, 0x24, 0x50, 0x48, 0x8b, 0x74, 0x24, 0x40]),
        "rsp+64 in memory",
        "mov %r9d, 80(%rsp); mov 64(%rsp), %rsi"
    );
    assert_eq!(
        size(&[0x31, 0xf6, 0x48, 0x83, 0xc6, 8]),
        "8",
        "xor %esi, %esi; add $8, %rsi"
    );
}

#[test]
fn all_four_and_the_other_order() {
    for (role, function) in ROLES.into_iter().zip(OWN) {
        let plan = plan(&user(function, &[0x48, 0x89, 0xdf], &[]));
        let sites = sites(&plan);
        assert_eq!((sites.len(), sites[0].role, sites[0].offset), (1, role, JUMP + 3));
    }
    // cmp; je over the call; call *%rax; ret; ret
    let equal = [&*compare(OWN[3]), &[0x74, 3, 0xff, 0xd0, 0xc3, 0xc3]].concat();
    let plan = plan(&equal);
    assert_eq!(sites(&plan)[0].old, Some(Where::register(Register::RSI)));
    // cmpq $free, row(%rip); jne; ret; jmp *row(%rip)
    let in_memory = [
        &[0x48, 0x81, 0x3d, 0, 1, 0, 0][..],
        &OWN[3].to_le_bytes()[..4],
        &[0x75, 1, 0xc3, 0xff, 0x25, 0xf7, 0, 0, 0],
    ]
    .concat();
    assert_eq!(sites(&self::plan(&in_memory))[0].offset, USER - BASE + 11);
}

#[test]
fn what_cannot_be_proven_is_said() {
    for (code, reason) in [
        (user(OWN[0], &[0x48, 0x83, 0xc1, 1], &[]), "no jump is behind"),
        (user(OWN[0], &[0x48, 0x89, 0xd8], &[]), "something else is done"),
        (user(OWN[0], &[0x89, 0x07], &[]), "something else is done"),
        (user(OWN[0], &[], &[0x48, 0x89, 0xd8]), "another function is called"),
        (user(OWN[0], &[], &[0x0f, 0x0b]), "does not lead to a call"),
        (
            user(OWN[0], &[], &call(USER + 16, REFILL)),
            "another function is called",
        ),
        (user(OWN[0], &[], &[0x74, 0]), "several ways"),
        (user(OWN[0], &[], &[0x48, 0x8b, 0x37]), "where an argument is"),
        // mov %r9d, 12(%rsp); mov 8(%rsp), %rsi
        (
            user(OWN[0], &[], &[0x44, 0x89, 0x4c, 0x24, 12, 0x48, 0x8b, 0x74, 0x24, 8]),
            "where an argument is",
        ),
        (user(OWN[0], &[], &[0x48, 0x0f, 0xaf, 0xf3]), "where an argument is"),
        (
            [&*user(OWN[0], &[], &[]), &[0xeb, 0xf8]].concat(),
            "code jumps to between",
        ),
        (
            [&*compare(OWN[0]), &[0x72, 1, 0xc3, 0xff, 0xd0, 0xc3]].concat(),
            "something else than equality",
        ),
    ] {
        let plan = plan(&code);
        assert_eq!((sites(&plan).len(), plan.class), (0, Class::Promoted), "{reason}");
        assert!(
            plan.gaps.len() == 1 && plan.gaps[0].contains(reason),
            "{reason}: {:?}",
            plan.gaps
        );
    }
}

#[test]
fn a_question_is_no_call() {
    // cmp; jne over a call of anything; xor %eax, %eax; ret
    let code = [
        &*compare(OWN[0]),
        &[0x75, 6],
        &*call(USER + 8, REFILL),
        &[0xc3, 0x31, 0xc0, 0xc3],
    ]
    .concat();
    let plan = plan(&code);
    assert_eq!(
        (plan.class, plan.points.len(), plan.gaps.len(), plan.no_calls.len()),
        (Class::Direct, 4, 0, 1)
    );
}

#[test]
fn addresses_in_registers_are_understood_or_said() {
    let give = [&[0xb9][..], &OWN[0].to_le_bytes()[..4]].concat();
    // mov $malloc, %ecx; mov %rcx, (%rdi): a row is made.
    let stored = plan(&[&*give, &[0x48, 0x89, 0x0f, 0xc3]].concat());
    assert_eq!((stored.class, stored.gaps.len()), (Class::Direct, 0));
    let compared = plan(&[&*give, &[0x48, 0x39, 0xc8, 0x75, 1, 0xc3, 0xff, 0xd0, 0xc3]].concat());
    assert_eq!((compared.class, compared.gaps.len()), (Class::Promoted, 0));
    assert_eq!(sites(&compared)[0].offset, USER - BASE + 8);
    let copied = plan(&[&*give, &[0x48, 0x89, 0xcb, 0xc3]].concat());
    assert!(
        copied.gaps.len() == 1 && copied.gaps[0].contains("not understood"),
        "{:?}",
        copied.gaps
    );
}

#[test]
fn addresses_that_are_no_functions_are_refused() {
    let bytes = file(&[0xc3]);
    for own in [
        [OWN[0]; 4],
        [OWN[0] + 1, OWN[1], OWN[2], OWN[3]],
        [0, OWN[1], OWN[2], OWN[3]],
    ] {
        assert!(analyse(&*bytes, &Functions { own, ..FUNCTIONS }).is_err());
    }
    assert!(analyse(&bytes[..100], &FUNCTIONS).is_err());
    let mut other = bytes;
    // The form of the table's entries.
    other[0x1702] = 0x0b;
    assert!(analyse(&*other, &FUNCTIONS).is_err());
}

proptest! {
    #[test]
    fn damage_makes_no_site_that_is_none(
        damage in prop::collection::vec((0..22_usize, any::<u8>()), 1..4),
        other in prop_oneof![Just(vec![0x48, 0x89, 0xde]), Just(vec![0xbe, 0x38, 0, 0, 0]), Just(vec![])],
    ) {
        let mut code = user(OWN[0], &[], &other);
        for (at, byte) in damage {
            let at = at % code.len();
            code[at] = byte;
        }
        let Ok(plan) = analyse(&*file(&code), &FUNCTIONS) else { return Ok(()) };
        for site in sites(&plan) {
            let at = usize::try_from(site.offset - (USER - BASE)).unwrap();
            // The jump is about equality, and before it is a comparison with one of the functions.
            prop_assert!(matches!(code[at], 0x74 | 0x75), "{code:x?}");
            let before = &code[..at];
            let compared = OWN.iter().any(|own| {
                let wanted = u32::try_from(*own).unwrap().to_le_bytes();
                before.windows(4).any(|window| window == wanted)
            });
            prop_assert!(compared, "{code:x?}");
            // On the way where they are not equal is a call by a pointer.
            prop_assert!(code.windows(2).any(|two| two[0] == 0xff && matches!(two[1] & 0x30, 0x10 | 0x20)), "{code:x?}");
            prop_assert_eq!(site.placement.cost, placement::Cost::Emulated);
        }
    }

    #[test]
    fn a_damaged_file_is_survived(at in 0..0x1770_usize, byte: u8) {
        let mut bytes = file(&user(OWN[0], &[], &[]));
        if let Some(place) = bytes.get_mut(at) {
            *place = byte;
        }
        let _ = analyse(&*bytes, &FUNCTIONS);
    }
}

mod registers;
