//! One place to put a probe, and what the probe is told there.

use memtrace_common::{Cookie, Once, Op, Operand, Shape, cookie::STEPPED, pymalloc::Argument, v8_heap};

use super::{
    placement::{Cost, Placement},
    v8_heap::Tells,
};

/// What is done at an attach point.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// The entry of a function that only frees, or near it: see [`Placement`].
    Free,
    /// The entry of a function that allocates, or near it. Its returns are seen by a return probe, unless the shape's exits are by
    /// instructions.
    Allocate,
    /// A place in such a function where its size and its result are both known.
    Once,
    /// A return instruction of such a function. Two functions can share one, so that one offset has two cookies.
    Exit,
    /// A place in such a function that is for a check of the one before.
    Check(Checking),
    /// A wrapper of a mapping system call.
    Wrapper,
    /// A jump behind which an allocator's code is in line, and allocates.
    Site,
    /// The same, and frees.
    SiteFree,
    /// Return of the function by which such an allocator takes more.
    Refilled,
    /// The same, where it is pools that are told of.
    Pool,
    /// A static probe that tells of an allocation.
    StaticAlloc,
    /// A static probe that tells of a free.
    StaticFree,
    /// A function of V8 that tells of its heap.
    V8(Tells),
}

/// What is checked there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Checking {
    /// The arguments, at the entry or near it.
    Enter,
    /// The size, at a jump to the slow part.
    Slow,
    /// The result, by a return probe. It is put where the entry is.
    Return,
    /// The result, at an instruction by which the fast path returns.
    Leave,
}

/// Where the arguments are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Detail {
    /// Of a function.
    Shape(Shape),
    /// Of a function, with its result.
    Once(Once),
    /// At a site: first and second.
    Site(Argument, Option<Argument>),
    /// Of a function that takes a pool: the bytes of one.
    Pool(u64),
    /// Of a static probe.
    Operands([Operand; 3]),
    /// In V8: how that version has them.
    V8(v8_heap::Told),
    /// Where V8 runs out of memory: what that means there.
    Shortage(v8_heap::shortage::Place),
}

/// One place to put a probe.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AttachPoint {
    /// Name of the function or static probe, as in the file.
    pub symbol: String,
    /// Offset in the file.
    pub offset: u64,
    /// How far that is from the function's entry, and what a hit costs.
    pub placement: Placement,
    /// What is done there.
    pub kind: Kind,
    /// The operation.
    pub op: Op,
    /// Where its arguments are.
    pub detail: Detail,
    /// How far from the function's entry its stacks are taken, in bytes, where there are several places: they have the entry's address.
    pub from_entry: u64,
    /// File offset of the semaphore that turns a static probe on; 0 for none.
    pub semaphore: u64,
    /// Whether it is of a function of which one probe sees whole allocations: others can take the place of these points.
    pub of_one_trap: bool,
}

impl AttachPoint {
    /// What the probe is told, for the hook of that number; 0 for wrappers, whose probe asks nothing.
    pub fn cookie(&self, hook: u16) -> u64 {
        let stepped = match self.placement.cost {
            Cost::Emulated => 0,
            Cost::Stepped(_) => STEPPED,
        };
        let cookie = match (self.kind, self.detail) {
            (Kind::Wrapper, _) => return 0,
            (_, Detail::Shape(shape)) => self.moved(Cookie::of_function(self.op, hook, shape)),
            (_, Detail::Once(once)) => self.moved(Cookie::of_once(self.op, hook, once)),
            (_, Detail::Site(first, second)) => Cookie::of_site(self.op, hook, first, second).map_or(0, Cookie::pack),
            (_, Detail::Pool(bytes)) => Cookie::of_pools(hook, bytes).map_or(0, Cookie::pack),
            (_, Detail::V8(told)) => told.pack(),
            (_, Detail::Shortage(place)) => place.pack(),
            // Operands that no cookie can tell were refused when the point was made.
            (_, Detail::Operands(operands)) => Cookie::of_static_probe(self.op, hook, operands).map_or(0, Cookie::pack),
        };
        cookie | stepped
    }

    /// A place that is too far for its cookie was refused when the point was made.
    fn moved(&self, cookie: Cookie) -> u64 {
        cookie.from_entry(self.from_entry).map_or(0, Cookie::pack)
    }

    /// Whether it is of a function that only takes memory: without its probes no free is missed.
    pub const fn only_takes(&self) -> bool {
        matches!(
            self.kind,
            Kind::Allocate | Kind::Once | Kind::Check(_) | Kind::Exit | Kind::Site | Kind::StaticAlloc
        ) && !self.op.is_realloc()
            && !self.op.is_resize()
    }

    /// Where in the order of attaching: what frees comes first, for an allocation that is seen while its free is not would
    /// look like a leak; the exits of a function come before its entry.
    pub fn order(&self) -> u8 {
        match self.kind {
            Kind::Free | Kind::SiteFree | Kind::StaticFree => 0,
            Kind::Wrapper => 1,
            Kind::Exit | Kind::Refilled | Kind::Pool => 2,
            Kind::Allocate | Kind::Site if self.op.is_realloc() || self.op.is_resize() => 3,
            Kind::Allocate | Kind::Once | Kind::Site | Kind::StaticAlloc => 4,
            // A call on record needs all that may answer.
            Kind::Check(Checking::Slow | Checking::Return | Checking::Leave) => 5,
            Kind::Check(Checking::Enter) => 6,
            Kind::V8(_) => 7,
        }
    }
}
