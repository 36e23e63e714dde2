//! A terminal that a test owns: keys go in, the screen comes out.

use std::{
    path::Path,
    process::{Command, Output},
};

use tempfile::TempDir;

use crate::{PATIENCE, wait_until};

/// What the shell says when it waits.
const PROMPT: &str = "READY>";

/// A terminal with a shell in it, in a directory of its own; ended when dropped.
pub struct Tmux {
    directory: TempDir,
}

impl Tmux {
    /// Starts a shell in a terminal of this many columns and lines.
    pub fn start(columns: u16, lines: u16) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let tmux = Self { directory };
        let (columns, lines) = (columns.to_string(), lines.to_string());
        let shell = format!("env PS1='{PROMPT}' sh");
        tmux.run(&["new-session", "-d", "-x", &columns, "-y", &lines, &shell]);
        tmux.expect(PROMPT);
        tmux
    }

    /// The directory that the shell is in.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new("tmux");
        command
            .arg("-S")
            .arg(self.directory.path().join("socket"))
            .args(["-f", "/dev/null"]);
        command.args(arguments).current_dir(self.directory.path());
        // It draws no bars otherwise.
        command.env("LC_ALL", "C.UTF-8").env_remove("TMUX");
        let output = command.output().expect("tmux can be started");
        assert!(output.status.success(), "tmux {arguments:?}: {output:?}");
        output
    }

    /// Presses keys, by tmux's names for them: `q`, `Enter`, `C-c`, `PageUp`.
    pub fn press(&self, keys: &[&str]) {
        self.run(&[&["send-keys"], keys].concat());
    }

    /// Types a text as it is, and Return.
    pub fn line(&self, text: &str) {
        self.run(&["send-keys", "-l", text]);
        self.press(&["Enter"]);
    }

    /// Changes the size of the terminal.
    pub fn resize(&self, columns: u16, lines: u16) {
        self.run(&["resize-window", "-x", &columns.to_string(), "-y", &lines.to_string()]);
    }

    /// What is on the screen, line by line.
    pub fn screen(&self) -> String {
        let output = self.run(&["capture-pane", "-p"]);
        String::from_utf8(output.stdout).expect("the screen is text")
    }

    /// The same with all that has gone off its upper end.
    pub fn history(&self) -> String {
        let output = self.run(&["capture-pane", "-p", "-S", "-"]);
        String::from_utf8(output.stdout).expect("the screen is text")
    }

    /// Waits until a text is on the screen; the screen then.
    pub fn expect(&self, text: &str) -> String {
        self.until(text, |screen| screen.contains(text))
    }

    /// Waits until the screen is as it should be, which `what` says in words; the screen then.
    pub fn until(&self, what: &str, is_so: impl Fn(&str) -> bool) -> String {
        let shown = wait_until(PATIENCE, || Some(self.screen()).filter(|screen| is_so(screen)));
        shown.unwrap_or_else(|| panic!("the screen never had {what:?}, at last:\n{}", self.screen()))
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        let mut command = Command::new("tmux");
        command
            .arg("-S")
            .arg(self.directory.path().join("socket"))
            .arg("kill-server");
        // Where the shell has ended, so has the server.
        drop(command.output());
    }
}
