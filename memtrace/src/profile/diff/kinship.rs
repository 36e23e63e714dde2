//! Whether two profiles are of one program. If they are not they can be compared all the same, and it is said what that is worth.

use super::super::Target;

/// How the programs of two profiles are related.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Kinship {
    /// The same, as far as it is known.
    Same,
    /// Two builds of a program.
    Rebuilt,
    /// Two programs, or two selections of several: what they are.
    Different(String, String),
}

impl Kinship {
    /// Judges by the name of the executable and its build id; where several processes were observed, by what they were selected by.
    pub(super) fn of(before: &Target, after: &Target) -> Self {
        let (one, other) = (name(before), name(after));
        if one != other {
            return Self::Different(one.to_owned(), other.to_owned());
        }
        match (&before.build_id, &after.build_id) {
            (Some(before), Some(after)) if before != after => Self::Rebuilt,
            _ => Self::Same,
        }
    }
}

/// The name of the executable without its folder, or the selection where several were meant.
fn name(target: &Target) -> &str {
    match target.executable.rsplit('/').next() {
        Some(name) if !name.is_empty() => name,
        _ => &target.selection,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::fixture;

    #[test]
    fn programs_are_told_by_name_and_build() {
        let target = |executable: &str, build_id: Option<&str>| Target {
            executable: executable.into(),
            build_id: build_id.map(str::to_owned),
            ..fixture::empty().target
        };
        let of = |one: &Target, other: &Target| Kinship::of(one, other);
        let app = target("/usr/bin/app", Some("aa"));
        assert_eq!(of(&app, &target("/opt/app", Some("aa"))), Kinship::Same);
        assert_eq!(
            of(&app, &target("/opt/app", None)),
            Kinship::Same,
            "what is not known is no difference"
        );
        assert_eq!(of(&app, &target("/opt/app", Some("ab"))), Kinship::Rebuilt);
        let different = Kinship::Different("app".into(), "sh".into());
        assert_eq!(of(&app, &target("/bin/sh", Some("aa"))), different);
        let (mut one, mut other) = (target("", None), target("", None));
        (one.selection, other.selection) = ("programs named a".into(), "programs named b".into());
        assert!(matches!(of(&one, &other), Kinship::Different(..)));
        assert_eq!(of(&one, &one), Kinship::Same);
    }
}
