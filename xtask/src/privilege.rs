//! Root, when a step needs it and nothing else does.
//!
//! Everything is compiled as the user who called; only the tracer itself and the live tests are started with
//! more rights. Compiling under sudo would miss a Rust that lives in the user's home and would leave files of
//! root in the target folder.

use std::{ffi::OsStr, io::IsTerminal as _};

use anyhow::{Result, bail};

use crate::command::Cmd;

/// How to become root.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Root {
    /// This is root already.
    Already,
    /// Commands are started through sudo.
    Sudo,
}

impl Root {
    /// Finds a way to become root; asks for the password at most once, and only on a terminal.
    ///
    /// # Errors
    /// When there is none, with what `purpose` (a verb phrase, "attach to a process") needs.
    pub(crate) fn find(purpose: &str) -> Result<Self> {
        if is_root() {
            return Ok(Self::Already);
        }
        if Cmd::new("sudo").args(["-n", "true"]).succeeds() {
            return Ok(Self::Sudo);
        }
        if std::io::stdin().is_terminal() && Cmd::new("sudo").arg("--version").succeeds() {
            println!("root is needed to {purpose}; sudo may ask for your password");
            Cmd::new("sudo").arg("-v").run()?;
            return Ok(Self::Sudo);
        }
        bail!("root is needed to {purpose}: run this as root, or as a user who may use sudo");
    }

    /// A command that runs as root.
    pub(crate) fn command(self, program: impl AsRef<OsStr>) -> Cmd {
        match self {
            Self::Already => Cmd::new(program),
            Self::Sudo => Cmd::new("sudo").arg(program),
        }
    }
}

/// Whether this process is root.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
