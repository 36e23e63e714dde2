//! Where probes would see every call of pymalloc: a pure function of an interpreter's file and of where its functions are.
//!
//! A build is of one of two classes. In *direct* ones every call reaches the function whose address is in the allocator's table, so four
//! probes see all. Compilers with a profile (gcc with `-fprofile-use`, as Debian's) make *promoted* ones: most calls compare the
//! pointer of the table with pymalloc's function, and have its code in line; there every such comparison needs a probe, and the
//! functions those for the calls that are left. Each place is proven first, and what cannot be proven is left out and said: a
//! breakpoint between two instructions would kill the program, and one at the wrong one would count wrongly.

mod body;
mod held;
mod hooks;
mod pools;
mod site;
mod spread;
mod sweep;
mod value;

use std::fmt;

use iced_x86::Mnemonic;
use memtrace_common::Shape;
use object::ReadRef;
use rustc_hash::FxHashSet;

pub(super) use self::hooks::found;
use self::sweep::Sweep;
pub use self::{hooks::Followed, pools::Pools, value::Where};
use super::{
    code::{Code, Flow, Place},
    elf::Elf,
    placement::{self, HOLDERS, Jumps, Placement},
};

/// Most instructions of a function of the allocator that are looked at.
const MOST: usize = 2048;

/// The largest size that pymalloc serves, in bytes (`SMALL_REQUEST_THRESHOLD`); a size of 0 it does not.
pub const LARGEST: u64 = 512;

/// What asks the C library for large blocks: exported, so that calls of it may go by the linker.
const RAW: &str = "PyMem_RawMalloc";

/// What a function of the allocator does.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Role {
    /// Of `size` bytes.
    Malloc,
    /// Of `count` times `size` bytes.
    Calloc,
    /// From `old` to `size` bytes.
    Realloc,
    /// Of `old`.
    Free,
}

/// All, in the order of the allocator's table.
pub const ROLES: [Role; 4] = [Role::Malloc, Role::Calloc, Role::Realloc, Role::Free];

impl Role {
    /// Its name in the table.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Malloc => "malloc",
            Self::Calloc => "calloc",
            Self::Realloc => "realloc",
            Self::Free => "free",
        }
    }

    /// Where the arguments are when it is called: behind that of the table (System V AMD64 ABI, 3.2.3).
    fn shape(self) -> Shape {
        let (size, count, old) = match self {
            Self::Malloc => (Some(1), None, None),
            Self::Calloc => (Some(2), Some(1), None),
            Self::Realloc => (Some(2), None, Some(1)),
            Self::Free => (None, None, Some(1)),
        };
        Shape {
            size,
            count,
            old,
            ..Shape::default()
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

/// Where the functions of an allocator are, in the file's own addresses (svma), by their place in the table.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Functions {
    /// pymalloc's.
    pub own: [u64; 4],
    /// Those that ask the C library for memory.
    pub raw: [u64; 4],
}

/// How calls reach pymalloc.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Class {
    /// All by its functions.
    Direct,
    /// Most by code in line, behind a comparison.
    Promoted,
}

/// What kind of place a point is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// In a function, before it has done anything.
    Function,
    /// The jump behind a comparison: the zero flag says that pymalloc is called.
    Site,
}

/// A place for a probe.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Point {
    /// What is called.
    pub role: Role,
    /// How.
    pub kind: Kind,
    /// Offset in the file.
    pub offset: u64,
    /// What the kernel does there.
    pub placement: Placement,
    /// Where the block is that is given.
    pub old: Option<Where>,
    /// Where the count is.
    pub count: Option<Where>,
    /// Where the size is.
    pub size: Option<Where>,
}

/// What is known of an interpreter's pymalloc.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PymallocPlan {
    /// Its functions.
    pub functions: Functions,
    /// How calls reach it.
    pub class: Class,
    /// Where probes would go, in the order of offsets.
    pub points: Vec<Point>,
    /// Comparisons that are none of a call: address (svma), of which function, and the reason.
    pub no_calls: Vec<(u64, Role, &'static str)>,
    /// Why not every call would be seen: a sentence each. Empty is the proof.
    pub gaps: Vec<String>,
    /// The one function that takes a new pool, where it is one: offset in the file, and how a probe lies there.
    pub refill: Result<(u64, Placement), &'static str>,
}

impl PymallocPlan {
    /// How many points there are of a kind, for each function.
    pub fn count(&self, kind: Kind, role: Role) -> usize {
        let points = self.points.iter();
        points.filter(|point| point.kind == kind && point.role == role).count()
    }
}

/// Analyses an interpreter's file.
///
/// # Errors
/// Why nothing can be said of it.
pub fn analyse<'data, R: ReadRef<'data>>(file: R, functions: &Functions) -> Result<PymallocPlan, String> {
    let elf = Elf::parse(file)?;
    let code = Code::new(&elf);
    let distinct: FxHashSet<u64> = functions.own.into_iter().collect();
    if distinct.len() != 4
        || functions
            .own
            .iter()
            .any(|&svma| elf.code_offset(svma).is_none() || !code.begins(svma))
    {
        return Err("the addresses in its table of allocators are not those of four functions".to_owned());
    }
    let sweep = Sweep::of(&elf, &code, functions.own)?;
    let mut plan = PymallocPlan {
        functions: *functions,
        class: Class::Direct,
        points: Vec::new(),
        no_calls: Vec::new(),
        gaps: Vec::new(),
        refill: refill(&elf, &code, functions),
    };
    let spread = spread::found(&elf, &code, &sweep)?;
    for compare in sweep.compares.iter().chain(&spread.compares) {
        let role = ROLES[compare.target];
        match site::prove(&code, &sweep, compare, role) {
            Ok(site) => {
                plan.class = Class::Promoted;
                let offset = elf.code_offset(site.at).ok_or("a site is not in the file's code")?;
                plan.points.push(Point {
                    role,
                    kind: Kind::Site,
                    offset,
                    placement: placement::here(&code, site.at),
                    old: site.old,
                    count: site.count,
                    size: site.size,
                });
            }
            Err(why) if why == site::QUESTION => plan.no_calls.push((compare.at, role, why)),
            Err(why) => {
                plan.class = Class::Promoted;
                plan.gaps.push(format!(
                    "a call of {role} by code in line at {:#x} would not be seen: {why}",
                    compare.at
                ));
            }
        }
    }
    not_told(&code, &spread, &mut plan);
    let jumps = Jumps::of(&code, functions.own);
    for (role, svma) in ROLES.into_iter().zip(functions.own) {
        let (placement, shape) = placement::place(&code, svma, role.shape(), &jumps);
        let register = |index: Option<u8>| {
            let register = index.and_then(|index| HOLDERS.get(usize::from(index)));
            register.copied().map(Where::register)
        };
        let offset = elf.code_offset(svma).ok_or("a function is not in the file's code")?;
        plan.points.push(Point {
            role,
            kind: Kind::Function,
            offset: offset + u64::from(placement.beyond),
            placement,
            old: register(shape.old),
            count: register(shape.count),
            size: register(shape.size),
        });
    }
    plan.points.sort_unstable_by_key(|point| point.offset);
    Ok(plan)
}

/// What becomes of functions' addresses where that is not certain.
fn not_told<'data, R: ReadRef<'data>>(code: &Code<'_, 'data, R>, spread: &spread::Found, plan: &mut PymallocPlan) {
    for &(at, target) in &spread.uncertain {
        let role = ROLES[target];
        match site::is_call(code, at) {
            Ok(()) => {
                plan.class = Class::Promoted;
                plan.gaps.push(format!(
                    "a call of {role} by code in line at {at:#x} would not be seen: whether it compares with the function is not certain"
                ));
            }
            Err(why) => plan.no_calls.push((at, role, why)),
        }
    }
    for &(at, target) in &spread.unexplained {
        let role = ROLES[target];
        plan.gaps.push(format!(
            "what the address of {role} is for at {at:#x} is not understood: it may be compared with a pointer"
        ));
    }
}

/// The function that takes a new pool: the only one of the file itself that `malloc` calls, beside those that ask the C library.
fn refill<'data, R: ReadRef<'data>>(
    elf: &Elf<'data, R>,
    code: &Code<'_, 'data, R>,
    functions: &Functions,
) -> Result<(u64, Placement), &'static str> {
    let mut called: Vec<u64> = Vec::new();
    // Whether it has pymalloc's fast path, which tells small sizes from large ones.
    let mut compares = false;
    let mut left = vec![functions.own[0]];
    let mut seen = FxHashSet::default();
    while let Some(at) = left.pop() {
        if seen.len() >= MOST {
            return Err("malloc is too long");
        }
        if !seen.insert(at) {
            continue;
        }
        let instruction = code.instruction(at).ok_or("the code of malloc cannot be read")?;
        compares |= instruction.mnemonic() == Mnemonic::Cmp
            && instruction.try_immediate(1).is_ok_and(|most| most == LARGEST - 1);
        let step = code.step(at).ok_or("the code of malloc cannot be read")?;
        match step.flow {
            Flow::Branch(target) => left.extend([target, step.next]),
            Flow::Call(Place::Local(target)) => {
                called.push(target);
                left.push(step.next);
            }
            Flow::Next | Flow::Padding | Flow::Call(_) => left.push(step.next),
            Flow::Jump(Place::Local(target)) if code.begins(target) && target != functions.own[0] => {
                called.push(target);
            }
            Flow::Jump(Place::Local(target)) => left.push(target),
            Flow::Jump(_) | Flow::Return | Flow::Stop => {}
        }
    }
    called.sort_unstable();
    called.dedup();
    let exported = elf
        .functions(|name| name == RAW)
        .map_err(|_damaged| "its symbols cannot be read")?;
    called.retain(|svma| !functions.raw.contains(svma) && exported.iter().all(|raw| raw.svma != *svma));
    if !compares {
        return Err("malloc leaves all to another function (as in 3.8), of which taking a new pool is a part");
    }
    match called[..] {
        [svma] => {
            let offset = elf
                .code_offset(svma)
                .ok_or("what malloc calls is not in the file's code")?;
            let jumps = Jumps::of(code, [svma]);
            let (placement, _) = placement::place(code, svma, Shape::default(), &jumps);
            Ok((offset + u64::from(placement.beyond), placement))
        }
        [] => Err("malloc calls no function that could take a new pool"),
        _ => Err("malloc calls several functions of the file, and which of them takes a new pool is not known"),
    }
}

#[cfg(test)]
mod tests;
