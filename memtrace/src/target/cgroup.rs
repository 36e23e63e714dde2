//! Cgroups: where their hierarchies are mounted, which directories a path means, and which processes are in them.
//!
//! A machine has the unified hierarchy (version 2), those of version 1 (one for each set of controllers), or both (hybrid). A path such
//! as `system.slice/cron.service` may be in several of them.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Component, Path, PathBuf},
};

/// Most cgroups that are looked at to find near names.
const LOOKED_AT: usize = 20_000;
/// Most near names that are told.
const NEAR: usize = 5;

/// A hierarchy that is mounted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Hierarchy {
    /// Where.
    pub mount_point: PathBuf,
    /// Which cgroup of the hierarchy that directory is: `/` but in containers.
    pub root: PathBuf,
    /// Whether it is the unified hierarchy.
    pub unified: bool,
}

/// The hierarchies in a text of `/proc/PID/mountinfo`, the unified one first.
pub fn hierarchies(mountinfo: &str) -> Vec<Hierarchy> {
    let mut found: Vec<_> = mountinfo.lines().filter_map(hierarchy).collect();
    found.sort_by_key(|hierarchy| !hierarchy.unified);
    found.dedup();
    found
}

/// A line (`proc_pid_mountinfo(5)`): `36 35 98:0 ROOT MOUNT_POINT options optional fields - TYPE source options`.
fn hierarchy(line: &str) -> Option<Hierarchy> {
    let (mount, file_system) = line.split_once(" - ")?;
    let unified = match file_system.split(' ').next()? {
        "cgroup2" => true,
        "cgroup" => false,
        _ => return None,
    };
    let mut fields = mount.split(' ').skip(3);
    let mut path = || fields.next().map(|field| PathBuf::from(unescape(field)));
    Some(Hierarchy {
        root: path()?,
        mount_point: path()?,
        unified,
    })
}

/// Blanks, tabs, line breaks and backslashes of a path are `\040` and the like.
fn unescape(field: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(field.to_owned(), |text, (escaped, plain)| text.replace(escaped, plain))
}

impl Hierarchy {
    /// The directory of a cgroup, which may not exist; `None` where `path` leads out of what is mounted.
    fn directory(&self, path: &Path) -> Option<PathBuf> {
        let below = path.strip_prefix(&self.root).unwrap_or(path);
        let mut directory = self.mount_point.clone();
        for component in below.components() {
            match component {
                Component::Normal(name) => directory.push(name),
                Component::RootDir | Component::CurDir => {}
                Component::ParentDir | Component::Prefix(_) => return None,
            }
        }
        Some(directory)
    }
}

/// What a path means.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Place {
    /// The path below the root of the hierarchy, with a slash before it.
    pub name: String,
    /// Its directories: one for each hierarchy that has it, or that one in which it was given.
    pub directories: Vec<PathBuf>,
}

/// Where a path was looked for in vain, and cgroups with a name like it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct NotFound {
    /// The directories that there are not.
    pub looked_at: Vec<PathBuf>,
    /// Paths of cgroups of a similar name.
    pub near: Vec<String>,
}

/// Finds a cgroup by its path below the root, or by the path of its directory.
///
/// # Errors
/// There is none.
pub fn find(asked: &Path, hierarchies: &[Hierarchy]) -> Result<Place, NotFound> {
    // The path of a directory: the hierarchy with the longest mount point that it begins with.
    let mounted = hierarchies
        .iter()
        .filter_map(|hierarchy| Some((hierarchy, asked.strip_prefix(&hierarchy.mount_point).ok()?)))
        .max_by_key(|(hierarchy, _)| hierarchy.mount_point.as_os_str().len());
    let tried: Vec<PathBuf> = match mounted {
        Some((hierarchy, below)) => hierarchy.directory(below).into_iter().collect(),
        None => hierarchies
            .iter()
            .filter_map(|hierarchy| hierarchy.directory(asked))
            .collect(),
    };
    let below = mounted.map_or(asked, |(_, below)| below);
    let (mut directories, looked_at): (Vec<_>, Vec<_>) = tried.into_iter().partition(|directory| is_cgroup(directory));
    // A hierarchy may be mounted more than once.
    let mut known = Vec::new();
    directories.retain(|directory| {
        let this = fs::metadata(directory).map(|file| (file.dev(), file.ino())).ok();
        let new = !known.contains(&this);
        known.push(this);
        new
    });
    if directories.is_empty() {
        return Err(NotFound {
            looked_at,
            near: near(below, hierarchies),
        });
    }
    Ok(Place {
        name: name(below),
        directories,
    })
}

/// The path as text, from a slash on, without what says nothing.
fn name(path: &Path) -> String {
    let parts = path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(format!("/{}", name.to_string_lossy())),
        _ => None,
    });
    let name: String = parts.collect();
    if name.is_empty() { "/".to_owned() } else { name }
}

/// Whether a directory is a cgroup: each has this file.
pub fn is_cgroup(directory: &Path) -> bool {
    directory.join("cgroup.procs").is_file()
}

/// Cgroups whose last part is like that of `path`.
fn near(path: &Path, hierarchies: &[Hierarchy]) -> Vec<String> {
    let Some(wanted) = path.file_name().map(|name| stem(&name.to_string_lossy())) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for hierarchy in hierarchies {
        for directory in below(&hierarchy.mount_point).take(LOOKED_AT) {
            let last = directory.file_name().map(|name| stem(&name.to_string_lossy()));
            let alike = last.is_some_and(|last| {
                let (short, long) = if last.len() < wanted.len() {
                    (&last, &wanted)
                } else {
                    (&wanted, &last)
                };
                short.len() >= 3 && long.contains(short.as_str())
            });
            if alike && let Ok(below) = directory.strip_prefix(&hierarchy.mount_point) {
                found.push(below.to_string_lossy().into_owned());
            }
        }
    }
    found.sort_by_key(|name| (name.len(), name.clone()));
    found.dedup();
    found.truncate(NEAR);
    found
}

/// A name as it is compared: without the kind of unit, and whatever its case.
fn stem(name: &str) -> String {
    let kinds = [".service", ".slice", ".scope"];
    let stem = kinds.iter().find_map(|kind| name.strip_suffix(kind)).unwrap_or(name);
    stem.to_lowercase()
}

/// A directory and all that are below it, parents first.
fn below(directory: &Path) -> impl Iterator<Item = PathBuf> {
    let mut waiting = vec![directory.to_owned()];
    std::iter::from_fn(move || {
        let next = waiting.pop()?;
        // One that is removed meanwhile has nobody in it.
        for entry in fs::read_dir(&next).into_iter().flatten().flatten() {
            // Links are not followed: there are none in a hierarchy.
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                waiting.push(entry.path());
            }
        }
        Some(next)
    })
}

/// The processes in cgroups and in all below them, in order.
///
/// # Errors
/// A list that cannot be read for another reason than that its cgroup has been removed.
pub fn processes(directories: &[PathBuf]) -> io::Result<Vec<u32>> {
    let mut found = Vec::new();
    for directory in directories.iter().flat_map(|directory| below(directory)) {
        match fs::read_to_string(directory.join("cgroup.procs")) {
            // 0 is a process that has no number where memtrace runs.
            Ok(text) => found.extend(
                text.lines()
                    .filter_map(|line| line.parse::<u32>().ok())
                    .filter(|&pid| pid != 0),
            ),
            // EOPNOTSUPP: only threads are placed in it, and their processes are listed in the cgroup above.
            Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => found.extend(threads(&directory)),
            Err(error) if error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ENODEV) => {}
            Err(error) => return Err(error),
        }
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// The processes of the threads in a cgroup for threads.
fn threads(directory: &Path) -> Vec<u32> {
    let text = fs::read_to_string(directory.join("cgroup.threads")).unwrap_or_default();
    let process = |tid: &str| {
        let status = fs::read(format!("/proc/{}/status", tid.parse::<u32>().ok()?)).ok()?;
        super::field(&String::from_utf8_lossy(&status), "Tgid").parse().ok()
    };
    text.lines().filter_map(process).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Makes a cgroup of a tree of plain directories.
    pub(in crate::target) fn make(root: &Path, path: &str, pids: &str) {
        let directory = root.join(path);
        fs::create_dir_all(&directory).unwrap();
        for parent in directory.ancestors().take_while(|parent| parent.starts_with(root)) {
            let list = parent.join("cgroup.procs");
            if !list.exists() {
                fs::write(list, "").unwrap();
            }
        }
        fs::write(directory.join("cgroup.procs"), pids).unwrap();
    }

    /// A hierarchy at a directory.
    pub(in crate::target) fn at(mount_point: &Path) -> Hierarchy {
        Hierarchy {
            mount_point: mount_point.to_owned(),
            root: "/".into(),
            unified: true,
        }
    }

    #[test]
    fn hierarchies_of_every_kind_of_machine() {
        let mounts = |text: &str| -> Vec<_> {
            hierarchies(text)
                .into_iter()
                .map(|found| (found.mount_point, found.root, found.unified))
                .collect()
        };
        let unified = "24 1 0:22 / /sys rw shared:7 - sysfs sysfs rw\n\
                       31 24 0:27 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";
        assert_eq!(mounts(unified), [("/sys/fs/cgroup".into(), "/".into(), true)]);
        let hybrid = "31 24 0:27 / /sys/fs/cgroup ro - tmpfs tmpfs ro\n\
                      33 31 0:29 / /sys/fs/cgroup/systemd rw shared:10 - cgroup cgroup rw,xattr,name=systemd\n\
                      36 31 0:33 / /sys/fs/cgroup/memory rw shared:15 - cgroup cgroup rw,memory\n\
                      32 31 0:28 / /sys/fs/cgroup/unified rw shared:9 - cgroup2 cgroup2 rw\n";
        assert_eq!(
            mounts(hybrid),
            [
                ("/sys/fs/cgroup/unified".into(), "/".into(), true),
                ("/sys/fs/cgroup/systemd".into(), "/".into(), false),
                ("/sys/fs/cgroup/memory".into(), "/".into(), false),
            ]
        );
        let container = "900 800 0:27 /docker/abc /mnt/my\\040groups ro - cgroup2 cgroup rw\nrubbish\n1 2 - cgroup2\n";
        assert_eq!(
            mounts(container),
            [("/mnt/my groups".into(), "/docker/abc".into(), true)]
        );
    }

    #[test]
    fn a_path_is_found_in_every_hierarchy_that_has_it() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        make(one.path(), "system.slice/web.service", "1\n");
        make(two.path(), "system.slice/web.service", "1\n");
        make(two.path(), "system.slice/other.service", "2\n");
        let both = [at(one.path()), at(two.path())];
        let place = find(Path::new("system.slice/web.service/"), &both).unwrap();
        assert_eq!(place.name, "/system.slice/web.service");
        assert_eq!(place.directories.len(), 2);
        let place = find(Path::new("/system.slice/other.service"), &both).unwrap();
        assert_eq!(place.directories, [two.path().join("system.slice/other.service")]);
        // The path of a directory means that one.
        let place = find(&one.path().join("system.slice/web.service"), &both).unwrap();
        assert_eq!(place.name, "/system.slice/web.service");
        assert_eq!(place.directories, [one.path().join("system.slice/web.service")]);
        assert_eq!(find(Path::new("/"), &both).unwrap().name, "/");
        // The same hierarchy mounted twice is one.
        let twice = [at(one.path()), at(&one.path().join("."))];
        assert_eq!(find(Path::new("system.slice"), &twice).unwrap().directories.len(), 1);
    }

    #[test]
    fn in_a_container_the_path_of_the_host_is_understood() {
        let here = tempfile::tempdir().unwrap();
        make(here.path(), "app", "1\n");
        let inside = Hierarchy {
            root: "/docker/abc".into(),
            ..at(here.path())
        };
        for path in ["/docker/abc/app", "app", "/app"] {
            let place = find(Path::new(path), std::slice::from_ref(&inside)).unwrap();
            assert_eq!(place.directories, [here.path().join("app")], "{path}");
        }
    }

    #[test]
    fn what_is_not_there_is_said_with_near_names() {
        let here = tempfile::tempdir().unwrap();
        make(here.path(), "system.slice/nginx.service", "");
        make(here.path(), "system.slice/nginx-debug.service", "");
        make(here.path(), "user.slice", "");
        // A directory that is no cgroup.
        fs::create_dir(here.path().join("plain")).unwrap();
        let all = [at(here.path())];
        let missing = find(Path::new("Nginx"), &all).unwrap_err();
        assert_eq!(missing.looked_at, [here.path().join("Nginx")]);
        assert_eq!(
            missing.near,
            ["system.slice/nginx.service", "system.slice/nginx-debug.service"]
        );
        assert!(find(Path::new("plain"), &all).is_err());
        assert_eq!(
            find(Path::new("../../etc"), &all).unwrap_err().looked_at,
            Vec::<PathBuf>::new()
        );
        assert_eq!(find(Path::new("x"), &[]), Err(NotFound::default()));
    }

    #[test]
    fn processes_of_all_levels_once_each() {
        let here = tempfile::tempdir().unwrap();
        make(here.path(), "a", "7\n3\n0\n");
        make(here.path(), "a/b/c", "5\n7\n");
        make(here.path(), "other", "9\n");
        assert_eq!(processes(&[here.path().join("a")]).unwrap(), [3, 5, 7]);
        assert_eq!(
            processes(&[here.path().join("a"), here.path().join("other")]).unwrap(),
            [3, 5, 7, 9]
        );
        assert!(processes(&[here.path().join("gone")]).unwrap().is_empty());
    }
}
