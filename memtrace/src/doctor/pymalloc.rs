//! What can be seen of a Python interpreter's own allocator.

use super::{Check, Level};
use crate::{
    plan::{
        Cost,
        pymalloc::{Class, Kind, Point, PymallocPlan, ROLES},
    },
    pymalloc::{
        Mode,
        report::{Report, look},
    },
};

const NAME: &str = "python";

/// Gaps that are told one by one.
const MOST_GAPS: usize = 3;

/// All of them; none for a program that has no interpreter.
pub(super) fn checks(pid: u32) -> Vec<Check> {
    look(pid).map(|report| judge(&report)).unwrap_or_default()
}

fn judge(report: &Report) -> Vec<Check> {
    let Report {
        file,
        version,
        allocator,
    } = report;
    let what = format!("Python {version} in {file}");
    let (mode, plan) = match allocator {
        Ok(allocator) => allocator,
        Err(why) => {
            return vec![Check::warning(
                NAME,
                format!("{what}: where its pymalloc allocates is not known: {why}"),
            )];
        }
    };
    let level = match mode {
        Mode::Unknown => Level::Warning,
        _ => Level::Ok,
    };
    let mut checks = vec![
        Check {
            level,
            ..Check::ok(NAME, format!("{what}: {}", mode.words()))
        },
        Check::ok(NAME, class(plan)),
    ];
    checks.extend(functions(plan));
    if ROLES.into_iter().any(|role| plan.count(Kind::Site, role) > 0) {
        checks.push(sites(plan));
    }
    checks.push(match &plan.refill {
        Ok((offset, placement)) => Check::ok(
            NAME,
            format!("new pools are taken by the function at {offset:#x}, {placement}"),
        ),
        Err(why) => Check::warning(NAME, format!("where new pools are taken is not known: {why}")),
    });
    let gaps = plan.gaps.iter().take(MOST_GAPS);
    checks.extend(gaps.map(|gap| Check::warning(NAME, gap.clone())));
    if plan.gaps.len() > MOST_GAPS {
        checks.push(Check::warning(
            NAME,
            format!(
                "{} more calls would not be seen, for such reasons",
                plan.gaps.len() - MOST_GAPS
            ),
        ));
    }
    checks
}

fn class(plan: &PymallocPlan) -> String {
    match (plan.class, plan.gaps.is_empty()) {
        (Class::Direct, true) => "all calls of pymalloc reach its four functions: probes there would see every object".to_owned(),
        (Class::Direct, false) => "calls of pymalloc reach its four functions, as far as they were understood".to_owned(),
        (Class::Promoted, true) => {
            "the compiler put pymalloc's code where it is called: probes there and in its functions would see every object".to_owned()
        }
        (Class::Promoted, false) => "the compiler put pymalloc's code where it is called, and not all such places are proven".to_owned(),
    }
}

fn functions(plan: &PymallocPlan) -> Vec<Check> {
    let points = plan.points.iter().filter(|point| point.kind == Kind::Function);
    points
        .map(|point| {
            let emulated = match point.placement.cost {
                Cost::Emulated => "emulated".to_owned(),
                Cost::Stepped(why) => format!("single-stepped, which costs more: {why}"),
            };
            let (role, offset) = (point.role, point.offset);
            Check::ok(
                NAME,
                format!("{role} at {offset:#x} ({}), {emulated}", arguments(point)),
            )
        })
        .collect()
}

/// Where the arguments are.
fn arguments(point: &Point) -> String {
    let named = [("old", point.old), ("count", point.count), ("size", point.size)];
    let all: Vec<String> = named
        .into_iter()
        .filter_map(|(name, place)| Some(format!("{name} {}", place?)))
        .collect();
    all.join(", ")
}

fn sites(plan: &PymallocPlan) -> Check {
    let counts: Vec<String> = ROLES
        .into_iter()
        .map(|role| format!("{} of {role}", plan.count(Kind::Site, role)))
        .collect();
    Check::ok(
        NAME,
        format!("calls by code in line, all emulated: {}", counts.join(", ")),
    )
}
