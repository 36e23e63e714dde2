//! Files that were made for the test, whole and damaged. Those of this machine are in `memtrace/tests/plan_files.rs`.

mod machine;
mod made;
mod once;
mod one_trap;
mod placement;

use memtrace_common::{Cookie, Exits};
use proptest::prelude::*;

use self::made::{Made, by_slot, function, near};
use super::*;

const RET: u8 = 0xc3;

fn analysed(made: &Made) -> Analysis {
    analysed_with(made, &[])
}

fn analysed_with(made: &Made, pairs: &[&str]) -> Analysis {
    let request = Request {
        pairs: pairs.iter().map(|pair| Pair::parse(pair).unwrap()).collect(),
        ..Request::default()
    };
    analyse("/lib/made.so", &*made.bytes(), None::<&[u8]>, &request).unwrap()
}

/// A library with `malloc` as its first function and `free` as the second.
fn basic() -> Made {
    Made::default().with("malloc", &[RET]).with("free", &[RET])
}

/// What is hooked.
fn hooks(analysis: &Analysis) -> Vec<&str> {
    let hooks = analysis.allocators.iter().flat_map(|found| &found.hooks);
    hooks.map(String::as_str).collect()
}

fn exits(analysis: &Analysis, symbol: &str) -> Vec<u64> {
    let points = analysis.points().filter(|point| point.symbol == symbol);
    points
        .filter(|point| point.kind == Kind::Exit)
        .map(|point| point.offset)
        .collect()
}

#[test]
fn both_ends_are_needed() {
    assert_eq!(hooks(&analysed(&basic())), ["malloc", "free"]);
    let alone = analysed(&Made::default().with("malloc", &[RET]));
    assert!(
        alone.allocators.is_empty() && alone.unhooked[0].contains("no function that frees"),
        "{alone:?}"
    );
    assert_eq!(
        analysed(&Made::default().with("free", &[RET])),
        analysed(&Made::default())
    );
}

#[test]
fn allocators_behind_prefixes_are_told_apart() {
    let analysis = analysed(&basic().with("_rjem_malloc", &[RET]).with("_rjem_free", &[RET]));
    let names: Vec<_> = analysis.allocators.iter().map(|found| found.name.as_str()).collect();
    assert_eq!(names, ["unknown allocator", "jemalloc (_rjem_)"]);
    let frees = analysis.points().take(2).all(|point| point.kind == Kind::Free);
    assert!(frees, "what frees is attached first");
    let merged = analysed(&basic().with("mi_malloc", &[RET]).with("mi_heap_malloc", &[RET]));
    assert_eq!(merged.allocators.len(), 1);
    assert_eq!(hooks(&merged), ["malloc", "free", "mi_malloc", "mi_heap_malloc"]);
}

#[test]
fn what_is_chosen_at_run_time_is_told_and_not_hooked() {
    let analysis = analysed(&basic().with_indirect("calloc"));
    assert_eq!(hooks(&analysis), ["malloc", "free"]);
    assert_eq!(
        analysis.unhooked,
        ["calloc of /lib/made.so is not hooked: its code is chosen at run time (IFUNC)"]
    );
}

#[test]
fn what_passes_its_request_on_is_not_hooked() {
    let at = function(2);
    let calls = |target| [near(0xe8, at, target), vec![RET]].concat();
    // call malloc; ret
    let direct = calls(function(0));
    // endbr64; jmp malloc
    let jump = [vec![0xf3, 0x0f, 0x1e, 0xfa], near(0xe9, at + 4, function(0))].concat();
    // test rax, rax; jne +1; nop; call malloc; test rax, rax; je -10: back to the call; ret
    let either = [
        vec![0x48, 0x85, 0xc0, 0x75, 0x01, 0x90],
        near(0xe8, at + 6, function(0)),
        vec![0x48, 0x85, 0xc0, 0x74, 0xf6, RET],
    ]
    .concat();
    for code in [direct, jump, either] {
        assert_eq!(
            hooks(&analysed(&basic().with("_Znwm", &code))),
            ["malloc", "free"],
            "{code:x?}"
        );
    }
    // By way of a local function, and of an import's slot.
    let inner = [near(0xe8, function(3), function(0)), vec![RET]].concat();
    let analysis = analysed(&basic().with("_Znwm", &calls(function(3))).with("local", &inner));
    assert_eq!(hooks(&analysis), ["malloc", "free"]);
    let imported = [by_slot(0x15, function(0), 0), vec![RET]].concat();
    let delete = by_slot(0x25, function(1), 1);
    let analysis = analysed(
        &Made::default()
            .with("_Znwm", &imported)
            .with("_ZdlPv", &delete)
            .importing("malloc")
            .importing("free"),
    );
    assert_eq!(
        (hooks(&analysis).len(), analysis.unhooked.len()),
        (0, 0),
        "{analysis:?}"
    );
}

#[test]
fn what_may_return_without_is_hooked() {
    let at = function(2);
    // test rdi, rdi; je +5: over the call; call malloc; ret
    let fast = [
        vec![0x48, 0x85, 0xff, 0x74, 0x05],
        near(0xe8, at + 5, function(0)),
        vec![RET],
    ]
    .concat();
    // call free; ret: of the wrong kind
    let other = [near(0xe8, at, function(1)), vec![RET]].concat();
    for code in [fast, other, vec![RET]] {
        let analysis = analysed(&basic().with("_Znwm", &code));
        assert_eq!(hooks(&analysis), ["malloc", "free", "_Znwm"], "{code:x?}");
    }
    // A C function may return another address than it was given.
    let inner = [near(0xe8, at, function(0)), vec![RET]].concat();
    assert!(hooks(&analysed(&basic().with("aligned_alloc", &inner))).contains(&"aligned_alloc"));
    // One of two that call each other stays.
    let loops = |index, target| [near(0xe8, function(index), function(target)), vec![RET]].concat();
    let analysis = analysed(&basic().with("_Znwm", &loops(2, 3)).with("_Znam", &loops(3, 2)));
    assert_eq!(hooks(&analysis).len(), 3, "{analysis:?}");
}

#[test]
fn returns_of_what_may_throw_are_found_one_by_one() {
    let at = function(2);
    // test rdi, rdi; je +1: over the first; ret; jmp local
    let code = [vec![0x48, 0x85, 0xff, 0x74, 0x01, RET], near(0xe9, at + 6, function(3))].concat();
    // local: nop; ret
    let analysis = analysed(&basic().with("_Znwm", &code).with("local", &[0x90, RET]));
    assert_eq!(exits(&analysis, "_Znwm"), [at + 5, function(3) + 1]);
    let points: Vec<_> = analysis.points().filter(|point| point.symbol == "_Znwm").collect();
    assert_eq!(
        points.last().unwrap().kind,
        Kind::Allocate,
        "exits come before the entry"
    );
    for point in points {
        let cookie = Cookie::unpack(point.cookie(7)).unwrap();
        assert_eq!(
            (cookie.op, cookie.hook, cookie.shape().exits),
            (Op::New, 7, Exits::Instructions)
        );
    }
    assert!(exits(&analysis, "malloc").is_empty());
    // Nothing follows a function that does not return: the second `ret` is not reached.
    let throws = [
        vec![0x48, 0x85, 0xff, 0x74, 0x01, RET],
        by_slot(0x15, at + 6, 0),
        vec![RET],
    ]
    .concat();
    let analysis = analysed(&basic().with("_Znwm", &throws).importing("__cxa_throw"));
    assert_eq!(exits(&analysis, "_Znwm"), [at + 5]);
}

#[test]
fn what_may_throw_and_cannot_be_followed_is_told() {
    let at = function(2);
    let or_jump = |jump: Vec<u8>| [vec![0x48, 0x85, 0xff, 0x74, 0x01, RET], jump].concat();
    for (code, reason) in [
        // jmp rax
        (or_jump(vec![0xff, 0xe0]), "where cannot be told"),
        (or_jump(near(0xe9, at + 6, function(0))), "another hook"),
        (or_jump(by_slot(0x25, at + 6, 0)), "another file"),
        ([[0x74, 0x01, RET].repeat(33), vec![RET]].concat(), "too many places"),
        ([&[0x90; 255][..]].concat(), "is too long"),
        // Not an instruction.
        (vec![0x06], "cannot be read"),
        // jmp to itself
        (vec![0xeb, 0xfe], "returns nowhere"),
    ] {
        let mut made = basic().importing("elsewhere").with("_Znwm", &code);
        for index in 0..17 {
            made = made.with(&format!("more{index}"), &[0x90; 256]);
        }
        let analysis = analysed(&made);
        assert_eq!(hooks(&analysis), ["malloc", "free"], "{reason}");
        assert!(
            analysis.unhooked[0].contains(reason),
            "{reason}: {:?}",
            analysis.unhooked
        );
    }
}

#[test]
fn pairs_are_looked_for_where_the_user_says() {
    let made = Made::default()
        .with("take", &[0x48, 0x89, 0xf8, RET])
        .with("give", &[RET])
        .with("_Z4takem", &[RET])
        .with_indirect("late");
    let halves = |pair: &str| {
        let analysis = analysed_with(&made, &[pair]);
        let halves = analysis.pairs[0].clone();
        (analysis, halves.alloc.1, halves.free.1)
    };
    let (analysis, alloc, free) = halves("take:made.so!give:1*2");
    assert_eq!((alloc, free), (Half::Found, Half::Found));
    assert_eq!(analysis.allocators[0].name, "pair take:made.so!give:1*2");
    let points: Vec<_> = analysis
        .points()
        .map(|point| (point.op, point.offset, point.detail))
        .collect();
    assert_eq!(
        points,
        [
            (Op::PairFree, function(1), Detail::Shape(table::block(0))),
            (Op::PairAlloc, function(0), Detail::Shape(table::product(1, 2))),
        ]
    );
    let (analysis, ..) = halves("_Z4takem:give");
    assert_eq!(exits(&analysis, "_Z4takem"), [function(2)]);
    let refused = |half| match half {
        Half::Refused(reason) => reason,
        _ => panic!("{half:?}"),
    };
    let (_, alloc, free) = halves("made.so+0x1000:other.so!give");
    assert_eq!((alloc, free), (Half::Found, Half::Absent));
    let (_, alloc, free) = halves("made.so+0xfffff:late");
    assert!(refused(alloc).contains("no code") && refused(free).contains("IFUNC"));
}

/// A note of a static probe at the first function.
fn probe(name: &str, arguments: &str) -> Vec<u8> {
    let names = format!("otel_memory\0{name}\0{arguments}\0");
    let size = u32::try_from(24 + names.len()).unwrap();
    let mut note: Vec<u8> = [8, size, 3].into_iter().flat_map(u32::to_le_bytes).collect();
    note.extend(b"stapsdt\0");
    note.extend([function(0), 0, 0x8010].into_iter().flat_map(u64::to_le_bytes));
    note.extend(names.as_bytes());
    note.resize(note.len().next_multiple_of(4), 0);
    note
}

#[test]
fn static_probes_are_an_allocator() {
    let alloc = probe("alloc", "8@%rax -8@-16(%rbp) 8@%r12");
    let free = probe("free", "8@%rdi");
    let made = Made::default().with("sampled", &[0x90, RET]);
    let analysis = analysed(&made.clone().noting(&alloc).noting(&free));
    assert_eq!(analysis.allocators[0].name, "otel_memory");
    let kinds: Vec<_> = analysis
        .points()
        .map(|point| (point.kind, point.offset, point.semaphore))
        .collect();
    assert_eq!(
        kinds,
        [
            (Kind::StaticFree, function(0), 0x8010),
            (Kind::StaticAlloc, function(0), 0x8010)
        ]
    );
    let cookie = Cookie::unpack(analysis.points().last().unwrap().cookie(3)).unwrap();
    assert_eq!(
        (cookie.op, cookie.operand(1).offset, cookie.operand(2).register),
        (Op::OtelAlloc, Some(-16), 12)
    );

    let one = analysed(&made.clone().noting(&alloc));
    assert!(one.allocators.is_empty() && one.unhooked[0].contains("both"), "{one:?}");
    for (arguments, reason) in [
        ("8@$5 8@%rax 8@%rax", "8@$5"),
        ("8@%rax", "1 arguments instead of 3"),
        ("8@2000(%rax) 8@%rax 8@%rax", "too far"),
    ] {
        let analysis = analysed(&made.clone().noting(&probe("alloc", arguments)).noting(&free));
        assert!(analysis.unhooked[0].contains(reason), "{:?}", analysis.unhooked);
    }
}

#[test]
fn strings_tell_of_an_allocator_without_symbols() {
    let analysis = analysed(&Made::default().saying("abc\0<jemalloc>: Error\0"));
    assert!(analysis.unhooked[0].contains("jemalloc") && analysis.unhooked[0].contains("--pair"));
    let named = analysed(&basic().saying("<jemalloc>: "));
    assert_eq!(
        (named.allocators[0].name.as_str(), named.unhooked.len()),
        ("jemalloc", 0)
    );
}

#[test]
fn a_debug_file_adds_its_symbols() {
    let stripped = Made::default().bytes();
    let debug = basic().bytes();
    let analysis = analyse("/bin/x", &*stripped, Some(&*debug), &Request::default()).unwrap();
    assert_eq!(hooks(&analysis), ["malloc", "free"]);
    // A damaged one takes nothing away.
    let analysis = analyse("/bin/x", &*debug, Some(&debug[..100]), &Request::default()).unwrap();
    assert_eq!(hooks(&analysis), ["malloc", "free"]);
}

#[test]
fn the_dynamic_loader_is_left_alone() {
    let bytes = basic().bytes();
    let analyse = |path| analyse(path, &*bytes, None::<&[u8]>, &Request::default()).unwrap();
    assert!(analyse("/lib64/ld-linux-x86-64.so.2").allocators.is_empty());
    assert_eq!(analyse("/lib/ld-musl-x86_64.so.1").allocators[0].name, "musl");
}

proptest! {
    #[test]
    fn damaged_files_are_errors_not_panics(damage in prop::collection::vec((0usize..0xb000, any::<u8>()), 1..40), cut: u16) {
        let at = function(2);
        let made = basic()
            .with("_Znwm", &near(0xe8, at, function(3)))
            .with("local", &[near(0xe8, function(3), function(0)), vec![RET]].concat())
            .with("_Znam", &by_slot(0x25, function(4), 0))
            .importing("malloc")
            .noting(&probe("alloc", "8@%rax 8@%rax 8@%rax"))
            .noting(&probe("free", "8@%rax"));
        let mut bytes = made.bytes();
        for (at, byte) in damage {
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
        }
        if cut % 4 == 0 {
            bytes.truncate(usize::from(cut));
        }
        let request = Request { pairs: vec![Pair::parse("_Znam:made+0x1000").unwrap()], ..Request::default() };
        let _either = analyse("/lib/made", &*bytes, Some(&*bytes), &request);
    }

    #[test]
    fn any_code_can_be_followed(code in prop::collection::vec(any::<u8>(), 0..256), other in prop::collection::vec(any::<u8>(), 0..256)) {
        let analysis = analysed(&basic().with("_Znwm", &code).with("_Znam", &other).with("_ZdlPv", &other));
        for point in analysis.points().filter(|point| point.kind == Kind::Exit) {
            prop_assert!(point.offset >= function(0));
        }
    }
}
