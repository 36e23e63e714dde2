//! Where one probe sees a whole allocation: real builds, what must be refused, and many functions that are run.

use std::collections::HashMap;

use memtrace_common::{Once, When, once::holds};

use super::{
    super::{Analysis, AttachPoint, Cost, Detail, Kind, Request, analyse},
    machine::{self, Executed, Function, Last, Machine, Op, REGISTERS},
    made::{Made, by_slot, function, near},
};

/// Functions as compilers made them.
const BUILDS: &str = include_str!("once.txt");

const RET: u8 = 0xc3;
/// Register names in the order of the DWARF mapping.
const NAMES: [&str; 16] = [
    "rax", "rdx", "rcx", "rbx", "rsi", "rdi", "rbp", "rsp", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
];
const CONDITIONS: [&str; 16] = [
    "o", "no", "b", "ae", "e", "ne", "be", "a", "s", "ns", "p", "np", "l", "ge", "le", "g",
];
/// The numbers in instructions of the registers in the order of the DWARF mapping.
const NUMBERS: [usize; 16] = [0, 2, 1, 3, 6, 7, 5, 4, 8, 9, 10, 11, 12, 13, 14, 15];
/// Those of the registers that arguments may be in, in the order of a shape's indices.
const ARGUMENTS: [usize; 8] = [7, 6, 2, 1, 8, 9, 0, 10];

/// A file in which `symbol` is the first function, and what it leaves for the second.
fn made(symbol: &str, code: &[u8]) -> Made {
    let frees = match symbol {
        "_Znwm" => "_ZdlPv",
        _ if symbol.starts_with("mi_") => "mi_free",
        _ => "free",
    };
    Made::default().with(symbol, code).with(frees, &[RET])
}

fn analysed(made: &Made) -> Analysis {
    analyse("/lib/made.so", &*made.bytes(), None::<&[u8]>, &Request::default()).unwrap()
}

/// What is planned for `symbol`: its points, or why its allocations keep two traps.
fn planned(symbol: &str, made: &Made) -> Result<Vec<AttachPoint>, &'static str> {
    let analysis = analysed(made);
    if let Some((_, why)) = analysis.allocators[0].two_traps.first() {
        return Err(why);
    }
    let points = analysis.points().filter(|point| point.symbol == symbol);
    Ok(points.cloned().collect())
}

fn refused(code: &[&[u8]]) -> &'static str {
    planned("malloc", &made("malloc", &code.concat())).expect_err("it must be refused")
}

fn told(point: &AttachPoint) -> String {
    let at = point.from_entry;
    match point.detail {
        Detail::Once(Once { size, result, when }) => {
            let [size, result] = [size, result].map(|register| NAMES[usize::from(register)]);
            let when = match when {
                When::Always => String::new(),
                When::Holds(condition) => format!(" when {}", CONDITIONS[usize::from(condition)]),
            };
            format!("once +{at} size {size} result {result}{when}")
        }
        Detail::Shape(shape) if point.kind == Kind::Allocate => {
            let register = ARGUMENTS[usize::from(shape.size.unwrap())];
            let name = NUMBERS.iter().position(|&number| number == register).unwrap();
            format!("slow +{at} size {}", NAMES[name])
        }
        _ => format!("exit from +{at}"),
    }
}

#[test]
fn real_builds() {
    let mut count = 0;
    for row in BUILDS.lines().filter(|row| !row.starts_with('#')) {
        let [build, symbol, bytes, slow, expected] = row.split(" | ").collect::<Vec<_>>()[..] else {
            panic!("{row}");
        };
        let bytes = bytes.split(' ').map(|byte| u8::from_str_radix(byte, 16).unwrap());
        let mut code: Vec<u8> = bytes.collect();
        for at in slow.split(' ').filter(|at| !at.is_empty()) {
            let at: usize = at.parse().unwrap();
            assert_eq!(code[at], 0xe9, "{row}");
            code.splice(at..at + 5, near(0xe9, function(0) + at as u64, function(1)));
        }
        let found = match planned(symbol, &made(symbol, &code)) {
            Ok(points) => {
                for point in &points {
                    let at = function(0) + point.from_entry;
                    assert!(point.kind == Kind::Exit || point.offset == at, "{point:?}");
                    assert!(
                        point.kind == Kind::Exit || point.placement.cost == Cost::Emulated,
                        "{point:?}"
                    );
                    assert!(point.only_takes(), "{point:?}");
                }
                points.iter().map(told).collect::<Vec<_>>().join(", ")
            }
            Err(why) => why.to_owned(),
        };
        assert_eq!(found, expected, "{symbol} of {build}");
        count += 1;
    }
    assert!(count >= 15, "{count}");
}

// mov (%rax),%rdx; test %rdx,%rdx; je +0; mov %rdx,%rax.
const TAKE: &[u8] = &[0x48, 0x8b, 0x10, 0x48, 0x85, 0xd2];
const GIVE: &[u8] = &[0x48, 0x89, 0xd0, RET];

/// `je` over what follows, to a jump to the slow part.
fn fast_path() -> Vec<u8> {
    let start = [TAKE, &[0x74, 4], GIVE].concat();
    let at = function(0) + start.len() as u64;
    [start, near(0xe9, at, function(1))].concat()
}

#[test]
fn the_simplest_fast_path() {
    let points = planned("malloc", &made("malloc", &fast_path())).unwrap();
    let told: Vec<_> = points.iter().map(told).collect();
    assert_eq!(told, ["slow +12 size rdi", "once +6 size rdi result rdx when ne"]);
    let two = Request {
        two_traps: true,
        ..Request::default()
    };
    let analysis = analyse(
        "/lib/made.so",
        &*made("malloc", &fast_path()).bytes(),
        None::<&[u8]>,
        &two,
    )
    .unwrap();
    assert!(
        analysis
            .points()
            .all(|point| point.kind != Kind::Once && point.from_entry == 0)
    );
    assert!(analysis.allocators[0].two_traps.is_empty());
    // Only what has nothing but a size.
    let analysis = analysed(&made("calloc", &fast_path()));
    assert!(analysis.points().all(|point| point.kind != Kind::Once));
}

#[test]
fn what_is_not_certain_is_refused() {
    let with = |start: &[u8]| {
        let code = [start, TAKE, &[0x74, 4], GIVE].concat();
        let at = function(0) + code.len() as u64;
        refused(&[&code, &near(0xe9, at, function(1))])
    };
    assert!(with(&near(0xe8, function(0), function(1))).contains("makes calls"));
    assert!(with(&[0x53]).contains("uses the stack"));
    assert!(with(&[0x48, 0x8b, 0x04, 0x24]).contains("uses the stack"));
    // mov %rsp,%r12; mov %rax,%rbp; syscall; int $0x80; xbegin.
    assert!(with(&[0x49, 0x89, 0xe4]).contains("uses the stack"));
    assert!(with(&[0x48, 0x89, 0xc5]).contains("frame pointer"));
    assert!(with(&[0x0f, 0x05]).contains("the kernel"));
    assert!(with(&[0xcd, 0x80]).contains("the kernel"));
    assert!(with(&[0xc7, 0xf8, 0, 0, 0, 0]).contains("transaction"));
    // xor %edi,%edi: the size is gone.
    assert!(with(&[0x31, 0xff]).contains("size and result"));
    // lea 0x10(%rip),%r8; mov %r8,%fs:8: what restartable sequences begin with.
    let rseq = [
        0x4c, 0x8d, 0x05, 0x10, 0, 0, 0, 0x64, 0x4c, 0x89, 0x04, 0x25, 8, 0, 0, 0,
    ];
    assert!(with(&rseq).contains("restartable sequence"));
    // jmp *%rax where the slow part is; a branch to another function; to itself.
    assert!(refused(&[TAKE, &[0x74, 4], GIVE, &[0xff, 0xe0]]).contains("cannot be told"));
    let at = function(0) + 6;
    let far = near(0xe9, at + 1, function(1));
    assert!(refused(&[TAKE, &[0x0f, 0x84], &far[1..], GIVE]).contains("another function"));
    assert!(refused(&[TAKE, &[0x74, 4], GIVE, &[0xeb, 0xfe]]).contains("does not end"));
    // ret $8; nothing at all.
    assert!(refused(&[TAKE, &[0x74, 4], &GIVE[..3], &[0xc2, 8, 0], &[0x0f, 0x0b]]).contains("takes more"));
    assert!(refused(&[&[RET]]).contains("size and result"));
    // Behind the only branch that is emulated: jrcxz, back to the entry.
    let back = refused(&[TAKE, &[0x74, 6], &[0xe3, 0xf6], GIVE, &[0x0f, 0x0b]]);
    assert!(back.contains("size and result"), "{back}");
}

#[test]
fn what_comes_from_elsewhere_is_refused() {
    // Another hook jumps behind the entry.
    let made = made("malloc", &fast_path()).with("calloc", &near(0xe9, function(2), function(0) + 3));
    assert_eq!(planned("malloc", &made), Err("code jumps to what follows the entry"));
    let sequences = self::made("malloc", &fast_path()).with_section("__rseq_cs");
    assert!(
        planned("malloc", &sequences)
            .unwrap_err()
            .contains("restartable sequences")
    );
    // A slow part in another file: by a stub, which is a jump like any other, but for what may throw.
    let stub = |symbol: &str| {
        let code = [TAKE, &[0x74, 4], GIVE].concat();
        let at = function(0) + code.len() as u64;
        let code = [code, near(0xe9, at, function(2))].concat();
        self::made(symbol, &code)
            .with("stub", &by_slot(0x25, function(2), 0))
            .importing("elsewhere")
    };
    assert_eq!(planned("malloc", &stub("malloc")).unwrap().len(), 2);
    assert!(analysed(&stub("_Znwm")).points().all(|point| point.kind != Kind::Once));
}

/// Numbers that look random.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) % end
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[usize::try_from(self.below(all.len() as u64)).unwrap()]
    }

    fn op(&mut self) -> Op {
        // Few registers, so that they meet.
        let mut register = || {
            if self.below(4) == 0 {
                self.of(&REGISTERS)
            } else {
                self.of(&[0, 1, 6, 7])
            }
        };
        let (one, other) = (register(), register());
        let value = u8::try_from(self.below(256)).unwrap();
        match self.below(16) {
            0..4 => Op::Copy(one, other),
            4 => Op::Seven(one, other),
            5 => Op::Add(value.cast_signed(), one),
            6 => Op::Zero(one),
            7 => Op::Byte(value, one & 3),
            8..10 => Op::Load(one, other),
            10 => Op::Store(one, other),
            11 => Op::IfZero(one, other),
            12 => Op::Exchange(one, other),
            13 => Op::Test(one),
            _ => Op::Compare(value.cast_signed(), one),
        }
    }

    fn function(&mut self) -> Function {
        let blocks = 2 + self.below(6);
        let last = |random: &mut Self, block: u64| {
            let to = usize::try_from(random.below(blocks)).unwrap();
            let condition = u8::try_from(random.below(16)).unwrap();
            match random.below(10) {
                0..5 if block + 1 < blocks => Last::Branch(condition, to),
                5 => Last::Jump(to),
                6 | 7 => Last::Leave,
                8 if random.below(4) == 0 => Last::Stop,
                _ => Last::Return,
            }
        };
        let block = |block: u64| {
            let ops = self.below(4);
            ((0..ops).map(|_| self.op()).collect(), last(self, block))
        };
        Function((0..blocks).map(block).collect())
    }
}

/// How a run of a function ended.
#[derive(Debug, Eq, PartialEq)]
enum Ended {
    Returned,
    Left(u64),
    /// It stopped, or goes round and round.
    Not,
}

/// Runs a function and notes what the probes at `places` would take.
fn run(
    begin: u64,
    listing: &[(u64, Executed, u64)],
    places: &[(u64, Once)],
    machine: &mut Machine,
) -> (Ended, Vec<(u64, u64)>) {
    let begins = machine::begins(begin, listing);
    let by_address: HashMap<u64, (Executed, u64)> = listing
        .iter()
        .map(|&(at, executed, next)| (at, (executed, next)))
        .collect();
    let (mut at, mut taken) = (begin, Vec::new());
    for _ in 0..200 {
        for (_, once) in places.iter().filter(|(place, _)| *place == at) {
            if holds(once.when, machine.flags) {
                let [size, result] =
                    [once.size, once.result].map(|register| machine.registers[NUMBERS[usize::from(register)]]);
                taken.push((size, result));
            }
        }
        let (executed, next) = by_address[&at];
        at = match executed {
            Executed::Op(op) => {
                machine.run(op);
                next
            }
            Executed::Last(Last::Branch(condition, to)) if holds(When::Holds(condition), machine.flags) => begins[to],
            Executed::Last(Last::Branch(..)) => next,
            Executed::Last(Last::Jump(to)) => begins[to],
            Executed::Last(Last::Return) => return (Ended::Returned, taken),
            Executed::Last(Last::Leave) => return (Ended::Left(at), taken),
            Executed::Last(Last::Stop) => break,
        };
    }
    (Ended::Not, taken)
}

// Every run of a function that was accepted is seen once, with its size and its result, or not at all and at a jump to the slow part.
#[test]
fn what_is_claimed_holds_whenever_a_function_is_run() {
    const FUNCTIONS: u64 = 60_000;
    let (mut accepted, mut returned, mut left) = (0, 0, 0);
    let mut random = Random(0x6d65_6d74_7261_6365);
    for _ in 0..FUNCTIONS {
        let tried = random.function();
        let begin = function(0);
        let (code, listing) = tried.assemble(begin, function(1));
        let Ok(points) = planned("malloc", &made("malloc", &code)) else {
            continue;
        };
        accepted += 1;
        let places: Vec<(u64, Once)> = points
            .iter()
            .filter_map(|point| match point.detail {
                Detail::Once(once) => Some((point.offset, once)),
                _ => None,
            })
            .collect();
        for _ in 0..24 {
            let registers = [(); 16].map(|()| match random.below(3) {
                0 => random.below(3),
                1 => random.below(300),
                _ => random.below(u64::MAX),
            });
            let mut machine = Machine {
                registers,
                flags: random.below(1 << 12),
            };
            let asked = registers[7];
            let (ended, taken) = run(begin, &listing, &places, &mut machine);
            match ended {
                Ended::Returned => {
                    assert_eq!(
                        taken,
                        [(asked, machine.registers[0])],
                        "{tried:?}\n{points:?}\n{registers:x?}"
                    );
                    returned += 1;
                }
                Ended::Left(at) => {
                    assert_eq!(taken, [], "{tried:?}\n{points:?}");
                    let slow = points
                        .iter()
                        .find(|point| point.offset == at && point.kind == Kind::Allocate);
                    let Some(Detail::Shape(shape)) = slow.map(|point| point.detail) else {
                        panic!("no pair at {at:x}: {tried:?}\n{points:?}");
                    };
                    let register = ARGUMENTS[usize::from(shape.size.unwrap())];
                    assert_eq!(machine.registers[register], asked, "{tried:?}\n{points:?}");
                    left += 1;
                }
                // What goes round for ever behind a place has told of a block once at most.
                Ended::Not => assert!(taken.len() <= 1, "{tried:?}\n{points:?}"),
            }
        }
    }
    println!("{accepted} of {FUNCTIONS} accepted; {returned} runs returned, {left} left");
    assert!(
        accepted > 500 && returned > 5000 && left > 500,
        "{accepted} {returned} {left}"
    );
}
