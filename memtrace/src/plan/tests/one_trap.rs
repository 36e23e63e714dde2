//! What goes with one probe that sees whole allocations: the points that check it, and the pair that can take its place.

use memtrace_common::{Exits, Shape, cookie::STEPPED};

use super::{
    super::{AttachPoint, Checking, Cost, Detail, Kind, OneTrap, Request, analyse},
    made::{Made, function, near},
};

const RET: u8 = 0xc3;

/// mov (%rax),%rdx; test %rdx,%rdx; je over what follows; mov %rdx,%rax; ret; and a jump to the slow part.
fn fast_path(start: &[u8]) -> Vec<u8> {
    let code = [
        start,
        &[0x48, 0x8b, 0x10, 0x48, 0x85, 0xd2, 0x74, 4, 0x48, 0x89, 0xd0, RET],
    ]
    .concat();
    let at = function(0) + code.len() as u64;
    [code, near(0xe9, at, function(1))].concat()
}

fn planned(symbol: &str, frees: &str, code: &[u8]) -> (OneTrap, Vec<AttachPoint>) {
    let made = Made::default().with(symbol, code).with(frees, &[RET]);
    let analysis = analyse("/lib/made.so", &*made.bytes(), None::<&[u8]>, &Request::default()).unwrap();
    let [beside] = &*analysis.allocators[0].one_trap else {
        panic!("{analysis:?}");
    };
    let points = analysis.points().filter(|point| point.symbol == symbol);
    (beside.clone(), points.cloned().collect())
}

fn checks(beside: &OneTrap) -> Vec<(Checking, u64)> {
    let told = |point: &AttachPoint| match point.kind {
        Kind::Check(checking) => (checking, point.offset - function(0)),
        kind => panic!("{kind:?} checks nothing"),
    };
    beside.checks.iter().map(told).collect()
}

#[test]
fn arguments_are_read_where_nothing_answers() {
    // The first jump is the place itself: the first instruction is none.
    let (beside, points) = planned("malloc", "free", &fast_path(&[]));
    assert_eq!(
        checks(&beside),
        [(Checking::Enter, 0), (Checking::Slow, 12), (Checking::Return, 0)]
    );
    assert!(points.iter().all(|point| point.of_one_trap));
    let entry = beside.checks[0].placement;
    assert_eq!((entry.beyond, matches!(entry.cost, Cost::Stepped(_))), (0, true));
    // nop: a probe there costs less. mov %rdi,%rsi before it, and the argument is still where it was.
    let (beside, _) = planned("malloc", "free", &fast_path(&[0x48, 0x89, 0xfe, 0x90]));
    assert_eq!(
        checks(&beside),
        [(Checking::Enter, 3), (Checking::Slow, 16), (Checking::Return, 3)]
    );
    assert_eq!(beside.checks[0].placement.cost, Cost::Emulated);
    for point in &beside.checks {
        assert!(
            matches!(point.detail, Detail::Shape(Shape { size: Some(0), .. })),
            "{point:?}"
        );
    }
}

#[test]
fn what_may_throw_is_checked_at_its_return_instructions() {
    let (beside, _) = planned("_Znwm", "_ZdlPv", &fast_path(&[0x90]));
    assert_eq!(
        checks(&beside),
        [(Checking::Enter, 0), (Checking::Slow, 13), (Checking::Leave, 12)]
    );
}

#[test]
fn calls_are_judged_only_once_all_that_answers_is_there() {
    let (beside, points) = planned("malloc", "free", &fast_path(&[0x90]));
    let order = |wanted: Checking| {
        let mut of = beside.checks.iter().filter(|point| point.kind == Kind::Check(wanted));
        of.next().unwrap().order()
    };
    assert!(order(Checking::Slow) < order(Checking::Enter));
    assert!(points.iter().all(|point| point.order() < order(Checking::Slow)));
}

#[test]
fn the_pair_is_what_is_planned_for_two_traps_with_the_same_frame() {
    for (symbol, frees) in [("malloc", "free"), ("_Znwm", "_ZdlPv")] {
        let code = fast_path(&[0x48, 0x89, 0xfe, 0x90]);
        let (beside, _) = planned(symbol, frees, &code);
        let made = Made::default().with(symbol, &code).with(frees, &[RET]);
        let two = Request {
            two_traps: true,
            ..Request::default()
        };
        let two = analyse("/lib/made.so", &*made.bytes(), None::<&[u8]>, &two).unwrap();
        let mut wanted: Vec<_> = two.points().filter(|point| point.symbol == symbol).cloned().collect();
        let mut pair = beside.pair.clone();
        for points in [&mut wanted, &mut pair] {
            points.sort_by_key(|point| point.offset);
        }
        let exits = pair.iter().filter(|point| point.kind == Kind::Exit).count();
        assert_eq!(exits, if symbol == "malloc" { 0 } else { 2 }, "{pair:?}");
        // An exit fits a call whose cookie is its own.
        let cookie = |point: &AttachPoint| point.cookie(7) & !STEPPED;
        assert!(pair.iter().all(|point| cookie(point) == cookie(&pair[0])), "{pair:?}");
        assert!(pair.iter().all(|point| point.from_entry == 3 && !point.of_one_trap));
        for point in &mut pair {
            point.from_entry = 0;
        }
        assert_eq!(pair, wanted);
        let by_instructions = matches!(pair[0].detail, Detail::Shape(shape) if shape.exits == Exits::Instructions);
        assert_eq!(by_instructions, exits > 0);
    }
}
