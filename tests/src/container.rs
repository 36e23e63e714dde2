//! A target in namespaces and files of its own, as a container's is.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use crate::{PATIENCE, Program, wait_until};

/// A directory with a program and the libraries that it loads, and nothing else.
pub struct Root(TempDir);

/// A program that was started in a root.
pub struct Contained {
    /// What stands before it outside, with the program's input and output. It takes the program with it when it ends.
    pub program: Program,
    /// The program's process id as the machine sees it.
    pub pid: u32,
}

/// Files that the dynamic linker loads for a program, as this machine has them.
fn libraries(program: &Path) -> Vec<PathBuf> {
    let said = Command::new("ldd").arg(program).output().expect("ldd can be started");
    let text = String::from_utf8_lossy(&said.stdout);
    // Either `name => path (address)` or `path (address)`; musl's linker is its own library.
    let words = text.lines().filter_map(|line| {
        let path = line.split("=>").last()?.trim().split(' ').next()?;
        path.starts_with('/').then(|| PathBuf::from(path))
    });
    let musl = Path::new("/lib/ld-musl-x86_64.so.1").to_owned();
    let is_musl = || {
        let bytes = fs::read(program).unwrap_or_default();
        let name = musl.as_os_str().as_encoded_bytes();
        bytes.windows(name.len()).any(|window| window == name)
    };
    if is_musl() { vec![musl] } else { words.collect() }
}

impl Root {
    /// A root with this program as `/program`, and everything it needs in the same places as here.
    pub fn of(program: &Path) -> Self {
        let root = Self(TempDir::new().expect("a temporary directory"));
        root.add(program, Path::new("/program"));
        for library in libraries(program) {
            root.add(&library, &library);
        }
        root
    }

    /// Copies one more file.
    pub fn add(&self, file: &Path, to: &Path) {
        let place = self.0.path().join(to.strip_prefix("/").expect("an absolute path"));
        fs::create_dir_all(place.parent().expect("a parent")).expect("a directory in the root");
        fs::copy(file, &place).unwrap_or_else(|error| panic!("cannot copy {}: {error}", file.display()));
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Starts the program in mount and process namespaces of its own, with this root, and waits until it is ready. `first`
    /// is what a shell does before that, for example to join a cgroup.
    pub fn start(&self, first: &str, arguments: &[&str]) -> Contained {
        let script = format!(
            "{first}{}exec unshare --mount --pid --fork --kill-child chroot {} /program \"$@\"",
            if first.is_empty() { "" } else { " && " },
            self.path().display()
        );
        let program = Program::ready(Command::new("sh").args(["-c", &script, "sh"]).args(arguments));
        let pid = wait_until(PATIENCE, || child_of(program.pid())).expect("the program in the container");
        Contained { program, pid }
    }
}

/// The only child of a process.
pub fn child_of(parent: u32) -> Option<u32> {
    let processes = fs::read_dir("/proc").ok()?.flatten();
    processes
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .find(|pid: &u32| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            let above = stat.rsplit_once(") ").and_then(|(_, fields)| fields.split(' ').nth(1));
            above == Some(&parent.to_string())
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{programs, require, require_root, requirements};

    #[test]
    fn programs_of_either_libc_run_in_a_root_of_their_own() {
        require_root!();
        require!(requirements::tool("unshare"));
        require!(programs::available("matrix-musl"));
        for name in ["matrix", "matrix-musl"] {
            let root = Root::of(&programs::path(name));
            let mut contained = root.start("", &["2", "100"]);
            let inside = fs::read_link(format!("/proc/{}/exe", contained.pid)).expect("its program");
            assert!(inside.ends_with("program"), "{}", inside.display());
            contained.program.go();
            assert_eq!(contained.program.truth().value("threads"), 2);
            assert!(contained.program.end().0.success());
        }
    }
}
