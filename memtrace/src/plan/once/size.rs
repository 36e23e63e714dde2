//! Forwards: which registers hold the requested size, and which hold nothing that the caller left there, before each instruction and on
//! whichever way it was reached.

use iced_x86::Register;
use rustc_hash::FxHashMap;

use super::{
    body::{Body, Step},
    effects::Set,
};

/// What is known before an instruction.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct State {
    /// Registers that hold the size on every way here.
    pub(super) held: Set,
    /// Registers that the function has changed on every way here.
    pub(super) own: Set,
    /// Those that may hold an address of the file.
    addresses: Set,
}

/// What is known before each instruction, given the register that holds the size at the entry.
///
/// # Errors
/// When the function may begin a restartable sequence (rseq(2)): it stores the address of a description, and may from then on be taken
/// out of its code anywhere.
pub(super) fn follow(body: &Body, argument: Register) -> Result<FxHashMap<u64, State>, &'static str> {
    let begin = State {
        held: Set::of(argument),
        ..State::default()
    };
    let mut states = FxHashMap::from_iter([(body.entry, begin)]);
    let mut left = vec![body.entry];
    while let Some(at) = left.pop() {
        let (Some(step), Some(&state)) = (body.step(at), states.get(&at)) else {
            continue;
        };
        if step.effects.stores_address || !step.effects.stores.and(state.addresses).is_empty() {
            return Err("its fast path stores an address of its own file, as a restartable sequence does");
        }
        let after = behind(step, state);
        for &next in &step.next {
            let before = states.get(&next).copied();
            let joined = before.map_or(after, |before| State {
                held: before.held.and(after.held),
                own: before.own.and(after.own),
                addresses: before.addresses.or(after.addresses),
            });
            if before != Some(joined) {
                states.insert(next, joined);
                left.push(next);
            }
        }
    }
    Ok(states)
}

fn behind(step: &Step, state: State) -> State {
    let effects = &step.effects;
    let mut held = state.held.without(effects.changes);
    let mut addresses = state.addresses.without(effects.changes).or(effects.addresses);
    if let Some((from, to)) = effects.copies {
        if state.held.has(from) {
            held = held.or(Set::of(to));
        }
        if state.addresses.has(from) {
            addresses = addresses.or(Set::of(to));
        }
    }
    let own = state.own.or(effects.changes);
    State { held, own, addresses }
}
