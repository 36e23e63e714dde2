//! Which processes are targets: by number, by name, by cgroup, or all of them.
//!
//! A selection may grow while it is observed: programs of a name start, a cgroup gets processes. So it is kept as it was meant, and
//! [`members`] tells who belongs to it now.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};

use super::{
    cgroup::{self, Hierarchy},
    container::Container,
};

mod error;
mod find;

pub use self::error::SelectError;
use crate::process::NAME_BYTES;

/// What was asked for, before anything was looked up.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Asked {
    /// Processes by number.
    Processes(Vec<u32>),
    /// Programs of a name.
    Command(String),
    /// A cgroup, by its path below the root or by that of its directory.
    Cgroup(PathBuf),
    /// A container, by its id, the beginning of its id, or its name.
    Container(String),
    /// Every process.
    All,
}

/// Which processes are targets. Its [`Display`](fmt::Display) is what reports call it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Selection {
    /// These, in the order in which they were given, each once.
    Processes(Vec<u32>),
    /// Programs whose name is this one as far as the kernel keeps it: see [`Selection::command`].
    Command(String),
    /// All processes of a cgroup and of those below it.
    Cgroup(CgroupTarget),
    /// Every process but memtrace.
    All,
}

/// A cgroup that is observed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CgroupTarget {
    /// Its path below the root of its hierarchy, for people.
    pub name: String,
    /// Its directories, one for each hierarchy that has it, the unified one first.
    pub directories: Vec<PathBuf>,
    /// The container whose cgroup it is, when it was asked for as one.
    pub container: Option<Container>,
}

impl Selection {
    /// The name that programs must have, cut to what the kernel keeps: compare with [`crate::process::program_name`] or with a task's `comm`.
    pub fn command(&self) -> Option<&[u8]> {
        match self {
            Self::Command(name) => Some(kept(name)),
            _ => None,
        }
    }

    /// Whether processes may join it that are no children of its members.
    pub const fn is_open(&self) -> bool {
        !matches!(self, Self::Processes(_))
    }
}

/// The part of a name that the kernel keeps. It cuts bytes, not characters.
fn kept(name: &str) -> &[u8] {
    name.as_bytes().get(..NAME_BYTES).unwrap_or(name.as_bytes())
}

impl fmt::Display for Selection {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Processes(pids) => match pids.as_slice() {
                [] => out.write_str("no process"),
                [pid] => write!(out, "process {pid}"),
                [first @ .., last] => {
                    let first: Vec<_> = first.iter().map(u32::to_string).collect();
                    write!(out, "processes {} and {last}", first.join(", "))
                }
            },
            Self::Command(name) => write!(out, "programs named {}", String::from_utf8_lossy(kept(name))),
            Self::Cgroup(CgroupTarget {
                container: Some(container),
                ..
            }) => write!(out, "container {} {}", container.runtime, container.name()),
            Self::Cgroup(cgroup) => write!(out, "cgroup {}", cgroup.name),
            Self::All => out.write_str("all processes"),
        }
    }
}

/// Looks up what was asked for. Whether a single process can be observed is not judged here: [`super::check`] does.
///
/// # Errors
/// A cgroup or a container that is not there, or a beginning of an id that several containers share.
pub fn resolve(asked: Asked) -> Result<Selection, SelectError> {
    match asked {
        Asked::Processes(pids) => Ok(Selection::Processes(distinct(pids))),
        Asked::Command(name) => Ok(Selection::Command(name)),
        Asked::Cgroup(path) => find::cgroup(&path, &mounted()?).map(Selection::Cgroup),
        Asked::Container(name) => find::container(&name, Path::new("/proc"), &mounted()?).map(Selection::Cgroup),
        Asked::All => Ok(Selection::All),
    }
}

/// Each once, in the order of the first.
fn distinct(pids: Vec<u32>) -> Vec<u32> {
    let mut found = Vec::with_capacity(pids.len());
    for pid in pids {
        if !found.contains(&pid) {
            found.push(pid);
        }
    }
    found
}

/// The hierarchies that memtrace sees.
fn mounted() -> Result<Vec<Hierarchy>, SelectError> {
    let text = fs::read("/proc/self/mountinfo").map_err(SelectError::Mounts)?;
    let found = cgroup::hierarchies(&String::from_utf8_lossy(&text));
    if found.is_empty() {
        return Err(SelectError::NoHierarchy);
    }
    Ok(found)
}

/// What the user should know of a selection before it is observed: a sentence each, none in most cases.
pub fn remarks(selection: &Selection) -> Vec<String> {
    let mut remarks = Vec::new();
    if let Selection::Command(name) = selection
        && name.len() > NAME_BYTES
    {
        remarks.push(format!(
            "the kernel keeps {NAME_BYTES} bytes of a program's name: programs whose name begins with \"{}\" are observed",
            String::from_utf8_lossy(kept(name))
        ));
    }
    let waits = match selection {
        Selection::Command(_) => "has started",
        Selection::Cgroup(_) => "is in it",
        Selection::Processes(_) | Selection::All => return remarks,
    };
    if members(selection).is_ok_and(|pids| pids.is_empty()) {
        remarks.push(format!("{selection}: no process now; memtrace waits until one {waits}"));
    }
    remarks
}

/// The processes that belong to a selection now, in order: never memtrace itself, no kernel thread, none that has ended.
///
/// # Errors
/// When the list of processes cannot be read.
pub fn members(selection: &Selection) -> io::Result<Vec<u32>> {
    let proc = Path::new("/proc");
    let mut found = match selection {
        Selection::Processes(pids) => pids.clone(),
        Selection::Command(name) => {
            let mut all = find::processes(proc)?;
            all.retain(|&pid| find::is_named(proc, pid, kept(name)));
            all
        }
        Selection::Cgroup(cgroup) => cgroup::processes(&cgroup.directories)?,
        Selection::All => find::processes(proc)?,
    };
    let own = std::process::id();
    found.retain(|&pid| pid != own && find::is_program(proc, pid));
    Ok(found)
}

/// Whether a selection can still get members: its cgroup is there, or one of its processes lives.
pub fn exists(selection: &Selection) -> bool {
    match selection {
        Selection::Processes(_) => members(selection).is_ok_and(|pids| !pids.is_empty()),
        Selection::Cgroup(cgroup) => cgroup.directories.iter().any(|directory| cgroup::is_cgroup(directory)),
        Selection::Command(_) | Selection::All => true,
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command, Stdio};

    use super::{super::cgroup::tests::make, *};

    /// A program that waits, with its name changed to that of the file it is started from.
    fn program(directory: &Path, name: &str) -> Child {
        let path = directory.join(name);
        fs::copy("/bin/sleep", &path).unwrap();
        let child = Command::new(path).arg("100").stdin(Stdio::null()).spawn().unwrap();
        while !find::is_named(Path::new("/proc"), child.id(), kept(name)) {
            std::thread::yield_now();
        }
        child
    }

    fn end(mut child: Child) {
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn selections_have_names() {
        let container = Container {
            runtime: "docker",
            id: "0123456789abcdef".repeat(4),
        };
        let cgroup = |container| {
            Selection::Cgroup(CgroupTarget {
                name: "/a/b".into(),
                directories: Vec::new(),
                container,
            })
        };
        let cases = [
            (Selection::Processes(vec![4242]), "process 4242"),
            (Selection::Processes(vec![3, 1, 2]), "processes 3, 1 and 2"),
            (Selection::Command("nginx".into()), "programs named nginx"),
            (cgroup(None), "cgroup /a/b"),
            (cgroup(Some(container)), "container docker 0123456789ab"),
            (Selection::All, "all processes"),
        ];
        for (selection, name) in cases {
            assert_eq!(selection.to_string(), name);
        }
    }

    #[test]
    fn a_number_counts_once() {
        assert_eq!(
            resolve(Asked::Processes(vec![5, 3, 5])).unwrap(),
            Selection::Processes(vec![5, 3])
        );
    }

    #[test]
    fn programs_are_found_by_the_name_that_the_kernel_keeps() {
        let here = tempfile::tempdir().unwrap();
        let name = "mt-größe-and-more-of-it";
        let child = program(here.path(), name);
        let selection = resolve(Asked::Command(name.into())).unwrap();
        assert_eq!(selection.command().map(<[u8]>::len), Some(NAME_BYTES));
        assert_eq!(members(&selection).unwrap(), [child.id()]);
        let said = remarks(&selection);
        assert!(said.len() == 1 && said[0].contains("15 bytes"), "{said:?}");
        end(child);
        let said = remarks(&selection);
        assert!(said.len() == 2 && said[1].contains("waits"), "{said:?}");
        assert!(exists(&selection));
    }

    #[test]
    fn members_live_and_are_not_memtrace() {
        let here = tempfile::tempdir().unwrap();
        let child = program(here.path(), "mt-member");
        let own = std::process::id();
        let processes = Selection::Processes(vec![child.id(), own, u32::MAX - 9]);
        assert_eq!(members(&processes).unwrap(), [child.id()]);
        make(here.path(), "g/below", &format!("{}\n{own}\n", child.id()));
        let cgroup = Selection::Cgroup(CgroupTarget {
            name: "/g".into(),
            directories: vec![here.path().join("g")],
            container: None,
        });
        assert_eq!(members(&cgroup).unwrap(), [child.id()]);
        let all = members(&Selection::All).unwrap();
        assert!(all.contains(&child.id()) && !all.contains(&own));
        assert!(!all.contains(&2) || fs::read_to_string("/proc/2/comm").unwrap() != "kthreadd\n");
        assert!(exists(&processes) && exists(&cgroup));
        end(child);
        fs::remove_dir_all(here.path().join("g")).unwrap();
        assert!(!exists(&processes) && !exists(&cgroup));
    }
}
