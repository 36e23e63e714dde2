//! memtrace on a running process.

use std::{
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::{Child, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use crate::{command::Cmd, privilege::Root, workspace};

/// What memtrace's line on standard error says when every probe is in place.
const ATTACHED: &str = "attached to";

/// Far more than attaching takes, compiling nothing: 300 ms is aimed at.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running memtrace.
pub(crate) struct Tracer {
    root: Root,
    child: Child,
    /// Its lines on standard error.
    lines: Receiver<String>,
    /// The line that says to what it is attached.
    attached: String,
}

/// Builds memtrace and returns the program.
pub(crate) fn build_release() -> Result<PathBuf> {
    Cmd::cargo()
        .args([
            "build",
            "--locked",
            "--release",
            "--package",
            "memtrace",
            "--bin",
            "memtrace",
        ])
        .run()?;
    Ok(workspace::target().join("release/memtrace"))
}

impl Tracer {
    /// Starts `memtrace attach` on a process, with these arguments, and returns when the probes are in place.
    pub(crate) fn attach(root: Root, pid: u32, arguments: &[&str], stdout: Stdio) -> Result<Self> {
        let pid = pid.to_string();
        let arguments: Vec<_> = ["--pid", &pid].iter().chain(arguments).copied().collect();
        Self::attach_to(root, &arguments, stdout)
    }

    /// Starts `memtrace attach` with these arguments, which say to what, and returns when the probes are in place.
    pub(crate) fn attach_to(root: Root, arguments: &[&str], stdout: Stdio) -> Result<Self> {
        Self::start(root, &[&["attach"], arguments].concat(), stdout)
    }

    /// Starts memtrace with a verb that attaches, and its arguments; returns when the probes are in place.
    pub(crate) fn start(root: Root, arguments: &[&str], stdout: Stdio) -> Result<Self> {
        let mut child = root
            .command(workspace::target().join("release/memtrace"))
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(Stdio::piped())
            .spawn()?;
        let stderr = child.stderr.take().context("memtrace has no standard error")?;
        let (sender, lines) = mpsc::channel();
        // Passes the lines on too, so that the reader sees what memtrace has to say.
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                eprintln!("{line}");
                // The receiver goes when nobody waits for a line any more.
                let _ = sender.send(line);
            }
        });
        let mut tracer = Self {
            root,
            child,
            lines,
            attached: String::new(),
        };
        tracer.attached = tracer.line_with(ATTACHED)?;
        Ok(tracer)
    }

    /// Process id of memtrace, or of the sudo that started it.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it said when the probes were in place.
    pub(crate) fn attached(&self) -> &str {
        &self.attached
    }

    /// Sends it what a Ctrl-C sends: it takes its probes off, reports and ends.
    pub(crate) fn interrupt(&self) -> Result<()> {
        // sudo passes the signal on.
        let pid = self.pid().to_string();
        self.root.command("kill").args(["-INT", &pid]).run()
    }

    /// Waits for a line on standard error that contains `text`.
    pub(crate) fn line_with(&mut self, text: &str) -> Result<String> {
        let end = Instant::now() + PATIENCE;
        loop {
            match self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) if line.contains(text) => return Ok(line),
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => {
                    bail!("memtrace did not say {text:?} within {} s", PATIENCE.as_secs())
                }
                Err(RecvTimeoutError::Disconnected) => {
                    bail!("memtrace ended with {} before it said {text:?}", self.child.wait()?)
                }
            }
        }
    }

    /// Waits until memtrace has ended by itself: its time is over, or its target is gone.
    pub(crate) fn finish(mut self) -> Result<()> {
        let status = self.child.wait().context("failed to wait for memtrace")?;
        if !status.success() {
            bail!("memtrace ended with {status}");
        }
        Ok(())
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        // Under sudo it cannot be killed from here; it ends with its target. After `finish` there is nobody to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
