//! A running program that a test owns.

use std::{
    fs,
    io::Write,
    path::Path,
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal};

use crate::{PATIENCE, Truth, captured::Captured, programs, wait_until};

/// A child process with its input and output; killed by its pid when dropped.
pub struct Program {
    child: Child,
    input: Option<ChildStdin>,
    output: Captured,
    errors: Captured,
}

impl Program {
    /// Starts a test program and waits until it is ready to be told to go.
    pub fn start(name: &str, arguments: &[&str]) -> Self {
        Self::ready(Command::new(programs::path(name)).args(arguments))
    }

    /// Starts any command that speaks the protocol of the test programs.
    pub fn ready(command: &mut Command) -> Self {
        let program = Self::spawn(command);
        program.expect("ready ");
        program
    }

    /// Starts any command.
    pub fn spawn(command: &mut Command) -> Self {
        let piped = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = piped
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let output = Captured::of(child.stdout.take().expect("the output is piped"));
        let errors = Captured::of(child.stderr.take().expect("the errors are piped"));
        Self {
            input: child.stdin.take(),
            child,
            output,
            errors,
        }
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a line.
    pub fn send(&mut self, line: &str) {
        let input = self.input.as_mut().expect("the input is still open");
        input
            .write_all(format!("{line}\n").as_bytes())
            .expect("the program reads its input");
    }

    /// Sends a key of a terminal: no line.
    pub fn press(&mut self, key: u8) {
        let input = self.input.as_mut().expect("the input is still open");
        input.write_all(&[key]).expect("the program reads its input");
    }

    /// Tells the program to go on.
    pub fn go(&mut self) {
        self.send("go");
    }

    /// Waits for a line that starts with `mark`, and returns the rest of it.
    pub fn expect(&self, mark: &str) -> String {
        self.output.wait_for(mark, PATIENCE).unwrap_or_else(|| {
            let (output, errors) = (self.output.text(), self.errors.text());
            panic!("process {} did not print {mark:?} but: {output}{errors}", self.pid())
        })
    }

    /// Waits until the program has printed something, in whatever line.
    pub fn expect_anywhere(&self, text: &str) {
        let found = wait_until(PATIENCE, || self.output.text().contains(text).then_some(()));
        found.unwrap_or_else(|| {
            panic!(
                "process {} did not print {text:?} but: {}",
                self.pid(),
                self.output.text()
            )
        });
    }

    /// Waits until the program has done its work, and returns what it knows.
    pub fn truth(&self) -> Truth {
        let truth = Truth::from_line(&self.expect("truth "));
        self.expect("hold");
        truth
    }

    /// Whether it runs, or has ended.
    pub fn status(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be waited for")
    }

    /// Closes its input.
    pub fn close(&mut self) {
        drop(self.input.take());
    }

    /// Closes its input and waits for its end.
    pub fn end(mut self) -> (ExitStatus, String) {
        self.close();
        self.wait()
    }

    /// Ends a program that waits for its input, without letting it do anything more; its output. For node, which may hang as it ends while V8
    /// compiles: <https://github.com/nodejs/node/issues/54918>.
    pub fn kill(mut self) -> String {
        assert!(
            self.status().is_none(),
            "it has ended by itself: {}",
            self.errors.text()
        );
        self.signal(Signal::KILL);
        self.wait().1
    }

    /// Waits for its end; its output until then.
    pub fn wait(&mut self) -> (ExitStatus, String) {
        let pid = self.pid();
        let status = wait_until(PATIENCE, || self.status());
        let status = status.unwrap_or_else(|| panic!("process {pid} does not end: {}", self.errors.text()));
        (status, self.output.whole(Duration::from_secs(2)))
    }

    /// What it has printed as errors so far.
    pub fn errors(&mut self) -> String {
        if self.status().is_some() {
            self.errors.whole(Duration::from_secs(2))
        } else {
            self.errors.text()
        }
    }

    /// What it has printed so far.
    pub fn output(&self) -> String {
        self.output.text()
    }

    /// Waits for a line of its errors.
    pub fn expect_error(&self, mark: &str) -> String {
        self.errors.wait_for(mark, PATIENCE).unwrap_or_else(|| {
            let (output, errors) = (self.output.text(), self.errors.text());
            panic!("process {} did not say {mark:?} but: {output}{errors}", self.pid())
        })
    }

    /// Sends a signal to the process, which has not been waited for yet.
    pub fn signal(&mut self, signal: Signal) {
        if self.status().is_none() {
            let pid = Pid::from_child(&self.child);
            rustix::process::kill_process(pid, signal).expect("a child can be signalled");
        }
    }

    /// Stops the process, and waits until it has.
    pub fn stop(&mut self) {
        self.signal(Signal::STOP);
        let stat = format!("/proc/{}/stat", self.pid());
        let stopped = wait_until(PATIENCE, || {
            fs::read_to_string(&stat).ok()?.contains(") T ").then_some(())
        });
        stopped.expect("a stopped process");
    }

    /// Whether `/proc` shows the process as running or sleeping rather than dead.
    pub fn is_alive(&mut self) -> bool {
        self.status().is_none() && Path::new(&format!("/proc/{}/exe", self.pid())).read_link().is_ok()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            // Either fails only when the child is already gone.
            drop(self.child.kill());
            drop(self.child.wait());
        }
    }
}
