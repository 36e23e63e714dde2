//! Who a process is, as reports tell it.

use std::fs;

use crate::target::container;

/// Who a process is.
#[derive(Clone, Debug, Default)]
pub(super) struct Description {
    /// Process id.
    pub(super) pid: u32,
    /// Incarnation of the first program that was seen in this process: its number may be another process's later.
    pub(super) first: u32,
    /// Name of the program's main thread.
    pub(super) command: String,
    /// Path of the executable as the process sees it; empty when it was gone before that could be read.
    pub(super) executable: String,
    /// The container that it is in, in words.
    pub(super) container: Option<String>,
    /// Process id of the parent, when it was forked while observed.
    pub(super) parent: Option<u32>,
    /// When it began, in nanoseconds of kernel time, if that was seen.
    pub(super) began_ns: Option<u64>,
    /// Whether the process goes on with another program.
    pub(super) replaced: bool,
}

/// Path of a process's executable; empty when it is gone.
pub(super) fn executable(pid: u32) -> String {
    fs::read_link(format!("/proc/{pid}/exe"))
        .map_or_else(|_gone| String::new(), |path| path.to_string_lossy().into_owned())
}

/// The container of a process, in words.
pub(super) fn container_of(pid: u32) -> Option<String> {
    let container = container::of_process(pid)?;
    Some(format!("{} {}", container.runtime, container.name()))
}
