//! tracefs, where the kernel tells the numbers of its tracepoints.

use std::{fs, io, path::Path, thread};

use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
};

use super::ProbeError;

const MOUNT: &str = "/sys/kernel/tracing";

/// Runs `work` where tracefs can be seen.
///
/// Where nobody has mounted it, a thread with a mount namespace of its own does, so that the machine's mounts stay
/// as they are; the mount is gone with the thread.
pub(super) fn with<T: Send>(work: impl FnOnce() -> Result<T, ProbeError> + Send) -> Result<T, ProbeError> {
    if [MOUNT, "/sys/kernel/debug/tracing"]
        .iter()
        .any(|mount| Path::new(mount).join("events").is_dir())
    {
        return work();
    }
    let private = || {
        mount_privately().map_err(|source| ProbeError::Tracefs { source })?;
        work()
    };
    thread::scope(|scope| match scope.spawn(private).join() {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}

fn mount_privately() -> io::Result<()> {
    unshare(CloneFlags::CLONE_NEWNS)?;
    // Without this the new mount would spread to the namespace that this one was copied from.
    mount(
        None::<&str>,
        "/",
        None::<&str>,
        MsFlags::MS_REC | MsFlags::MS_PRIVATE,
        None::<&str>,
    )?;
    if !Path::new(MOUNT).is_dir() {
        return Err(io::Error::new(
            io::ErrorKind::NotFound,
            "the kernel was built without tracing",
        ));
    }
    mount(Some("tracefs"), MOUNT, Some("tracefs"), MsFlags::empty(), None::<&str>)?;
    fs::read_dir(Path::new(MOUNT).join("events")).map(drop)
}
