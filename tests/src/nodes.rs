//! Versions of node, and programs that run in one of them.

use std::{fs, path::PathBuf, process::Command};

use crate::{PATIENCE, Program, programs, wait_until};

/// Major versions that `cargo xtask test` installs from npm.
pub const VERSIONS: [u32; 4] = [18, 20, 22, 24];

/// The program of a version.
pub fn path(version: u32) -> PathBuf {
    programs::target().join(format!("tools/readers/node_modules/node{version}/bin/node"))
}

/// Fails where a version is not installed.
///
/// # Errors
///
/// The reason in words.
pub fn all_there() -> Result<(), String> {
    match VERSIONS.map(path).iter().find(|path| !path.exists()) {
        Some(missing) => Err(format!("needs node from npm, which is not in {}", missing.display())),
        None => Ok(()),
    }
}

/// Where `cargo xtask test` unpacks Debian's node, and its library there.
fn debian_root() -> PathBuf {
    programs::target().join("tools/debian-node")
}

const DEBIAN_LIBRARIES: &str = "usr/lib/x86_64-linux-gnu";
const DEBIAN_NODE: &str = "libnode.so.108";

/// Fails where Debian's node is not unpacked.
///
/// # Errors
///
/// The reason in words.
pub fn debian_there() -> Result<(), String> {
    let library = debian_root().join(DEBIAN_LIBRARIES).join(DEBIAN_NODE);
    library
        .exists()
        .then_some(())
        .ok_or_else(|| format!("needs Debian's node, which is not in {}", library.display()))
}

/// Debian's node, which is a library, in a mount namespace of its own, where the files that it wants are in their place.
pub fn debian() -> Command {
    // It becomes the program: the process id stays.
    let mut command = Command::new("unshare");
    let files = "mount -t overlay overlay -o \"lowerdir=$1/usr/share:/usr/share\" /usr/share && shift && exec \"$@\"";
    command.args(["--mount", "sh", "-c", files, "sh"]);
    command.arg(debian_root());
    command.arg(programs::path("libnode_host")).arg(DEBIAN_NODE);
    command.env("LD_LIBRARY_PATH", debian_root().join(DEBIAN_LIBRARIES));
    command
}

/// A program in a network namespace of its own, where it is alone with its ports.
pub fn start(version: u32, options: &[&str], script: &str, arguments: &[&str]) -> Program {
    // It becomes the program: the process id stays.
    let mut command = Command::new("unshare");
    command.args(["--net", "sh", "-c", "ip link set lo up && exec \"$@\"", "sh"]);
    add(&mut command, version, options, script, arguments);
    Program::ready(&mut command)
}

/// A program in the network namespace of another one.
pub fn start_beside(other: &Program, version: u32, script: &str) -> Program {
    let mut command = Command::new("nsenter");
    command.args(["--net", "--target", &other.pid().to_string()]);
    add(&mut command, version, &[], script, &[]);
    Program::ready(&mut command)
}

fn add(command: &mut Command, version: u32, options: &[&str], script: &str, arguments: &[&str]) {
    command
        .env_remove("NODE_OPTIONS")
        .arg(path(version))
        .args(options)
        .arg(programs::source(script))
        .args(arguments);
}

/// How many sockets wait for connections in the network namespace of a program.
pub fn listening(program: &Program) -> usize {
    let read = |name: &str| fs::read_to_string(format!("/proc/{}/net/{name}", program.pid())).unwrap_or_default();
    let all = ["tcp", "tcp6"].map(read).concat();
    all.lines()
        .filter(|line| line.split_whitespace().nth(3) == Some("0A"))
        .count()
}

/// How many threads a program has.
pub fn threads(program: &Program) -> usize {
    fs::read_dir(format!("/proc/{}/task", program.pid())).map_or(0, Iterator::count)
}

/// Asks a program for something, and waits until it has done it.
pub fn ask(program: &mut Program, line: &str) {
    let done = format!("did {line}");
    let before = program.output().matches(&done).count();
    program.send(line);
    let answered = wait_until(PATIENCE, || {
        (program.output().matches(&done).count() > before).then_some(())
    });
    assert!(
        answered.is_some(),
        "no answer to {line}: {}{}",
        program.output(),
        program.errors()
    );
}
