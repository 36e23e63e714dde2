//! pymalloc as an allocator that is hooked: its four functions, and the places where its code is in line.

use memtrace_common::{Cookie, Op, Shape, pymalloc::Argument};
use object::ReadRef;

use super::{Functions, Kind, Point, PymallocPlan, ROLES, Role, Where};
use crate::plan::{
    AttachPoint, Detail, Found, Kind as Attached,
    choice::points,
    code::Code,
    elf::Elf,
    once::dwarf,
    placement::{self, Jumps, Placement},
};

/// An interpreter whose objects are followed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Followed {
    /// The file that it is in, as the process sees it.
    pub file: String,
    /// Its allocator.
    pub functions: Functions,
    /// Where calls of it are code in line.
    pub sites: Vec<Point>,
    /// The function that takes a new pool, where there are such calls: offset in the file, and how a probe lies there.
    pub refill: Option<(u64, Placement)>,
}

impl Followed {
    /// What is followed of a file, by its plan.
    ///
    /// # Errors
    /// Why not every call would be seen.
    pub fn new(file: String, plan: &PymallocPlan) -> Result<Self, String> {
        if let Some(gap) = plan.gaps.first() {
            return Err(gap.clone());
        }
        let sites = plan.points.iter().filter(|point| point.kind == Kind::Site).copied();
        let sites: Vec<_> = sites.collect();
        if let Some(untold) = sites.iter().find(|site| site.detail().is_none()) {
            return Err(format!(
                "where the arguments of {} at {:#x} are cannot be told to a probe",
                untold.role, untold.offset
            ));
        }
        let refill = if sites.is_empty() {
            None
        } else {
            let refill = plan.refill;
            Some(refill.map_err(|why| format!("calls by code in line that take a new pool would not be seen: {why}"))?)
        };
        Ok(Self {
            file,
            functions: plan.functions,
            sites,
            refill,
        })
    }

    /// Offsets in the file where stacks begin that are neither at entries nor behind calls.
    pub fn probed(&self) -> impl Iterator<Item = u64> {
        self.sites.iter().map(|site| site.offset)
    }
}

impl Point {
    /// What a probe at a site is told; `None` where that has no room in a cookie.
    fn detail(&self) -> Option<Detail> {
        let (first, second) = match self.role {
            Role::Malloc => (self.size, None),
            Role::Calloc => (self.count, self.size),
            Role::Realloc => (self.old, self.size),
            Role::Free => (self.old, None),
        };
        let first = first?.argument()?;
        let second = match second {
            Some(second) => Some(second.argument()?),
            None => None,
        };
        Cookie::of_site(self.role.op(), 0, first, second)?;
        Some(Detail::Site(first, second))
    }
}

impl Where {
    /// The same as a cookie has it.
    fn argument(self) -> Option<Argument> {
        Some(match self {
            Self::Constant(value) => Argument::Constant(u16::try_from(value).ok()?),
            Self::Register {
                register, low: true, ..
            } => Argument::Low(dwarf(register)),
            Self::Register { register, plus, .. } => Argument::Register(dwarf(register), i16::try_from(plus).ok()?),
            Self::Stack(offset) => Argument::Stack(u16::try_from(offset).ok()?),
        })
    }
}

impl Role {
    /// What a call is to the ledger: as of the C library.
    const fn op(self) -> Op {
        match self {
            Self::Malloc => Op::Malloc,
            Self::Calloc => Op::Calloc,
            Self::Realloc => Op::Realloc,
            Self::Free => Op::Free,
        }
    }

    /// The function's name in `CPython`'s source.
    const fn symbol(self) -> &'static str {
        match self {
            Self::Malloc => "_PyObject_Malloc",
            Self::Calloc => "_PyObject_Calloc",
            Self::Realloc => "_PyObject_Realloc",
            Self::Free => "_PyObject_Free",
        }
    }
}

/// The functions with their probes. What they ask the C library for is part of their calls, and so are the arenas that they map: each
/// allocation is counted once, with the size that the interpreter asked for.
pub(in crate::plan) fn found<'data, R: ReadRef<'data>>(
    elf: &Elf<'data, R>,
    code: &Code<'_, 'data, R>,
    followed: &Followed,
) -> Option<Found> {
    let functions = &followed.functions;
    let jumps = Jumps::of(code, functions.own);
    let mut all = Vec::new();
    for (role, svma) in ROLES.into_iter().zip(functions.own) {
        let (placement, shape) = placement::place(code, svma, role.shape(), &jumps);
        let entry = elf.code_offset(svma)?;
        all.extend(points(elf, role.symbol(), (entry, placement), role.op(), shape, &[]));
    }
    for site in &followed.sites {
        let is_free = site.role == Role::Free;
        let kind = if is_free { Attached::SiteFree } else { Attached::Site };
        all.push(beside(
            site.role.symbol(),
            (site.offset, site.placement),
            kind,
            site.role.op(),
            site.detail()?,
        ));
    }
    if let Some((offset, placement)) = followed.refill {
        let nothing = Detail::Shape(Shape::default());
        all.push(beside(
            "pymalloc's new pool",
            (offset, placement),
            Attached::Refilled,
            Op::Malloc,
            nothing,
        ));
    }
    Some(Found {
        name: "pymalloc".to_owned(),
        hooks: ROLES.map(|role| role.symbol().to_owned()).to_vec(),
        points: all,
        two_traps: Vec::new(),
        one_trap: Vec::new(),
    })
}

/// A point that is not at a function's entry.
pub(super) fn beside(
    symbol: &str,
    (offset, placement): (u64, Placement),
    kind: Attached,
    op: Op,
    detail: Detail,
) -> AttachPoint {
    AttachPoint {
        symbol: symbol.to_owned(),
        offset,
        placement,
        kind,
        op,
        detail,
        from_entry: 0,
        semaphore: 0,
        of_one_trap: false,
    }
}
