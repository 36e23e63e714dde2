//! Whether stacks of a process have frames of JavaScript, and whether the heap of JavaScript's objects is counted.

use super::Check;
use crate::{
    plan::{Cost, V8Heap},
    process::AddressSpace,
    v8::{
        self,
        engine::{Found, find},
    },
};

pub(super) const NAME: &str = "javascript";

/// What would be found of V8; nothing for a program that has none.
pub(super) fn checks(space: &AddressSpace) -> Vec<Check> {
    let modules = space.modules();
    let mapped = space.mapped().filter_map(|index| modules.get(index as usize));
    mapped
        .filter_map(|module| of(&module.name, module.file().map_or(Found::Nothing, find)))
        .collect()
}

fn of(name: &str, found: Found) -> Option<Check> {
    let readable = match found {
        Found::Nothing => return None,
        Found::Refused(why) => Err(why),
        Found::Engine(engine) => v8::layout(&engine).map(|_layout| engine.version),
    };
    Some(match readable {
        Ok(version) => Check::ok(
            NAME,
            format!("V8 {version} in {name}: stacks have frames of JavaScript"),
        ),
        Err(why) => Check::warning(NAME, format!("{name} has no frames of JavaScript in stacks: {why}"))
            .remedy("native frames are complete; functions of JavaScript are not among them"),
    })
}

/// Where V8 tells of its heap, in a file that it is in.
pub(super) fn heap(heap: &V8Heap, file: &str) -> Check {
    let places = heap.points.iter().map(|point| {
        let function = point.symbol.rsplit("::").next().unwrap_or_default();
        let cost = match point.placement.cost {
            Cost::Emulated => "emulated",
            Cost::Stepped(_) => "single-stepped",
        };
        format!("{function}+{} {cost}", point.placement.beyond)
    });
    let places: Vec<_> = places.collect();
    Check::ok(
        NAME,
        format!(
            "V8 {} in {file}: what JavaScript allocates and V8 collects is counted, by {}",
            heap.version,
            places.join(", ")
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::{super::Level, *};

    #[test]
    fn what_is_refused_says_why_and_what_has_no_engine_says_nothing() {
        assert!(of("x", Found::Nothing).is_none());
        let check = of("node", Found::Refused("it is V8 9.4.146".to_owned())).unwrap();
        assert_eq!(check.level, Level::Warning);
        assert!(check.what.contains("V8 9.4.146"));
        let own = AddressSpace::read(std::process::id()).unwrap();
        assert!(checks(&own).is_empty());
    }
}
