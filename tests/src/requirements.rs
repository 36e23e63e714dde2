//! What a test needs from the machine.

use std::{env, path::PathBuf};

/// Prints why a test does not run here; a failure where `MEMTRACE_TESTS_NO_SKIP` is set.
pub fn skipped(reason: &str) {
    println!("skipped: {reason}");
    assert!(
        env::var_os("MEMTRACE_TESTS_NO_SKIP").is_none(),
        "skipped, and MEMTRACE_TESTS_NO_SKIP is set: {reason}"
    );
}

/// Fails unless the user is root.
///
/// # Errors
///
/// The reason in words.
pub fn root() -> Result<(), String> {
    if rustix::process::geteuid().is_root() {
        Ok(())
    } else {
        Err("needs root to trace".into())
    }
}

/// Fails on an older kernel than `major.minor`.
///
/// # Errors
///
/// The reason in words.
pub fn kernel(major: u32, minor: u32, why: &str) -> Result<(), String> {
    let name = rustix::system::uname();
    let release = name.release().to_string_lossy();
    let mut numbers = release
        .split(|character: char| !character.is_ascii_digit())
        .map(|part| part.parse().unwrap_or(0));
    let running: (u32, u32) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if running >= (major, minor) {
        Ok(())
    } else {
        Err(format!("needs Linux {major}.{minor} for {why}, this is {release}"))
    }
}

/// The path of a program of the machine.
pub fn find(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .map(|directory| directory.join(name))
        .find(|path| path.is_file())
}

/// Fails where a program is not installed.
///
/// # Errors
///
/// The reason in words.
pub fn tool(name: &str) -> Result<(), String> {
    find(name)
        .map(|_| ())
        .ok_or_else(|| format!("needs {name}, which is not installed"))
}

/// Ends the test, with the reason printed, unless a requirement is met.
#[macro_export]
macro_rules! require {
    ($requirement:expr) => {
        if let Err(reason) = $requirement {
            $crate::requirements::skipped(&reason);
            return;
        }
    };
}

/// Ends the test unless it runs as root.
#[macro_export]
macro_rules! require_root {
    () => {
        $crate::require!($crate::requirements::root())
    };
}

/// Ends the test on kernels that lack what it tests.
#[macro_export]
macro_rules! require_kernel {
    ($major:literal, $minor:literal, $why:literal) => {
        $crate::require!($crate::requirements::kernel($major, $minor, $why))
    };
}

/// Ends the test where a program is not installed.
#[macro_export]
macro_rules! require_tool {
    ($name:literal) => {
        $crate::require!($crate::requirements::tool($name))
    };
}
