//! Where the probes of an allocator lie, and why not elsewhere.

use super::Check;
use crate::plan::{AttachPoint, Cost, Found};

const NAME: &str = "probes";

/// One line for the probes at instructions that the kernel emulates, one for each reason why others are not.
pub(super) fn checks(found: &Found) -> Vec<Check> {
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
