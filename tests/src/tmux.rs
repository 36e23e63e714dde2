//! A terminal that a test owns: keys go in, the screen comes out.

use std::{
    os::fd::OwnedFd,
    path::Path,
    process::{Command, Output},
};

use rustix::{
    fs::{Mode, OFlags},
    process::{Pid, Signal, kill_process},
    termios::{Winsize, tcsetwinsize},
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

    /// Has it read nothing from the terminal any more.
    pub fn stop(&self) -> Stopped {
        let said = self.run(&["display-message", "-p", "#{pid} #{pane_tty}"]).stdout;
        let said = String::from_utf8(said).expect("what tmux says is text");
        let (server, path) = said.trim().split_once(' ').expect("a number and a path");
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let terminal = rustix::fs::open(path, flags, Mode::empty()).expect("the terminal can be opened");
        let server = server.parse().ok().and_then(Pid::from_raw).expect("a process's number");
        kill_process(server, Signal::STOP).expect("it is ours");
        Stopped { server, terminal }
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

/// A terminal whose other side reads nothing; it goes on when this is dropped.
pub struct Stopped {
    server: Pid,
    terminal: OwnedFd,
}

impl Stopped {
    /// Changes the size that programs in the terminal are told of.
    pub fn resize(&self, columns: u16, lines: u16) {
        let size = Winsize {
            ws_row: lines,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&self.terminal, size).expect("the terminal is there");
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _gone = kill_process(self.server, Signal::CONT);
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
