//! Where the probes of an allocator lie, and why not elsewhere.

use super::Check;
use crate::plan::{AttachPoint, Cost, Found, Kind};

const NAME: &str = "probes";

/// One line for the probes at instructions that the kernel emulates, one for each reason why others are not; and for each function of
/// which one probe might see a whole allocation, where, or why not.
pub(super) fn checks(found: &Found) -> Vec<Check> {
    let mut checks = by_cost(found);
    checks.extend(by_traps(found));
    checks
}

fn by_cost(found: &Found) -> Vec<Check> {
    let mut emulated = Vec::new();
    let mut stepped: Vec<(&str, Vec<String>)> = Vec::new();
    for point in &found.points {
        match point.placement.cost {
            Cost::Emulated => emulated.push(name(point)),
            Cost::Stepped(why) => match stepped.iter_mut().find(|(known, _)| *known == why) {
                Some((_, names)) => names.push(name(point)),
                None => stepped.push((why, vec![name(point)])),
            },
        }
    }
    let mut checks = Vec::new();
    if !emulated.is_empty() {
        let names = list(emulated);
        checks.push(Check::ok(NAME, format!("{}: emulated at {names}", found.name)));
    }
    checks.extend(stepped.into_iter().map(|(why, names)| {
        let names = list(names);
        Check::ok(
            NAME,
            format!("{}: single-stepped, which costs more, at {names}: {why}", found.name),
        )
    }));
    checks
}

fn by_traps(found: &Found) -> Vec<Check> {
    let of = |symbol: &str, kind| {
        let points = found.points.iter().filter(move |point| point.kind == kind);
        list(points.filter(|point| point.symbol == symbol).map(name).collect())
    };
    let mut checks = Vec::new();
    let seen_once = |hook: &&String| {
        let mut points = found.points.iter();
        points.any(|point| point.kind == Kind::Once && point.symbol == **hook)
    };
    for hook in found.hooks.iter().filter(seen_once) {
        let slow = match &*of(hook, Kind::Allocate) {
            "" => "there is no slow part".to_owned(),
            slow => format!("two for the slow part, from {slow}"),
        };
        let places = of(hook, Kind::Once);
        checks.push(Check::ok(
            NAME,
            format!(
                "{}: one trap for an allocation by {hook}, at {places}; {slow}",
                found.name
            ),
        ));
    }
    let refused = found.two_traps.iter().map(|(hook, why)| {
        let told = format!("{}: two traps for an allocation by {hook}: {why}", found.name);
        Check::ok(NAME, told)
    });
    checks.extend(refused);
    checks
}

fn name(point: &AttachPoint) -> String {
    match point.placement.beyond {
        0 => point.symbol.clone(),
        beyond => format!("{}+{beyond}", point.symbol),
    }
}

/// Names once each: the returns of a function come one after the other.
fn list(mut names: Vec<String>) -> String {
    names.dedup();
    names.join(", ")
}
