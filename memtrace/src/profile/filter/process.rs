//! Sites of some processes. A site knows its group alone, so this works where a group is of chosen processes or of others, not of both.

use std::fmt;

use super::{
    super::{Process, Profile, Site},
    FilterError,
};

/// A process by its number, or processes by the name of their program.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ProcessPattern {
    /// That with this process id.
    Pid(u32),
    /// All with this name of the main thread (`comm`).
    Command(String),
}

impl ProcessPattern {
    /// A number is a process id, anything else a name.
    pub fn new(text: &str) -> Self {
        text.parse()
            .map_or_else(|_not_a_number| Self::Command(text.to_owned()), Self::Pid)
    }

    /// Whether a process is meant.
    pub(super) fn matches_process(&self, process: &Process) -> bool {
        self.matches(process.pid, &process.command)
    }

    fn matches(&self, pid: u32, command: &str) -> bool {
        match self {
            Self::Pid(asked) => *asked == pid,
            Self::Command(asked) => asked == command,
        }
    }
}

impl fmt::Display for ProcessPattern {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pid(pid) => write!(out, "{pid}"),
            Self::Command(command) => out.write_str(command),
        }
    }
}

/// Which groups are kept.
pub(super) enum Chosen {
    /// All sites are.
    All,
    /// Those of these groups.
    Groups(Vec<usize>),
}

impl Chosen {
    pub(super) fn keep(&self, site: &Site) -> bool {
        match self {
            Self::All => true,
            Self::Groups(groups) => site.group.is_some_and(|group| groups.contains(&group)),
        }
    }
}

/// How many processes an error names.
const NAMED: usize = 8;

/// The groups of the processes that are asked for.
pub(super) fn chosen(asked: &[ProcessPattern], profile: &Profile) -> Result<Chosen, FilterError> {
    if asked.is_empty() {
        return Ok(Chosen::All);
    }
    let target = [Process {
        pid: profile.target.pid,
        command: profile.target.command.clone(),
        ..Process::default()
    }];
    let known = if profile.processes.is_empty() {
        &target
    } else {
        profile.processes.as_slice()
    };
    let matches = |process: &Process| asked.iter().any(|pattern| pattern.matches_process(process));
    if let Some(missing) = asked
        .iter()
        .find(|pattern| !known.iter().any(|process| pattern.matches_process(process)))
    {
        let mut names: Vec<_> = known.iter().take(NAMED).map(group_of_process).collect();
        if known.len() > NAMED {
            names.push(format!("{} more", known.len() - NAMED));
        }
        return Err(FilterError::NoProcess {
            asked: missing.to_string(),
            known: names.join(", "),
        });
    }
    // Processes that are not listed may be of any group that is not one process's.
    if known.iter().all(matches) && profile.processes_dropped == 0 {
        return Ok(Chosen::All);
    }
    let mut groups = Vec::new();
    for (group, name) in profile.groups.iter().enumerate() {
        let (mut chosen, mut others) = (false, profile.processes_dropped > 0 && !name.ends_with(')'));
        for process in known.iter().filter(|process| is_of(process, name)) {
            if matches(process) {
                chosen = true;
            } else {
                others = true;
            }
        }
        // A program's group is all processes of that name, also those that are not listed.
        let by_name = |pattern: &ProcessPattern| matches!(pattern, ProcessPattern::Command(command) if command == name);
        match (chosen, others) {
            (true, true) if !asked.iter().any(by_name) => return Err(FilterError::Shared(list(asked))),
            (true, _) => groups.push(group),
            (false, _) => {}
        }
    }
    // Where nothing is kept apart, sites have no group that tells.
    if groups.is_empty() || profile.sites.iter().any(|site| site.group.is_none()) {
        return Err(FilterError::Shared(list(asked)));
    }
    Ok(Chosen::Groups(groups))
}

fn list(asked: &[ProcessPattern]) -> String {
    asked.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// What the group of a process by itself is called.
fn group_of_process(process: &Process) -> String {
    format!("{} ({})", process.command, process.pid)
}

/// Whether a process belongs to a group of this name: its own, its program's or its container's.
fn is_of(process: &Process, group: &str) -> bool {
    group == group_of_process(process)
        || group == process.command
        || group == process.container.as_deref().unwrap_or("outside of containers")
}
