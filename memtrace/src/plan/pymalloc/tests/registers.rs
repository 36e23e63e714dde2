//! Functions that compare with a register, as position-independent builds do: on which ways it holds the address.

use super::*;

/// What the compiler has put apart of the function that calls.
const PART: u64 = USER + 0x80;

/// `lea function(%rip), register`, where it is in that function; `register` is the byte of the operands.
fn lea(into: u64, register: u8, function: u64) -> Vec<u8> {
    let distance = i32::try_from(function.cast_signed() - (USER + into + 7).cast_signed()).unwrap();
    [&[0x48, 0x8d, register][..], &distance.to_le_bytes()].concat()
}

const RBX: u8 = 0x1d;
const RDX: u8 = 0x15;

/// `mov row(%rip), %rax`; 7 bytes.
const LOAD: [u8; 7] = [0x48, 0x8b, 0x05, 0, 1, 0, 0];
/// `cmp %rbx, %rax`; `jne` over a `ret` to `call *%rax`; `ret`.
const WITH_RBX: [u8; 9] = [0x48, 0x39, 0xd8, 0x75, 1, 0xc3, 0xff, 0xd0, 0xc3];
/// The same with `%rdx`.
const WITH_RDX: [u8; 9] = [0x48, 0x39, 0xd0, 0x75, 1, 0xc3, 0xff, 0xd0, 0xc3];

/// A plan of a file that can be anywhere: `pointers` are what the linker stores in its data, `part` is the second half of the function.
fn placed(user: &[u8], part: &[u8], pointers: &[u64]) -> PymallocPlan {
    assert!(user.len() <= 0x80, "{}", user.len());
    let mut all = user.to_vec();
    all.resize(0x80, 0x90);
    all.extend(part);
    analyse(&*file_of(&all, &[PART], pointers), &FUNCTIONS).unwrap()
}

/// One site of `malloc` with its jump at so many bytes in the function, and nothing that is not understood.
fn assert_site(plan: &PymallocPlan, into: u64, what: &str) {
    let sites = sites(plan);
    assert!(plan.gaps.is_empty(), "{what}: {:?}", plan.gaps);
    assert_eq!((plan.class, sites.len()), (Class::Promoted, 1), "{what}");
    assert_eq!(
        (sites[0].role, sites[0].offset),
        (Role::Malloc, USER - BASE + into),
        "{what}"
    );
    assert_eq!(sites[0].size, Some(Where::register(Register::RSI)), "{what}");
}

fn assert_uncertain(plan: &PymallocPlan, what: &str) {
    assert_eq!((plan.class, sites(plan).len()), (Class::Promoted, 0), "{what}");
    assert!(
        plan.gaps.len() == 1 && plan.gaps[0].contains("not certain"),
        "{what}: {:?}",
        plan.gaps
    );
}

#[test]
fn what_calls_leave_alone_is_known_behind_them() {
    for pointers in [&[][..], &[USER]] {
        // lea malloc, %rbx; call; load; compare
        let kept = [&*lea(0, RBX, OWN[0]), &call(USER + 7, REFILL), &LOAD, &WITH_RBX].concat();
        assert_site(&placed(&kept, &[0xc3], pointers), 22, "rbx");
        let changed = [&*lea(0, RDX, OWN[0]), &call(USER + 7, REFILL), &LOAD, &WITH_RDX].concat();
        assert_uncertain(&placed(&changed, &[0xc3], pointers), "rdx");
        let near = [&*lea(0, RDX, OWN[0]), &LOAD, &WITH_RDX].concat();
        assert_site(&placed(&near, &[0xc3], pointers), 17, "rdx without a call");
    }
}

#[test]
fn a_loop_keeps_it_and_a_way_around_it_does_not() {
    // push %rbx; lea malloc, %rbx; then again and again: call; load; cmp %rbx, %rax; jne to call *%rax; both go back
    let around = [
        &[0x53][..],
        &lea(1, RBX, OWN[0]),
        &call(USER + 8, REFILL),
        &LOAD,
        &[0x48, 0x39, 0xd8, 0x75, 2, 0xeb, 0xed, 0xff, 0xd0, 0xeb, 0xe9],
    ];
    assert_site(&placed(&around.concat(), &[0xc3], &[]), 23, "a loop");
    // test %edi, %edi; je over lea
    let over = [&[0x85, 0xff, 0x74, 7][..], &lea(4, RBX, OWN[0]), &LOAD, &WITH_RBX];
    assert_uncertain(&placed(&over.concat(), &[0xc3], &[]), "a way around");
    // The other way gives the address of another function.
    let other = [
        &[0x85, 0xff, 0x74, 9][..],
        &lea(4, RBX, OWN[0]),
        &[0xeb, 7],
        &lea(13, RBX, OWN[3]),
        &LOAD,
        &WITH_RBX,
    ];
    assert_uncertain(&placed(&other.concat(), &[0xc3], &[]), "one of two");
    // ... or the same.
    let same = [
        &[0x85, 0xff, 0x74, 9][..],
        &lea(4, RBX, OWN[0]),
        &[0xeb, 7],
        &lea(13, RBX, OWN[0]),
        &LOAD,
        &WITH_RBX,
    ];
    assert_site(&placed(&same.concat(), &[0xc3], &[]), 30, "the same twice");
}

#[test]
fn copies_are_followed_and_what_the_stack_keeps_is_not_certain() {
    // mov %rdx, %rbx
    let copied = [&*lea(0, RDX, OWN[0]), &[0x48, 0x89, 0xd3], &LOAD, &WITH_RBX].concat();
    assert_site(&placed(&copied, &[0xc3], &[]), 20, "a copy");
    // movq %rdx, %xmm0; movq %xmm0, %rbx
    let through = [
        &*lea(0, RDX, OWN[0]),
        &[0x66, 0x48, 0x0f, 0x6e, 0xc2, 0x66, 0x48, 0x0f, 0x7e, 0xc3],
        &LOAD,
        &WITH_RBX,
    ];
    assert_site(&placed(&through.concat(), &[0xc3], &[]), 27, "a vector register");
    // mov %rdx, 8(%rsp); mov 8(%rsp), %rbx
    let kept = [
        &*lea(0, RDX, OWN[0]),
        &[0x48, 0x89, 0x54, 0x24, 8, 0x48, 0x8b, 0x5c, 0x24, 8],
        &LOAD,
        &WITH_RBX,
    ];
    assert_uncertain(&placed(&kept.concat(), &[0xc3], &[]), "on the stack");
    // cmpq $0, 8(%rsp) of it asks nothing about a function: the address is used, and no call is.
    let constant = [
        &*lea(0, RDX, OWN[0]),
        &[0x48, 0x89, 0x54, 0x24, 8, 0x48, 0x83, 0x7c, 0x24, 8, 0, 0xc3],
    ]
    .concat();
    let plan = placed(&constant, &[0xc3], &[]);
    assert_eq!(
        (plan.class, plan.gaps.len(), plan.no_calls.len()),
        (Class::Direct, 0, 0)
    );
    // push %rdx; pop %rbx
    let pushed = [&*lea(0, RDX, OWN[0]), &[0x52, 0x5b], &LOAD, &WITH_RBX].concat();
    assert_uncertain(&placed(&pushed, &[0xc3], &[]), "pushed");
    // cmovne %rdx, %rbx
    let perhaps = [&*lea(0, RDX, OWN[0]), &[0x48, 0x0f, 0x45, 0xda], &LOAD, &WITH_RBX].concat();
    assert_uncertain(&placed(&perhaps, &[0xc3], &[]), "under a condition");
    // mov $0, %ebx: the register is another's then, and nothing was done with the address.
    let gone = [&*lea(0, RBX, OWN[0]), &[0xbb, 0, 0, 0, 0], &LOAD, &WITH_RBX].concat();
    let plan = placed(&gone, &[0xc3], &[]);
    assert!(
        plan.gaps.len() == 1 && plan.gaps[0].contains("not understood"),
        "{:?}",
        plan.gaps
    );
}

#[test]
fn parts_that_only_jumps_lead_to_are_of_the_function() {
    let to_part = i32::try_from(PART - (USER + 15)).unwrap().to_le_bytes();
    // lea malloc, %rbx; test %edi, %edi; jne to the part; load; compare
    let user = [
        &*lea(0, RBX, OWN[0]),
        &[0x85, 0xff, 0x0f, 0x85],
        &to_part,
        &LOAD,
        &WITH_RBX,
    ]
    .concat();
    let back = i32::try_from((USER + 15).cast_signed() - (PART + 5).cast_signed()).unwrap();
    let part = [&[0xe9][..], &back.to_le_bytes()].concat();
    assert_site(&placed(&user, &part, &[USER]), 25, "a part");
    // Where its address is taken it may be entered from anywhere, and nothing is certain behind it.
    assert_uncertain(&placed(&user, &part, &[USER, PART]), "a function");
    // Nor where it is not known whose addresses are taken.
    assert_uncertain(&placed(&user, &part, &[]), "either");
}

#[test]
fn tables_of_jumps_lead_to_their_labels() {
    // lea malloc, %rbx; lea a table in data, %rcx; mov (%rcx,%rax,8), %rax; jmp *%rax; label: load; compare
    let user = |table: u64| {
        let table = lea(7, 0x0d, table);
        [
            &*lea(0, RBX, OWN[0]),
            &table,
            &[0x48, 0x8b, 0x04, 0xc1, 0xff, 0xe0],
            &LOAD,
            &WITH_RBX,
        ]
        .concat()
    };
    // The linker's entries are said to be at 8, 16 and so on; the first one makes it a function that is known.
    assert_site(&placed(&user(16), &[0xc3], &[USER, USER + 20]), 30, "a label");
    let plan = placed(&user(8), &[0xc3], &[OWN[1], USER, USER + 20]);
    assert!(
        plan.gaps.len() == 1 && plan.gaps[0].contains("not understood"),
        "no labels: {:?}",
        plan.gaps
    );
}

#[test]
fn nothing_is_behind_a_call_that_does_not_return() {
    // lea malloc, %rbx; test %edi, %edi; je over xor %ebx, %ebx and a call of the part; load; compare
    let user = [
        &*lea(0, RBX, OWN[0]),
        &[0x85, 0xff, 0x74, 7, 0x31, 0xdb],
        &call(USER + 13, PART),
        &LOAD,
        &WITH_RBX,
    ]
    .concat();
    // ud2, a call of what has that, or ret
    assert_site(&placed(&user, &[0x0f, 0x0b], &[USER]), 28, "it ends");
    let deeper = [&*call(PART, PART + 5), &[0x0f, 0x0b]].concat();
    assert_site(&placed(&user, &deeper, &[USER]), 28, "what it calls ends");
    assert_uncertain(&placed(&user, &[0xc3], &[USER]), "it returns");
}
