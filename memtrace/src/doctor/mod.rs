//! What would work here, and what to do about the rest: checks of the machine and of one process.
//!
//! Nothing is attached and nothing is changed. Each check is split in two: a function that looks, and a pure one that
//! judges what was seen, so that machines unlike this one can be tested for.

mod debug_info;
mod frame_pointers;
mod javascript;
mod kernel_features;
mod machine;
mod placement;
mod privileges;
mod pymalloc;
mod python;
mod subject;
mod target;
pub mod text;
mod unwinding;

/// How a check ended. Ordered: the later is the worse.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Level {
    /// As it should be.
    Ok,
    /// memtrace works, but reports less than it could, or slower.
    Warning,
    /// memtrace does not work.
    Fails,
}

/// One thing that was looked at.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Check {
    /// What was looked at, in one or two words.
    pub name: &'static str,
    /// How it ended.
    pub level: Level,
    /// What was found.
    pub what: String,
    /// What the user can do, where anything can be done.
    pub remedy: Option<String>,
}

impl Check {
    fn ok(name: &'static str, what: impl Into<String>) -> Self {
        Self {
            name,
            level: Level::Ok,
            what: what.into(),
            remedy: None,
        }
    }

    fn warning(name: &'static str, what: impl Into<String>) -> Self {
        Self {
            name,
            level: Level::Warning,
            what: what.into(),
            remedy: None,
        }
    }

    fn fails(name: &'static str, what: impl Into<String>) -> Self {
        Self {
            name,
            level: Level::Fails,
            what: what.into(),
            remedy: None,
        }
    }

    fn remedy(self, remedy: impl Into<String>) -> Self {
        Self {
            remedy: Some(remedy.into()),
            ..self
        }
    }
}

/// All checks, in the order in which they are shown.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Report {
    /// The checks.
    pub checks: Vec<Check>,
}

impl Report {
    /// Looks at this machine, and at a process where one is given.
    pub fn new(pid: Option<u32>) -> Self {
        let mut checks = machine::checks();
        if let Some(pid) = pid {
            checks.extend(target::checks(pid));
        }
        Self { checks }
    }

    /// The level of the worst check.
    pub fn worst(&self) -> Level {
        self.checks.iter().map(|check| check.level).max().unwrap_or(Level::Ok)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_check_decides() {
        let mut report = Report::default();
        assert_eq!(report.worst(), Level::Ok);
        report.checks.push(Check::warning("a", ""));
        report.checks.push(Check::ok("b", ""));
        assert_eq!(report.worst(), Level::Warning);
        report.checks.insert(0, Check::fails("c", ""));
        assert_eq!(report.worst(), Level::Fails);
    }

    #[test]
    fn without_a_process_only_the_machine_is_looked_at() {
        let (machine, both) = (Report::new(None), Report::new(Some(u32::MAX - 7)));
        assert!(machine.checks.iter().all(|check| check.name != target::NAME));
        let target = both.checks.last().unwrap();
        assert_eq!((target.name, target.level), (target::NAME, Level::Fails));
    }
}
