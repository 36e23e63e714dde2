//! Where things are.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use serde::Deserialize;

/// What `cargo metadata` says of the workspace.
#[derive(Deserialize)]
struct Metadata {
    workspace_root: PathBuf,
    target_directory: PathBuf,
}

/// The workspace's root folder.
pub(crate) fn root() -> &'static Path {
    &metadata().workspace_root
}

/// Cargo's target folder, wherever the user's settings put it.
pub(crate) fn target() -> &'static Path {
    &metadata().target_directory
}

/// Reads the metadata once. Without cargo nothing here can work, so the fallback is the place where this
/// program was compiled: the command that needs cargo then fails and says so.
fn metadata() -> &'static Metadata {
    static METADATA: OnceLock<Metadata> = OnceLock::new();
    METADATA.get_or_init(|| {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
        let compiled_in = manifest.parent().unwrap_or(manifest);
        let root = std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| manifest.to_owned(), PathBuf::from);
        Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            .args(["metadata", "--no-deps", "--format-version=1"])
            .current_dir(root)
            .output()
            .ok()
            .and_then(|output| serde_json::from_slice(&output.stdout).ok())
            .unwrap_or_else(|| Metadata {
                workspace_root: compiled_in.to_owned(),
                target_directory: compiled_in.join("target"),
            })
    })
}
