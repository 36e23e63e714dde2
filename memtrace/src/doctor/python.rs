//! Whether stacks of a process have Python frames.

use super::Check;
use crate::{
    process::AddressSpace,
    python::{self, Found, Judged, Mapped},
};

pub(super) const NAME: &str = "python";

/// What would be found of an interpreter; nothing for a program that has none.
pub(super) fn checks(space: &AddressSpace) -> Vec<Check> {
    let modules = space.modules();
    let found: Vec<(&str, Found)> = modules
        .iter()
        .map(|module| {
            let found = module.file().map_or(Found::Nothing, python::find);
            (module.name.as_str(), found)
        })
        .collect();
    let mapped = space.code().iter().filter_map(|code| {
        let (name, found) = found.get(code.module as usize)?;
        Some(Mapped {
            start: code.start,
            offset: code.offset,
            name,
            found,
        })
    });
    of(&python::judge(mapped))
}

fn of(judged: &Judged<'_>) -> Vec<Check> {
    match judged {
        Judged::Nothing => Vec::new(),
        Judged::Readable { interpreter, name, .. } => vec![Check::ok(
            NAME,
            format!("{} in {name}: stacks have Python frames", interpreter.version),
        )],
        Judged::Refused(why) | Judged::Incomplete(why) => {
            vec![Check::warning(NAME, why).remedy("native frames are complete; Python functions are not among them")]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Level, *};

    #[test]
    fn what_is_refused_says_why_and_what_is_no_python_says_nothing() {
        assert!(of(&Judged::Nothing).is_empty());
        let checks = of(&Judged::Refused("it is Python 3.7.1".to_owned()));
        assert_eq!((checks.len(), checks[0].level), (1, Level::Warning));
        assert!(checks[0].what.contains("3.7.1"));
        let own = AddressSpace::read(std::process::id()).unwrap();
        assert!(super::checks(&own).is_empty());
    }
}
