//! Which of the functions that are hooks by name get probes: each address once, none that is known to call another hook anyway,
//! none whose returns cannot be seen.

use memtrace_common::{Exits, Op, Shape};
use object::ReadRef;
use rustc_hash::{FxHashMap, FxHashSet};

use super::{
    code::Code,
    elf::{Elf, Function},
    families::{self, Group, Hook},
    flow::{self, Functions, Known},
    once,
    one_trap::{self, OneTrap},
    placement::{self, Cost, Jumps, Placement},
    point::{AttachPoint, Detail, Kind},
};

/// A function that is a hook by name.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) svma: u64,
    pub(super) offset: u64,
    /// The name that people use.
    pub(super) symbol: String,
    pub(super) hook: Hook,
    /// Its return instructions, where they must be found.
    exits: Vec<u64>,
    /// Where the probe of its entry lies.
    pub(super) placement: Placement,
    /// Where one probe sees a whole allocation, or why none does. `None` where that was not looked for.
    once: Option<Result<one_trap::Once, &'static str>>,
}

/// Where the probe of a return lies.
pub(super) const EXIT: Placement = Placement::at_entry(Cost::Stepped("it returns"));

/// What came of the candidates of a file.
#[derive(Debug, Default)]
pub(super) struct Choice {
    /// Those that get probes, in the order in which people are told of them.
    pub(super) chosen: Vec<Candidate>,
    /// Those that pass on what they are asked for.
    pub(super) passing: Vec<Candidate>,
    /// Those that cannot be hooked: symbol and reason.
    pub(super) refused: Vec<(String, String)>,
}

impl Candidate {
    /// What goes with one probe that sees a whole allocation, where there is one.
    pub(super) fn one_trap<'data, R: ReadRef<'data>>(&self, elf: &Elf<'data, R>) -> Option<OneTrap> {
        let once = self.once.as_ref()?.as_ref().ok()?;
        let mut pair = self.pair(elf);
        for point in &mut pair {
            // The same frame as before, so that a site stays one. The exits too: their cookie is that of their entry.
            point.from_entry = u64::from(self.placement.beyond);
        }
        Some(OneTrap {
            symbol: self.symbol.clone(),
            checks: once.checks(elf, self),
            pair,
        })
    }

    fn known(&self) -> Option<Known> {
        Known::of(self.hook.op)
    }

    /// Why one probe does not see a whole allocation, where that was looked for.
    pub(super) fn two_traps(&self) -> Option<&'static str> {
        self.once.as_ref()?.as_ref().err().copied()
    }

    /// The attach points: the entry, and the exits where they are probed; or the places where a whole allocation is seen, and the
    /// slow part's entries and exits.
    pub(super) fn points<'data, R: ReadRef<'data>>(&self, elf: &Elf<'data, R>) -> Vec<AttachPoint> {
        if let Some(Ok(once)) = &self.once {
            return once.points(elf, self);
        }
        self.pair(elf)
    }

    /// The attach points of an entry and its returns.
    pub(super) fn pair<'data, R: ReadRef<'data>>(&self, elf: &Elf<'data, R>) -> Vec<AttachPoint> {
        points(
            elf,
            &self.symbol,
            (self.offset, self.placement),
            self.hook.op,
            self.hook.shape,
            &self.exits,
        )
    }
}

/// The attach points of a function, given the offset of its entry.
pub(super) fn points<'data, R: ReadRef<'data>>(
    elf: &Elf<'data, R>,
    symbol: &str,
    (entry, placement): (u64, Placement),
    op: Op,
    shape: Shape,
    exits: &[u64],
) -> Vec<AttachPoint> {
    let shape = if exits.is_empty() {
        shape
    } else {
        Shape {
            exits: Exits::Instructions,
            ..shape
        }
    };
    let at = |offset, placement, kind| AttachPoint {
        symbol: symbol.to_owned(),
        offset,
        placement,
        kind,
        op,
        detail: Detail::Shape(shape),
        from_entry: 0,
        semaphore: 0,
        of_one_trap: false,
    };
    let kind = if op.is_free() { Kind::Free } else { Kind::Allocate };
    let entry = at(entry + u64::from(placement.beyond), placement, kind);
    let exits = exits.iter().filter_map(|&exit| elf.code_offset(exit));
    exits
        .map(|offset| at(offset, EXIT, Kind::Exit))
        .chain([entry])
        .collect()
}

/// Chooses among the functions of a file.
pub(super) fn choose<'data, R: ReadRef<'data>>(
    elf: &Elf<'data, R>,
    code: &Code<'_, 'data, R>,
    functions: &[Function],
    two_traps: bool,
) -> Choice {
    let mut choice = Choice::default();
    let candidates = candidates(elf, functions, &mut choice.refused);
    let never: Functions = functions
        .iter()
        .filter(|function| flow::NEVER_RETURN.contains(&function.name.as_str()))
        .map(|function| (function.svma, Known::NeverReturns))
        .collect();
    let passing = passing(code, &candidates, &never);
    for candidate in candidates {
        if passing.contains(&candidate.svma) {
            choice.passing.push(candidate);
        } else {
            choice.chosen.push(candidate);
        }
    }
    find_exits(code, &never, &mut choice);
    let all = choice.chosen.iter().chain(&choice.passing);
    let jumps = Jumps::of(code, all.map(|candidate| candidate.svma));
    for candidate in &mut choice.chosen {
        let shape = candidate.hook.shape;
        (candidate.placement, candidate.hook.shape) = placement::place(code, candidate.svma, shape, &jumps);
    }
    if !two_traps {
        find_once(code, &never, &jumps, &mut choice);
    }
    choice
}

/// Finds where one probe sees a whole allocation.
fn find_once<'data, R: ReadRef<'data>>(
    code: &Code<'_, 'data, R>,
    never: &Functions,
    jumps: &Jumps,
    choice: &mut Choice,
) {
    let all = choice.chosen.iter().chain(&choice.passing);
    let entries: FxHashSet<u64> = all.map(|candidate| candidate.svma).collect();
    let return_probed = return_probed(&choice.chosen);
    for candidate in &mut choice.chosen {
        let Candidate { svma, hook, .. } = *candidate;
        let shape = families::hook(&candidate.symbol).map_or(hook.shape, |hook| hook.shape);
        if !matches!(hook.op, Op::Malloc | Op::New | Op::NewArray) || !once::is_size_only(shape) {
            continue;
        }
        let seen = once::find(code, svma, shape, |at| entries.contains(&at), jumps);
        candidate.once = Some(seen.and_then(|seen| {
            let exits = seen.slow.iter().map(|slow| {
                if !hook.throws {
                    return Ok(Vec::new());
                }
                let target = slow
                    .target
                    .ok_or("its slow part, which may throw, is in another file")?;
                flow::exits(code, target, |svma| return_probed.contains(&svma), never)
            });
            let exits = exits.collect::<Result<_, _>>()?;
            Ok(one_trap::Once { seen, exits })
        }));
    }
}

/// Entries of the functions that have a return probe.
fn return_probed(chosen: &[Candidate]) -> FxHashSet<u64> {
    chosen
        .iter()
        .filter(|candidate| !candidate.hook.op.is_free() && !candidate.hook.throws)
        .map(|candidate| candidate.svma)
        .collect()
}

/// One candidate for each address.
fn candidates<'data, R: ReadRef<'data>>(
    elf: &Elf<'data, R>,
    functions: &[Function],
    refused: &mut Vec<(String, String)>,
) -> Vec<Candidate> {
    let mut by_address: FxHashMap<u64, Candidate> = FxHashMap::default();
    for function in functions {
        let Some(hook) = families::hook(&function.name) else {
            continue;
        };
        if function.indirect {
            refused.push((
                function.name.clone(),
                "its code is chosen at run time (IFUNC)".to_owned(),
            ));
            continue;
        }
        let Some(offset) = elf.code_offset(function.svma) else {
            continue;
        };
        let candidate = Candidate {
            svma: function.svma,
            offset,
            symbol: function.name.clone(),
            hook,
            exits: Vec::new(),
            placement: Placement::at_entry(Cost::Stepped("not looked at")),
            once: None,
        };
        by_address
            .entry(function.svma)
            .and_modify(|known| {
                // Linkers fold functions of equal code: exceptions go through when they may for any of the names.
                let throws = known.hook.throws || hook.throws;
                if order(&candidate) < order(known) {
                    *known = candidate.clone();
                }
                known.hook.throws = throws;
            })
            .or_insert(candidate);
    }
    let mut candidates: Vec<_> = by_address.into_values().collect();
    candidates.sort_by(|one, other| order(one).cmp(&order(other)).then(one.svma.cmp(&other.svma)));
    candidates
}

/// The order in which names are preferred and told.
fn order(candidate: &Candidate) -> (u8, u16, &str) {
    let group = match candidate.hook.group {
        Group::C => 0,
        Group::Cpp => 1,
        Group::Named(..) => 2,
        Group::Rust => 3,
    };
    (group, candidate.hook.rank, &candidate.symbol)
}

/// Addresses of the candidates that are known to call another hook.
///
/// Only for operators and Rust's functions this is looked for in whole: they return what the other function gave them. A C
/// function like `aligned_alloc` may return an address inside a larger block instead, so of those only such are left out that
/// do nothing but jump on.
fn passing<'data, R: ReadRef<'data>>(
    code: &Code<'_, 'data, R>,
    candidates: &[Candidate],
    never: &Functions,
) -> FxHashSet<u64> {
    /// How long chains of functions that pass on may be.
    const MAX_ROUNDS: usize = 8;
    let mut passing = FxHashSet::default();
    let mut hooks = never.clone();
    let (eligible, others): (Vec<_>, Vec<_>) = candidates.iter().partition(|candidate| candidate.hook.passes_on);
    hooks.extend(others.iter().filter_map(|other| Some((other.svma, other.known()?))));
    let prove =
        |candidate: &Candidate, hooks: &Functions| flow::passes_on(code, candidate.svma, candidate.known()?, hooks);

    // First what ends in functions that are hooked for certain.
    for _ in 0..MAX_ROUNDS {
        let before = passing.len();
        for candidate in &eligible {
            if !passing.contains(&candidate.svma)
                && let Some(known) = candidate.known()
                && prove(candidate, &hooks).is_some()
            {
                passing.insert(candidate.svma);
                hooks.insert(candidate.svma, known);
            }
        }
        if passing.len() == before {
            break;
        }
    }
    // Then what ends in one of the rest, which must then stay.
    let rest: Vec<_> = eligible.iter().filter(|one| !passing.contains(&one.svma)).collect();
    hooks.extend(rest.iter().filter_map(|other| Some((other.svma, other.known()?))));
    let mut needed: FxHashSet<u64> = FxHashSet::default();
    for candidate in rest.into_iter().chain(&others) {
        let Some(known) = candidate.known().filter(|_| !needed.contains(&candidate.svma)) else {
            continue;
        };
        hooks.remove(&candidate.svma);
        let proof = if candidate.hook.passes_on {
            prove(candidate, &hooks)
        } else {
            flow::only_jumps(code, candidate.svma, known, &hooks)
        };
        match proof {
            Some(proof) => {
                needed.extend(proof.uses);
                passing.insert(candidate.svma);
            }
            None => _ = hooks.insert(candidate.svma, known),
        }
    }
    passing
}

/// Finds the returns of what may throw; what has none that can be found is not hooked.
fn find_exits<'data, R: ReadRef<'data>>(code: &Code<'_, 'data, R>, never: &Functions, choice: &mut Choice) {
    let return_probed = return_probed(&choice.chosen);
    let Choice { chosen, refused, .. } = choice;
    chosen.retain_mut(|candidate| {
        if !candidate.hook.throws {
            return true;
        }
        match flow::exits(code, candidate.svma, |svma| return_probed.contains(&svma), never) {
            Ok(exits) => {
                candidate.exits = exits;
                true
            }
            Err(why) => {
                refused.push((candidate.symbol.clone(), throws(why)));
                false
            }
        }
    });
}

/// Why a function that may throw cannot be hooked.
pub(super) fn throws(why: &str) -> String {
    format!("exceptions go through it, so that it must be seen to return at its instructions, but {why}")
}
