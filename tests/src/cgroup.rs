//! Cgroups that a test makes, on whatever hierarchies the machine has.

use std::{
    fs,
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU32, Ordering},
};

use crate::{PATIENCE, wait_until};

/// A version of cgroups.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Version {
    /// One hierarchy for each controller.
    One,
    /// One hierarchy for all.
    Two,
}

/// A directory of a hierarchy, removed when dropped, with those above that this made.
pub struct Cgroup {
    /// From the innermost to the outermost.
    made: Vec<PathBuf>,
    root: PathBuf,
}

impl Version {
    /// Where a hierarchy of this version is mounted.
    ///
    /// # Errors
    ///
    /// The reason in words why there is none that can be used.
    pub fn mounted(self) -> Result<PathBuf, String> {
        let mounts = fs::read_to_string("/proc/self/mountinfo").map_err(|error| error.to_string())?;
        // Fields before the dash: ids, device, root, mount point, options; after it: type, source, options.
        let points = mounts.lines().filter_map(|line| {
            let (before, after) = line.split_once(" - ")?;
            let mut fields = before.split(' ').skip(3);
            let (root, point) = (fields.next()?, fields.next()?);
            let mut after = after.split(' ');
            let (kind, options) = (after.next()?, after.nth(1)?);
            let fits = match self {
                // A controller in which a process can be put without any setting.
                Self::One => {
                    kind == "cgroup" && options.split(',').any(|option| option == "freezer" || option == "pids")
                }
                Self::Two => kind == "cgroup2",
            };
            (fits && root == "/").then(|| PathBuf::from(point))
        });
        let mut usable = points.filter(|point| {
            let probe = point.join(format!("memtrace-probe-{}", process::id()));
            fs::create_dir(&probe).and_then(|()| fs::remove_dir(&probe)).is_ok()
        });
        usable
            .next()
            .ok_or_else(|| format!("no hierarchy of cgroups of version {self:?} can be written here"))
    }
}

impl Cgroup {
    /// Makes a cgroup with a name that no other has.
    pub fn new(version: Version) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self::named(version, &format!("memtrace-test-{}-{number}", process::id()))
    }

    /// Makes a cgroup of this path below the root of the hierarchy.
    pub fn named(version: Version, path: &str) -> Self {
        let root = version.mounted().expect("a hierarchy of cgroups");
        let mut cgroup = Self {
            made: Vec::new(),
            root: root.clone(),
        };
        let mut directory = root;
        for part in path.split('/') {
            directory.push(part);
            if !directory.exists() {
                fs::create_dir(&directory)
                    .unwrap_or_else(|error| panic!("cannot make {}: {error}", directory.display()));
                cgroup.made.insert(0, directory.clone());
            }
        }
        assert!(!cgroup.made.is_empty(), "{path} is there already");
        cgroup
    }

    /// Its directory.
    pub fn directory(&self) -> &Path {
        &self.made[0]
    }

    /// Its path below the root of the hierarchy, with a slash in front.
    pub fn path(&self) -> String {
        let below = self.directory().strip_prefix(&self.root);
        format!("/{}", below.expect("it is below the root").display())
    }

    /// Moves a process there.
    pub fn add(&self, pid: u32) {
        fs::write(self.directory().join("cgroup.procs"), pid.to_string())
            .unwrap_or_else(|error| panic!("cannot put {pid} in {}: {error}", self.directory().display()));
    }

    /// The shell's words to join it, before it executes a program.
    pub fn join(&self) -> String {
        format!("echo $$ > {}/cgroup.procs", self.directory().display())
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        for directory in &self.made {
            // The processes in it end on their own, and the kernel takes a moment to notice.
            let removed = wait_until(PATIENCE, || match fs::remove_dir(directory) {
                Ok(()) => Some(()),
                Err(_) if !directory.exists() => Some(()),
                Err(_) => None,
            });
            if removed.is_none() {
                println!("left behind: {}", directory.display());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::{Program, require_root, requirements::skipped};

    #[test]
    fn processes_go_in_and_directories_go_away() {
        require_root!();
        for version in [Version::One, Version::Two] {
            if let Err(reason) = version.mounted() {
                skipped(&reason);
                continue;
            }
            let cgroup = Cgroup::named(version, &format!("memtrace-unit-{}/inner", process::id()));
            let directory = cgroup.directory().to_owned();
            println!("{}: {}", directory.display(), cgroup.path());
            let program = Program::spawn(Command::new("sleep").arg("60"));
            cgroup.add(program.pid());
            let members = fs::read_to_string(directory.join("cgroup.procs")).unwrap();
            assert_eq!(members.trim(), program.pid().to_string());
            drop(program);
            drop(cgroup);
            assert!(!directory.exists() && !directory.parent().unwrap().exists());
        }
    }
}
