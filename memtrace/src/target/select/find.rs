//! Finding processes, cgroups and containers in `/proc`.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use super::{
    super::{
        cgroup::{self, Hierarchy, NotFound},
        container::{self, Container},
    },
    CgroupTarget, SelectError,
};
use crate::process::program_name;

/// Fewest characters of an id.
const LEAST: usize = 6;

/// The numbers of all processes, in order.
pub(super) fn processes(proc: &Path) -> io::Result<Vec<u32>> {
    let entries = fs::read_dir(proc)?.flatten();
    let mut found: Vec<u32> = entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    found.sort_unstable();
    Ok(found)
}

/// Whether a process runs a program of this name.
pub(super) fn is_named(proc: &Path, pid: u32, name: &[u8]) -> bool {
    program_name(proc, pid).is_ok_and(|found| found == name)
}

/// Whether a process runs a program: it is no kernel thread and has not ended.
pub(super) fn is_program(proc: &Path, pid: u32) -> bool {
    let Ok(stat) = fs::read(proc.join(format!("{pid}/stat"))) else {
        return false;
    };
    super::super::stat_flags(&stat)
        .is_some_and(|(state, flags)| !matches!(state, 'Z' | 'X') && flags & super::super::PF_KTHREAD == 0)
}

/// The cgroup of a path.
pub(super) fn cgroup(asked: &Path, hierarchies: &[Hierarchy]) -> Result<CgroupTarget, SelectError> {
    match cgroup::find(asked, hierarchies) {
        Ok(place) => Ok(CgroupTarget {
            name: place.name,
            directories: place.directories,
            container: None,
        }),
        Err(NotFound { looked_at, near }) => Err(SelectError::NoSuchCgroup {
            asked: asked.to_owned(),
            looked_at,
            near,
        }),
    }
}

/// The cgroup of a container, found among those of all processes.
pub(super) fn container(asked: &str, proc: &Path, hierarchies: &[Hierarchy]) -> Result<CgroupTarget, SelectError> {
    // Kubernetes writes `containerd://ID`.
    let wanted = asked.rsplit_once("://").map_or(asked, |(_, id)| id);
    let running = running(proc).map_err(SelectError::Processes)?;
    let same: Vec<_> = running.values().filter(|one| one.container.id == wanted).collect();
    let found = if same.is_empty() {
        beginning(asked, wanted, &running)?
    } else {
        same
    };
    let [one] = found.as_slice() else {
        return Err(SelectError::Ambiguous {
            asked: asked.to_owned(),
            found: found
                .iter()
                .map(|one| format!("{} {}", one.container.runtime, one.container.id))
                .collect(),
        });
    };
    one.target(hierarchies)
}

/// The containers whose id begins so.
fn beginning<'running>(
    asked: &str,
    wanted: &str,
    running: &'running BTreeMap<(&'static str, String), Running>,
) -> Result<Vec<&'running Running>, SelectError> {
    let wanted = wanted.to_ascii_lowercase();
    let id = container::is_hexadecimal(&wanted);
    let mut found = Vec::new();
    if id && wanted.len() >= LEAST {
        found.extend(
            running
                .values()
                .filter(|one| container::is_id(&one.container.id) && one.container.id.starts_with(&wanted)),
        );
    }
    match (found.is_empty(), id && wanted.len() < LEAST) {
        (false, _) => Ok(found),
        (true, true) => Err(SelectError::TooShort {
            asked: asked.to_owned(),
            least: LEAST,
        }),
        (true, false) => Err(SelectError::NoSuchContainer {
            asked: asked.to_owned(),
            running: running
                .values()
                .map(|one| format!("{} {}", one.container.runtime, one.container.name()))
                .collect(),
        }),
    }
}

/// A container that has processes.
struct Running {
    container: Container,
    /// Paths of its cgroup; they may differ from hierarchy to hierarchy.
    paths: Vec<String>,
}

impl Running {
    fn target(&self, hierarchies: &[Hierarchy]) -> Result<CgroupTarget, SelectError> {
        let mut directories: Vec<PathBuf> = Vec::new();
        for path in &self.paths {
            let place = cgroup::find(Path::new(path), hierarchies);
            directories.extend(place.into_iter().flat_map(|place| place.directories));
        }
        directories.sort();
        directories.dedup();
        let name = self.paths.first().cloned().unwrap_or_default();
        if directories.is_empty() {
            return Err(SelectError::Hidden {
                container: format!("{} {}", self.container.runtime, self.container.name()),
                cgroup: name,
            });
        }
        Ok(CgroupTarget {
            name,
            directories,
            container: Some(self.container.clone()),
        })
    }
}

/// The containers that have processes, by id, or by runtime and name. Nested ones each are there.
fn running(proc: &Path) -> io::Result<BTreeMap<(&'static str, String), Running>> {
    let mut found = BTreeMap::new();
    for pid in processes(proc)? {
        // One that has ended meanwhile is in none.
        let text = fs::read(proc.join(format!("{pid}/cgroup"))).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        for (container, path) in container::paths(&text).flat_map(container::along) {
            // An id says it all; a name may be that of another runtime's container as well.
            let runtime = if container::is_id(&container.id) {
                ""
            } else {
                container.runtime
            };
            let one = found.entry((runtime, container.id.clone())).or_insert_with(|| Running {
                container,
                paths: Vec::new(),
            });
            if !one.paths.iter().any(|known| known == path) {
                one.paths.push(path.to_owned());
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::{
        super::super::cgroup::tests::{at, make},
        *,
    };

    const FIRST: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    const SECOND: &str = "0123456fffffffff0123456789abcdef0123456789abcdef0123456789abcdef";

    /// A process in a directory that stands for `/proc`.
    fn process(proc: &Path, pid: u32, cgroup: &str) {
        let directory = proc.join(pid.to_string());
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join("cgroup"), cgroup).unwrap();
    }

    #[test]
    fn a_container_is_found_by_id_beginning_and_name() {
        let (proc, root) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir(proc.path().join("self")).unwrap();
        process(proc.path(), 1, "0::/init.scope\n");
        process(proc.path(), 20, &format!("0::/docker/{FIRST}/inner\n"));
        process(proc.path(), 21, &format!("0::/docker/{FIRST}\n"));
        process(proc.path(), 22, &format!("0::/system.slice/docker-{SECOND}.scope\n"));
        process(proc.path(), 23, "0::/lxc/web\n");
        process(proc.path(), 24, &format!("0::/docker/{}\n", "ee".repeat(32)));
        make(root.path(), &format!("docker/{FIRST}/inner"), "20\n");
        make(root.path(), &format!("system.slice/docker-{SECOND}.scope"), "22\n");
        make(root.path(), "lxc/web", "23\n");
        let find = |asked: &str| container(asked, proc.path(), &[at(root.path())]);
        let first = root.path().join("docker").join(FIRST);
        for asked in [FIRST, "0123456789", "0123456789AB", &format!("docker://{FIRST}")] {
            let target = find(asked).unwrap();
            assert_eq!(target.directories, [first.as_path()], "{asked}");
            assert_eq!(target.name, format!("/docker/{FIRST}"));
            assert_eq!(target.container.unwrap().name(), "0123456789ab");
        }
        assert_eq!(find("web").unwrap().directories, [root.path().join("lxc/web")]);
        assert!(matches!(find("0123456"), Err(SelectError::Ambiguous { found, .. }) if found.len() == 2));
        assert!(matches!(find("01234"), Err(SelectError::TooShort { .. })));
        assert!(matches!(find("abcdef123"), Err(SelectError::NoSuchContainer { running, .. }) if running.len() == 4));
        // A name that is known to the daemon only.
        let error = find("my-nginx").unwrap_err().to_string();
        assert!(error.contains("docker inspect") && error.contains("lxc web"), "{error}");
        assert!(matches!(find("eeeeee"), Err(SelectError::Hidden { .. })));
    }

    #[test]
    fn hierarchies_of_version_1_each_have_their_directory() {
        let proc = tempfile::tempdir().unwrap();
        let (memory, pids) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        process(proc.path(), 9, "5:pids:/lxc.payload.web\n4:memory:/lxc/web\n1:cpu:/\n");
        make(memory.path(), "lxc/web", "9\n");
        make(pids.path(), "lxc.payload.web", "9\n");
        let target = container("web", proc.path(), &[at(memory.path()), at(pids.path())]).unwrap();
        assert_eq!(target.directories.len(), 2);
    }

    #[test]
    fn damaged_files_are_no_programs() {
        let proc = tempfile::tempdir().unwrap();
        fs::create_dir(proc.path().join("5")).unwrap();
        for (text, program) in [
            ("5 (a) b) S 1 5 5 0 -1 4194304 0", true),
            ("5 (a) Z 1 5 5 0 -1 4194304 0", false),
            ("5 (kthreadd) S 0 0 0 0 -1 2129984 0", false),
            ("", false),
            ("5 (a", false),
        ] {
            fs::write(proc.path().join("5/stat"), text).unwrap();
            assert_eq!(is_program(proc.path(), 5), program, "{text}");
        }
    }
}
