//! What is traced: programs of the project's own, and a server.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::redis::{self, Redis};
use crate::{
    bench::{pair_cost::measure, server_cost::node_version},
    command::Cmd,
    workload::{Binary, Program},
};

/// Length of one measurement.
const RUN: &str = "run 2000";
const RUN_SECONDS: f64 = 2.0;

/// As programs are built that are shipped: no frame of the compiler's choosing less, and no frame pointers.
const FLAGS: [&str; 2] = ["-O2", "-fomit-frame-pointer"];

/// A piece of work.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub(crate) enum Work {
    /// One thread that does nothing but allocate, free and grow
    Steps,
    /// The same, about 100,000 times a second
    #[value(name = "steps-100k")]
    Steps100k,
    /// The same, about 10,000 times a second
    #[value(name = "steps-10k")]
    Steps10k,
    /// Four threads that free each other's blocks
    Handover,
    /// Trees built by recursive functions in C++
    Trees,
    /// redis-server with jemalloc
    Redis,
    /// A web application in Python, on Flask's own server
    Flask,
    /// A web application in JavaScript, on node's own server
    Node,
}

impl Work {
    /// Compiles it, or finds it; an error says why it is not here. What is in Python runs in `python`, and in
    /// JavaScript in `node`.
    pub(super) fn prepare(self, python: &Path, node: &Path) -> Result<Prepared> {
        // A round takes 2 ns on the processors this was made on; the table says what comes of it here.
        let (program, arguments, unit): (_, &'static [&'static str], _) = match self {
            Self::Steps => ("steps", &["0"], "steps"),
            Self::Steps100k => ("steps", &["4900"], "steps"),
            Self::Steps10k => ("steps", &["50000"], "steps"),
            Self::Handover => ("handover", &[], "blocks"),
            Self::Trees => ("trees", &[], "documents"),
            Self::Redis => {
                redis::check()?;
                return Ok(Prepared::Redis);
            }
            Self::Flask => {
                let import = Cmd::new(python).args(["-c", "import flask"]).read();
                import.with_context(|| format!("{} has no Flask, which --python may name", python.display()))?;
                return Ok(Prepared::Flask(python.to_owned()));
            }
            Self::Node => {
                node_version(node)?;
                return Ok(Prepared::Node(node.to_owned()));
            }
        };
        let binary = Binary::compile(program, &FLAGS)?;
        Ok(Prepared::Program {
            binary,
            arguments,
            unit,
        })
    }
}

/// Work that can be started.
pub(super) enum Prepared {
    Program {
        binary: Binary,
        arguments: &'static [&'static str],
        unit: &'static str,
    },
    Redis,
    Flask(PathBuf),
    Node(PathBuf),
}

impl Prepared {
    /// What is done so many times a second.
    pub(super) fn unit(&self) -> &'static str {
        match self {
            Self::Program { unit, .. } => unit,
            Self::Redis | Self::Flask(_) | Self::Node(_) => "requests",
        }
    }

    /// Whether an interpreter of Python runs it.
    pub(super) const fn is_python(&self) -> bool {
        matches!(self, Self::Flask(_))
    }

    /// Whether every call is seen only on request.
    pub(super) const fn is_seen_sparingly(&self) -> bool {
        matches!(self, Self::Flask(_) | Self::Node(_))
    }

    /// Starts it, where a tool is given as the last words of its command.
    pub(super) fn start(&self, tool: Option<Cmd>) -> Result<Load> {
        Ok(match (self, tool) {
            (Self::Program { binary, arguments, .. }, None) => Load::Program(binary.start(arguments)?),
            (Self::Program { binary, arguments, .. }, Some(tool)) => {
                Load::Program(binary.start_under(tool, arguments)?)
            }
            (Self::Flask(python), tool) => script(python, "flask_app.py", tool)?,
            (Self::Node(node), tool) => script(node, "node_app.js", tool)?,
            (Self::Redis, tool) => Load::Redis(Redis::start(tool)?),
        })
    }
}

/// Starts what a runtime runs.
fn script(runtime: &Path, name: &'static str, tool: Option<Cmd>) -> Result<Load> {
    let command = tool.map_or_else(|| Cmd::new(runtime), |tool| tool.arg(runtime));
    Ok(Load::Program(Program::script(name, command)?))
}

/// What was done.
#[derive(Clone, Copy)]
pub(super) struct Done {
    /// How many times.
    pub(super) count: f64,
    /// How many times a second.
    pub(super) rate: f64,
}

/// Work that is running.
pub(super) enum Load {
    Program(Program),
    Redis(Redis),
}

impl Load {
    /// Process to trace; of one that a tool has started, the tool's.
    pub(super) fn pid(&self) -> u32 {
        match self {
            Self::Program(program) => program.pid(),
            Self::Redis(redis) => redis.pid(),
        }
    }

    /// File name of the allocator's library where that is not libc.
    pub(super) fn allocator(&self) -> Option<&'static str> {
        match self {
            Self::Program(_) => None,
            Self::Redis(_) => Some(redis::ALLOCATOR),
        }
    }

    /// Works for a while.
    pub(super) fn work(&mut self) -> Result<Done> {
        match self {
            Self::Program(program) => {
                let rate = measure(program, RUN)?;
                Ok(Done {
                    count: rate * RUN_SECONDS,
                    rate,
                })
            }
            Self::Redis(redis) => redis.work(),
        }
    }

    /// Lets it end by itself.
    pub(super) fn finish(&mut self) -> Result<()> {
        match self {
            Self::Program(program) => program.finish(),
            Self::Redis(redis) => redis.finish(),
        }
    }
}
