//! Backwards: which registers hold, before each instruction, what the function returns on every way from there.

use iced_x86::Register;
use rustc_hash::FxHashMap;

use super::{
    body::{Body, End, Step},
    effects::Set,
};

/// The registers that hold what will be returned, before each instruction.
pub(super) fn follow(body: &Body) -> FxHashMap<u64, Set> {
    // From above: on a way that never returns any register holds what is returned.
    let mut states: FxHashMap<u64, Set> = body.addresses().map(|at| (at, Set::ALL)).collect();
    loop {
        let mut changed = false;
        for step in body.steps().rev() {
            let before = ahead(step, |next| states.get(&next).copied().unwrap_or_default());
            changed |= states.insert(step.at, before) != Some(before);
        }
        // Sets only get smaller, so this ends.
        if !changed {
            return states;
        }
    }
}

fn ahead(step: &Step, of: impl Fn(u64) -> Set) -> Set {
    match step.end {
        End::Returns => return Set::of(Register::RAX),
        // What the slow part returns is not known here.
        End::Leaves(_) => return Set::default(),
        End::Stops => return Set::ALL,
        End::GoesOn => {}
    }
    let after = step.next.iter().fold(Set::ALL, |all, &next| all.and(of(next)));
    let before = after.without(step.effects.changes);
    match step.effects.copies {
        Some((from, to)) if after.has(to) => before.or(Set::of(from)),
        _ => before,
    }
}
