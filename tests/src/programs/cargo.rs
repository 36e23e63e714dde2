//! Programs with allocators that come as crates: a package of its own, outside the workspace.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

/// The package.
pub(super) fn package() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("allocators")
}

/// Builds a program, which is quick when nothing has changed, and returns its path.
///
/// Each is built for itself, with nothing but its own allocator: one that does not build here takes no other away.
pub(super) fn build(name: &str, feature: &str, directory: &Path) -> PathBuf {
    let target = directory.join("cargo");
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["build", "--release", "--quiet", "--locked", "--bin", name]);
    command.args(["--features", feature]);
    command.arg("--manifest-path").arg(package().join("Cargo.toml"));
    command.arg("--target-dir").arg(&target);
    // What cargo tells the tests about themselves must not reach another package's build scripts.
    let own = |(variable, _): &(std::ffi::OsString, _)| {
        let variable = variable.to_string_lossy();
        variable.starts_with("CARGO_PKG_") || variable.starts_with("CARGO_MANIFEST_") || variable == "CARGO_TARGET_DIR"
    };
    for (variable, _) in env::vars_os().filter(own) {
        command.env_remove(variable);
    }
    super::run(&mut command, "install cargo");
    target.join("release").join(name)
}
