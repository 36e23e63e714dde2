//! A child of memtrace that is memtrace, on which something is tried out.

use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context as _, bail};

/// Starts memtrace under a hidden verb, with pipes to speak to it.
///
/// # Errors
/// When it cannot be started.
pub(super) fn start(verb: &str) -> anyhow::Result<(Child, ChildStdin, ChildStdout)> {
    let mut child = Command::new("/proc/self/exe")
        .arg(verb)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("failed to start memtrace as its own child ({verb})"))?;
    let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
        bail!("memtrace's own child ({verb}) has no pipes");
    };
    Ok((child, input, output))
}
