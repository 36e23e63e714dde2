//! memtrace as a user runs it.

use std::{
    env,
    ffi::OsStr,
    fs,
    path::PathBuf,
    process::{Command, ExitStatus},
};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::{Program, Report, Truth, programs};

/// A memtrace that observes a target.
pub struct Memtrace {
    process: Program,
    directory: TempDir,
}

/// A memtrace that has ended without being asked for a profile.
#[derive(Debug)]
pub struct Finished {
    /// Its exit status.
    pub status: ExitStatus,
    /// What it printed.
    pub stdout: String,
    /// Its messages.
    pub stderr: String,
}

impl Finished {
    /// Asserts an error or usage exit (2), nothing on stdout, and a message that has every word, says so in
    /// a few lines, and comes from the tool rather than from a crash.
    pub fn assert_refused(&self, words: &[&str]) {
        println!("{}: {}", self.status, self.stderr.trim());
        assert_eq!(self.status.code(), Some(2), "{self:?}");
        assert_eq!(self.stdout, "", "a refused command prints no report");
        self.assert_says(words);
    }

    /// Asserts that the messages have every word, in any case, and show no crash.
    pub fn assert_says(&self, words: &[&str]) {
        let text = self.stderr.to_lowercase();
        for word in words {
            assert!(
                text.contains(&word.to_lowercase()),
                "{word:?} is not in: {}",
                self.stderr
            );
        }
        assert!(
            !text.contains("panicked") && !text.contains("rust_backtrace"),
            "{}",
            self.stderr
        );
    }
}

impl Memtrace {
    /// The binary: `MEMTRACE_BIN`, or the newer of the release and the debug build.
    pub fn binary() -> PathBuf {
        if let Some(path) = env::var_os("MEMTRACE_BIN") {
            return path.into();
        }
        let built = ["release", "debug"].map(|profile| programs::target().join(profile).join("memtrace"));
        let newest = built
            .into_iter()
            .filter_map(|path| Some((path.metadata().ok()?.modified().ok()?, path)))
            .max();
        newest
            .expect("memtrace is not built: `cargo build -p memtrace`, or set MEMTRACE_BIN")
            .1
    }

    /// A command line of memtrace.
    pub fn command<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(Self::binary());
        command.args(arguments);
        command
    }

    /// Attaches for a moment, with more options, and waits for the end: what is to be refused should be refused at once.
    pub fn tried(pid: &str, options: &[&str]) -> Finished {
        Self::finished(["attach", "--duration", "200ms", "--pid", pid].iter().chain(options))
    }

    /// Runs a command line to its end, with no input.
    pub fn finished<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Finished {
        Self::finish_command(&mut Self::command(arguments))
    }

    /// Runs any command to its end, with no input.
    pub fn finish_command(command: &mut Command) -> Finished {
        let mut process = Program::spawn(command);
        process.close();
        let (status, stdout) = process.wait();
        Finished {
            status,
            stdout,
            stderr: process.errors(),
        }
    }

    /// Attaches to a process and waits until the probes are in place.
    pub fn attach(pid: u32, arguments: &[&str]) -> Self {
        let memtrace = Self::attaching(pid, arguments);
        memtrace.process.expect_error("attached to");
        memtrace
    }

    /// Starts to attach to a process, without waiting for the probes.
    pub fn attaching(pid: u32, arguments: &[&str]) -> Self {
        Self::observing(["--pid", &pid.to_string()].iter().chain(arguments))
    }

    /// Attaches to what the arguments select, and waits until the probes are in place.
    pub fn observe<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Self {
        let memtrace = Self::observing(arguments);
        memtrace.process.expect_error("attached to");
        memtrace
    }

    /// Starts to attach to what the arguments select, without waiting for the probes.
    pub fn observing<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        let mut command = Self::command(["attach"]);
        command.args(arguments).arg("-o").arg(directory.path());
        Self {
            process: Program::spawn(&mut command),
            directory,
        }
    }

    /// Attaches to a program that is ready, lets it work to its hold, and has it end well.
    pub fn traced(mut program: Program, options: &[&str]) -> (Report, Truth) {
        let memtrace = Self::attach(program.pid(), options);
        program.go();
        let truth = program.truth();
        let report = memtrace.finish();
        let (status, _) = program.end();
        assert!(status.success(), "the program ended with {status}");
        (report, truth)
    }

    /// Starts a program under memtrace; its input and output are those of [`Memtrace::process`].
    pub fn run(arguments: &[&str], program: &mut Command) -> Self {
        Self::run_under(&[], arguments, program)
    }

    /// The same under a program that starts another, for example in a namespace.
    pub fn run_under(starter: &[&str], arguments: &[&str], program: &mut Command) -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        let mut command = match starter.split_first() {
            Some((starter, its)) => {
                let mut command = Command::new(starter);
                command.args(its).arg(Self::binary());
                command
            }
            None => Command::new(Self::binary()),
        };
        command
            .arg("run")
            .args(arguments)
            .arg("-o")
            .arg(directory.path())
            .arg("--");
        command.arg(program.get_program()).args(program.get_args());
        if let Some(current) = program.get_current_dir() {
            command.current_dir(current);
        }
        command.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
        Self {
            process: Program::spawn(&mut command),
            directory,
        }
    }

    /// The process of the tool.
    pub fn process(&mut self) -> &mut Program {
        &mut self.process
    }

    /// Process id of the tool.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Ends the observation as Ctrl-C does.
    pub fn finish(mut self) -> Report {
        self.process.signal(Signal::INT);
        self.ended()
    }

    /// Waits until the observation ends by itself.
    pub fn ended(self) -> Report {
        let (finished, directory) = self.end();
        let Finished { status, stdout, stderr } = finished;
        let path = directory.path().join("profile.json");
        let text = fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("no profile ({error}), {status}\n{stdout}\n{stderr}"));
        let profile = serde_json::from_str(&text).unwrap_or_else(|error| panic!("profile.json: {error}\n{text}"));
        Report {
            status,
            stdout,
            stderr,
            profile,
            directory,
        }
    }

    /// Waits until the tool ends, whether it has written a profile or not.
    pub fn end(mut self) -> (Finished, TempDir) {
        let (status, stdout) = self.process.wait();
        (
            Finished {
                status,
                stdout,
                stderr: self.process.errors(),
            },
            self.directory,
        )
    }

    /// Stops the tool from reading events while `work` is done, as a loaded machine would.
    pub fn pause<T>(&mut self, work: impl FnOnce() -> T) -> T {
        self.process.stop();
        let done = work();
        self.process.signal(Signal::CONT);
        done
    }
}
