//! The attach points of a function of which one probe sees whole allocations; those by which that is checked; and the pair that takes
//! their place when the check finds it wrong.

use memtrace_common::Shape;
use object::ReadRef;

use super::{
    choice::{Candidate, EXIT, points},
    elf::Elf,
    families, once,
    placement::{Cost, Placement},
    point::{AttachPoint, Checking, Detail, Kind},
};

/// What goes with a function of which one probe sees whole allocations.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OneTrap {
    /// Name of the function, as in the file.
    pub symbol: String,
    /// The points that check it.
    pub checks: Vec<AttachPoint>,
    /// The points that see its allocations at entry and return.
    pub pair: Vec<AttachPoint>,
}

/// Where one probe sees a whole allocation.
#[derive(Clone, Debug)]
pub(super) struct Once {
    pub(super) seen: once::Seen,
    /// The return instructions of the slow part that each jump there leads to, where they must be found.
    pub(super) exits: Vec<Vec<u64>>,
}

impl Once {
    /// The places on the fast path, and the slow part's entries and exits.
    pub(super) fn points<'data, R: ReadRef<'data>>(&self, elf: &Elf<'data, R>, of: &Candidate) -> Vec<AttachPoint> {
        let mut all = Vec::new();
        for (slow, exits) in self.seen.slow.iter().zip(&self.exits) {
            let placement = within(of, slow.at);
            let mut pair = points(elf, &of.symbol, (of.offset, placement), of.hook.op, slow.shape, exits);
            for point in &mut pair {
                point.from_entry = u64::from(placement.beyond);
                point.of_one_trap = true;
            }
            all.append(&mut pair);
        }
        let places = self.seen.places.iter().map(|&(at, place)| {
            let placement = within(of, at);
            AttachPoint {
                offset: of.offset + u64::from(placement.beyond),
                kind: Kind::Once,
                detail: Detail::Once(place),
                from_entry: u64::from(placement.beyond),
                ..point(of, placement)
            }
        });
        all.extend(places);
        all
    }

    /// The entry, the jumps to the slow part, and the return.
    pub(super) fn checks<'data, R: ReadRef<'data>>(&self, elf: &Elf<'data, R>, of: &Candidate) -> Vec<AttachPoint> {
        let (entry, shape) = self.entry(of);
        let check = |placement: Placement, kind, shape| AttachPoint {
            offset: of.offset + u64::from(placement.beyond),
            kind: Kind::Check(kind),
            detail: Detail::Shape(shape),
            ..point(of, placement)
        };
        let mut all = vec![check(entry, Checking::Enter, shape)];
        let slow = self.seen.slow.iter();
        all.extend(slow.map(|slow| check(within(of, slow.at), Checking::Slow, slow.shape)));
        if of.hook.throws {
            // Its return address must stay as it is.
            let returns = self.seen.returns.iter().filter_map(|&at| elf.code_offset(at));
            all.extend(returns.map(|offset| AttachPoint {
                offset,
                ..check(EXIT, Checking::Leave, shape)
            }));
        } else {
            all.push(check(entry, Checking::Return, shape));
        }
        all
    }

    /// Where arguments are read: where the probe of the entry would lie, if none lies there that answers. The kernel runs the
    /// probes of one place in no order that could be relied on.
    fn entry(&self, of: &Candidate) -> (Placement, Shape) {
        let once::Seen { places, slow, .. } = &self.seen;
        let at = of.svma + u64::from(of.placement.beyond);
        let answers = places.iter().any(|&(place, _)| place == at) || slow.iter().any(|slow| slow.at == at);
        if answers {
            // No result is there yet, so none of them lies at the first instruction.
            let shape = families::hook(&of.symbol).map_or(of.hook.shape, |hook| hook.shape);
            return (Placement::at_entry(Cost::Stepped("it is checked")), shape);
        }
        (of.placement, of.hook.shape)
    }
}

/// At an emulated instruction of a function, by its address (svma).
fn within(of: &Candidate, at: u64) -> Placement {
    Placement {
        beyond: u16::try_from(at.saturating_sub(of.svma)).unwrap_or(u16::MAX),
        cost: Cost::Emulated,
    }
}

/// What all points of a function have in common.
fn point(of: &Candidate, placement: Placement) -> AttachPoint {
    AttachPoint {
        symbol: of.symbol.clone(),
        offset: of.offset,
        placement,
        kind: Kind::Once,
        op: of.hook.op,
        detail: Detail::Shape(of.hook.shape),
        from_entry: 0,
        semaphore: 0,
        of_one_trap: true,
    }
}
