//! A program of `xtask/programs`: compiled, started, and spoken to line by line.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Stdio},
};

use anyhow::{Context as _, Result, bail};

use crate::{command::Cmd, packages, workspace};

/// A compiled program.
pub(crate) struct Binary {
    name: &'static str,
    path: PathBuf,
}

impl Binary {
    /// Compiles the program `name` with these flags, as C or as C++, whichever its source is.
    pub(crate) fn compile(name: &'static str, flags: &[&str]) -> Result<Self> {
        packages::ensure(packages::COMPILER)?;
        let folder = workspace::target().join("programs");
        fs::create_dir_all(&folder).with_context(|| format!("failed to make {}", folder.display()))?;
        let path = folder.join(name);
        let source = workspace::root().join("xtask/programs").join(name);
        let (compiler, standard, source) = if source.with_extension("cpp").exists() {
            packages::ensure(packages::CXX_COMPILER)?;
            ("c++", "-std=gnu++17", source.with_extension("cpp"))
        } else {
            ("cc", "-std=gnu11", source.with_extension("c"))
        };
        Cmd::new(compiler)
            .args([standard, "-g", "-Wall", "-Wextra", "-Werror", "-pthread"])
            .args(flags)
            .arg("-o")
            .arg(&path)
            .arg(source)
            .run()?;
        Ok(Self { name, path })
    }

    /// The same program in another folder.
    pub(crate) fn copied_to(self, folder: &Path) -> Result<Self> {
        let path = folder.join(self.name);
        fs::copy(&self.path, &path).with_context(|| format!("failed to copy {} to {}", self.name, path.display()))?;
        Ok(Self { path, ..self })
    }

    /// Starts it; returns when it is ready.
    pub(crate) fn start(&self, arguments: &[&str]) -> Result<Program> {
        Program::spawn(self.name, Cmd::new(&self.path).args(arguments))
    }

    /// Starts it as the last words of the command of a tool; returns when it is ready.
    pub(crate) fn start_under(&self, tool: Cmd, arguments: &[&str]) -> Result<Program> {
        Program::spawn(self.name, tool.arg(&self.path).args(arguments))
    }
}

/// A running program; it ends with this value.
pub(crate) struct Program {
    name: &'static str,
    child: Child,
    /// `None` once the program was told to end.
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Program {
    /// Compiles the program `name` with frame pointers, and starts it; returns when it is ready.
    pub(crate) fn start(name: &'static str) -> Result<Self> {
        // -O1 keeps every function of the source a frame.
        Self::start_with(name, &["-O1", "-fno-omit-frame-pointer"], &[])
    }

    /// Compiles the program `name` with these flags and starts it with these arguments; returns when it is ready.
    pub(crate) fn start_with(name: &'static str, flags: &[&str], arguments: &[&str]) -> Result<Self> {
        Binary::compile(name, flags)?.start(arguments)
    }

    /// Starts the script `name`, by the command of what runs it; returns when it is ready.
    pub(crate) fn script(name: &'static str, runtime: Cmd) -> Result<Self> {
        let script = workspace::root().join("xtask/programs").join(name);
        Self::spawn(name, runtime.arg(script))
    }

    /// Starts this command; returns when the program says `ready`, which its number may follow.
    pub(crate) fn spawn(name: &'static str, command: Cmd) -> Result<Self> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let input = child.stdin.take();
        let output = child
            .stdout
            .take()
            .with_context(|| format!("{name} has no standard output"))?;
        let mut program = Self {
            name,
            child,
            input,
            output: BufReader::new(output),
        };
        // A tool that starts it may have something to say before.
        while program.line()?.split(' ').next() != Some("ready") {}
        Ok(program)
    }

    /// Process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a line and returns the line that answers it.
    pub(crate) fn ask(&mut self, line: &str) -> Result<String> {
        self.tell(line)?;
        self.line()
    }

    /// Sends a line.
    pub(crate) fn tell(&mut self, line: &str) -> Result<()> {
        let input = self
            .input
            .as_mut()
            .with_context(|| format!("{} was told to end already", self.name))?;
        writeln!(input, "{line}").with_context(|| format!("failed to write to {}", self.name))
    }

    /// Waits for the next line.
    pub(crate) fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        let length = self
            .output
            .read_line(&mut line)
            .with_context(|| format!("failed to read from {}", self.name))?;
        if length == 0 {
            bail!("{} ended: {}", self.name, self.child.wait()?);
        }
        Ok(line.trim_end().to_owned())
    }

    /// Lets the program end by itself and checks that it was whole to the last.
    pub(crate) fn finish(&mut self) -> Result<()> {
        self.input = None;
        let status = self
            .child
            .wait()
            .with_context(|| format!("failed to wait for {}", self.name))?;
        if !status.success() {
            bail!("{} ended with {status}", self.name);
        }
        Ok(())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // An error means that it ended before.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loop_measures_itself_and_ends_with_its_input() {
        let mut program = Program::start("tight").unwrap();
        let pair_ns: f64 = program.ask("run 20").unwrap().parse().unwrap();
        assert!(pair_ns > 0.5 && pair_ns < 1e6, "{pair_ns}");
        program.finish().unwrap();
        assert!(program.tell("run 20").is_err());
    }

    #[test]
    fn the_server_prints_what_it_leaked() {
        let mut program = Program::start("leaky").unwrap();
        let truth = program.ask("leak 30").unwrap();
        let truth: serde_json::Value = serde_json::from_str(&truth).unwrap();
        assert_eq!(truth["open_session"], 30 * 96);
        assert_eq!(truth["append_to_log"], 30 * 40);
        assert_eq!(truth["cache_page"], 64 * 8000);
        program.finish().unwrap();
    }
}
