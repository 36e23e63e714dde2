//! redis-server on a socket of its own, under redis-benchmark. It keeps nothing on disk.

use std::{
    fs,
    process::{Child, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;

use super::work::Done;
use crate::{bench::process, command::Cmd, packages};

/// The allocator that Debian's redis-server is built with.
pub(super) const ALLOCATOR: &str = "libjemalloc.so.2";

/// Commands that make small and large values, lists and hashes, and one that reads.
const TESTS: [&str; 4] = ["set", "lpush", "hset", "get"];

/// Requests of each.
const REQUESTS: u32 = 200_000;

/// How the requests come: ten clients with four requests on their way each, of values of 200 bytes under ten thousand keys.
const LOAD: [&str; 8] = ["-c", "10", "-P", "4", "-d", "200", "-r", "10000"];

/// How long the server may take to answer or to end, under a slow tracer too.
const PATIENCE: Duration = Duration::from_mins(1);

/// A running server; it ends with this value.
pub(super) struct Redis {
    /// Removed with its socket when the server is gone.
    folder: TempDir,
    server: Child,
}

/// Whether it can be started here.
///
/// # Errors
/// What is missing.
pub(super) fn check() -> Result<()> {
    for package in [packages::REDIS, packages::REDIS_TOOLS] {
        if !package.is_there() {
            bail!("there is no {} here", package.provides);
        }
    }
    let mut server = Redis::start(None)?;
    let pid = server.pid();
    let maps = fs::read_to_string(format!("/proc/{pid}/maps"))
        .with_context(|| format!("failed to read the mappings of redis-server, process {pid}"))?;
    if !maps.contains(ALLOCATOR) {
        bail!("redis-server does not use {ALLOCATOR} here");
    }
    server.finish()
}

impl Redis {
    /// Starts it, under a tool when one is given, and returns when it answers.
    pub(super) fn start(tool: Option<Cmd>) -> Result<Self> {
        // Its path is short enough for the address of a socket (108 bytes, unix(7)), that of the target folder may not be.
        let folder = tempfile::tempdir().context("failed to make a folder for redis-server")?;
        let command = tool.map_or_else(|| Cmd::new("redis-server"), |tool| tool.arg("redis-server"));
        let server = command
            .args(["--port", "0", "--unixsocket"])
            .arg(socket(&folder))
            .args(["--save", "", "--appendonly", "no", "--dir"])
            .arg(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()?;
        let mut redis = Self { folder, server };
        let end = Instant::now() + PATIENCE;
        while !redis.client("redis-cli").arg("ping").succeeds() {
            if let Some(status) = redis.server.try_wait()? {
                bail!("redis-server ended with {status}");
            }
            if Instant::now() > end {
                bail!("redis-server did not answer within {} s", PATIENCE.as_secs());
            }
            sleep(Duration::from_millis(20));
        }
        Ok(redis)
    }

    /// Its process id, whatever started it.
    pub(super) fn pid(&self) -> u32 {
        process::named(self.server.id(), "redis-server").unwrap_or_else(|| self.server.id())
    }

    /// Answers requests.
    pub(super) fn work(&mut self) -> Result<Done> {
        let start = Instant::now();
        self.client("redis-benchmark")
            .args(["-q", "-t", &TESTS.join(","), "-n", &REQUESTS.to_string()])
            .args(LOAD)
            .stdout(Stdio::null())
            .run()?;
        let count = f64::from(REQUESTS) * TESTS.len() as f64;
        Ok(Done {
            count,
            rate: count / start.elapsed().as_secs_f64(),
        })
    }

    /// Has it end by itself, and checks that it was whole to the last.
    pub(super) fn finish(&mut self) -> Result<()> {
        self.client("redis-cli")
            .args(["shutdown", "nosave"])
            .stdout(Stdio::null())
            .run()?;
        let status = self.server.wait().context("failed to wait for redis-server")?;
        if !status.success() {
            bail!("redis-server ended with {status}");
        }
        Ok(())
    }

    fn client(&self, program: &str) -> Cmd {
        Cmd::new(program).arg("-s").arg(socket(&self.folder))
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // After `finish` there is nobody to tell. A tool that started the server would leave it behind if it were killed first.
        if self.server.try_wait().is_ok_and(|status| status.is_none()) {
            let _ = self.client("redis-cli").args(["shutdown", "nosave"]).succeeds();
            let _ = self.server.kill();
            let _ = self.server.wait();
        }
    }
}

fn socket(folder: &TempDir) -> std::path::PathBuf {
    folder.path().join("redis.sock")
}
