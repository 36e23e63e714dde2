//! A child process that is printed before it runs and whose failure names it.

use std::{
    ffi::{OsStr, OsString},
    fmt::Write as _,
    path::Path,
    process::{Child, Command, Output, Stdio},
};

use anyhow::{Context as _, Result, bail};

use crate::{tools, workspace};

/// A command, built step by step.
pub(crate) struct Cmd {
    inner: Command,
    /// What is shown of the environment: only what this command sets for a reason of its own.
    shown: Vec<(OsString, OsString)>,
}

impl Cmd {
    /// A command that runs in the workspace's root and finds the project's own tools first.
    pub(crate) fn new(program: impl AsRef<OsStr>) -> Self {
        let mut inner = Command::new(program);
        inner.current_dir(workspace::root()).env("PATH", tools::search_path());
        Self {
            inner,
            shown: Vec::new(),
        }
    }

    /// The cargo that runs this program, so that a verb and its children use one toolchain.
    pub(crate) fn cargo() -> Self {
        Self::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
    }

    /// Adds an argument.
    pub(crate) fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.inner.arg(argument);
        self
    }

    /// Adds arguments.
    pub(crate) fn args<I: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = I>) -> Self {
        self.inner.args(arguments);
        self
    }

    /// Sets a variable of the environment.
    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.inner.env(name, &value);
        self.shown.push((name.into(), value.as_ref().into()));
        self
    }

    /// Puts a folder in front of the child's `PATH`.
    pub(crate) fn path(mut self, folder: &Path) -> Self {
        self.inner.env("PATH", tools::path_with(folder));
        self
    }

    /// Takes a variable out of the environment.
    pub(crate) fn without_env(mut self, name: &str) -> Self {
        self.inner.env_remove(name);
        self
    }

    /// Sets where the child's standard input comes from.
    pub(crate) fn stdin(mut self, stdin: Stdio) -> Self {
        self.inner.stdin(stdin);
        self
    }

    /// Sets where the child's standard output goes.
    pub(crate) fn stdout(mut self, stdout: Stdio) -> Self {
        self.inner.stdout(stdout);
        self
    }

    /// Sets where the child's standard error goes.
    pub(crate) fn stderr(mut self, stderr: Stdio) -> Self {
        self.inner.stderr(stderr);
        self
    }

    /// Prints the command, runs it, and fails unless it ends with success.
    pub(crate) fn run(mut self) -> Result<()> {
        let line = self.print();
        let status = self.inner.status().with_context(|| self.cannot_start())?;
        if !status.success() {
            bail!("`{line}` ended with {status}");
        }
        Ok(())
    }

    /// Runs the command without printing it and returns its standard output; fails as [`Cmd::run`] does.
    pub(crate) fn read(mut self) -> Result<String> {
        let Output { status, stdout, stderr } = self.inner.output().with_context(|| self.cannot_start())?;
        if !status.success() {
            bail!(
                "`{}` ended with {status}: {}",
                self.line(),
                String::from_utf8_lossy(&stderr).trim()
            );
        }
        String::from_utf8(stdout).with_context(|| format!("`{}` printed something that is not UTF-8", self.line()))
    }

    /// Whether the command can be started and ends with success; says nothing.
    pub(crate) fn succeeds(mut self) -> bool {
        self.inner
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        self.inner.status().is_ok_and(|status| status.success())
    }

    /// Prints the command and starts it.
    pub(crate) fn spawn(mut self) -> Result<Child> {
        self.print();
        self.inner.spawn().with_context(|| self.cannot_start())
    }

    /// The command as one would type it in the workspace's root.
    pub(crate) fn line(&self) -> String {
        let mut line = String::new();
        for (name, value) in &self.shown {
            let _ = write!(line, "{}={} ", name.display(), quoted(value));
        }
        line.push_str(&quoted(short(self.inner.get_program())));
        for argument in self.inner.get_args() {
            let _ = write!(line, " {}", quoted(short(argument)));
        }
        line
    }

    fn print(&self) -> String {
        let line = self.line();
        println!("$ {line}");
        line
    }

    fn cannot_start(&self) -> String {
        format!("failed to start `{}`", self.line())
    }
}

/// Paths inside the workspace are shown relative to it, and cargo by its name.
fn short(word: &OsStr) -> &OsStr {
    if Some(word) == std::env::var_os("CARGO").as_deref() {
        return OsStr::new("cargo");
    }
    Path::new(word)
        .strip_prefix(workspace::root())
        .map_or(word, Path::as_os_str)
}

/// Quotes a word for a POSIX shell where that is needed.
fn quoted(word: &OsStr) -> String {
    let word = word.to_string_lossy().replace('\x1f', " ");
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./=:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_where_a_shell_needs_it() {
        assert_eq!(quoted(OsStr::new("--pid=4")), "--pid=4");
        assert_eq!(quoted(OsStr::new("")), "''");
        assert_eq!(quoted(OsStr::new("a b")), "'a b'");
        assert_eq!(quoted(OsStr::new("it's")), r"'it'\''s'");
    }

    #[test]
    fn a_failure_names_the_command_and_its_status() {
        let error = Cmd::new("sh").args(["-c", "echo why >&2; exit 3"]).read().unwrap_err();
        assert_eq!(
            error.to_string(),
            "`sh -c 'echo why >&2; exit 3'` ended with exit status: 3: why"
        );
        let error = Cmd::new("no-such-program-here").read().unwrap_err();
        assert_eq!(error.to_string(), "failed to start `no-such-program-here`");
    }
}
