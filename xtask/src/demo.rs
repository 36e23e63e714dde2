//! `cargo xtask demo`: memtrace on a small server that leaks at known places, and its report beside the truth.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::Stdio,
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use crate::{
    privilege::Root,
    workload::{Program, Tracer, build_release},
    workspace,
};

/// Requests in which the server leaks: about six seconds of them.
const LEAKING_REQUESTS: u32 = 2600;

/// How long memtrace looks: the leaking, and enough after it for the youngest block to be old.
const OBSERVED: Duration = Duration::from_secs(10);

/// Show memtrace on a small program that leaks: build both, attach, compare the report with the truth
#[derive(clap::Args)]
pub(crate) struct Options {}

/// Runs the verb.
pub(crate) fn run(_: &Options) -> Result<()> {
    build_release()?;
    let root = Root::find("attach to a running program")?;
    // Made by the user, so that the user can remove what root writes into it.
    let folder = workspace::target().join("demo");
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("failed to remove {}", folder.display()))?;
    }
    fs::create_dir_all(&folder).with_context(|| format!("failed to make {}", folder.display()))?;

    println!("\nA server starts. It has run for a while when memtrace attaches to it:\n");
    let mut server = Program::start("leaky")?;
    sleep(Duration::from_secs(1));
    let output = folder.display().to_string();
    let duration = format!("{}s", OBSERVED.as_secs());
    let arguments = ["--duration", &duration, "--min-age", "2s", "--top", "10", "-o", &output];
    let tracer = Tracer::attach(root, server.pid(), &arguments, Stdio::inherit())?;
    let attached = Instant::now();
    let truth = server.ask(&format!("leak {LEAKING_REQUESTS}"))?;
    if attached.elapsed() >= OBSERVED {
        bail!("this machine is too slow or too busy: the server leaked for longer than memtrace looked");
    }
    tracer.finish()?;
    server.finish().context("the server did not survive being traced")?;

    let truth = serde_json::from_str(&truth).with_context(|| format!("failed to understand the truth: {truth}"))?;
    let report = read_report(&folder.join("profile.json"))?;
    let equal = print_comparison(&truth, &report);
    println!(
        "\nThe server ended by itself, whole. Look at {}.",
        folder.join("flamegraph.svg").display()
    );
    if !equal {
        bail!("memtrace's report and the truth differ");
    }
    Ok(())
}

/// What is read of profile.json.
#[derive(Deserialize)]
struct Report {
    sites: Vec<Site>,
}

#[derive(Deserialize)]
struct Site {
    stack: Vec<Frame>,
    live: Amount,
}

#[derive(Deserialize)]
struct Frame {
    function: Option<String>,
}

#[derive(Deserialize)]
struct Amount {
    bytes: u64,
}

fn read_report(path: &Path) -> Result<Report> {
    let text = fs::read_to_string(path).with_context(|| format!("failed to read memtrace's {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("failed to understand {}", path.display()))
}

/// Live bytes of all sites that have the function in their stack.
fn live_bytes(report: &Report, function: &str) -> u64 {
    let has = |site: &&Site| {
        site.stack
            .iter()
            .any(|frame| frame.function.as_deref() == Some(function))
    };
    report.sites.iter().filter(has).map(|site| site.live.bytes).sum()
}

/// Prints one line per function; tells whether all are equal.
fn print_comparison(truth: &BTreeMap<String, u64>, report: &Report) -> bool {
    println!("\nLive bytes by function, as the server counted them and as memtrace saw them:\n");
    println!("{:<16} {:>12} {:>12}", "function", "truth", "memtrace");
    let mut equal = true;
    for (function, &bytes) in truth {
        let seen = live_bytes(report, function);
        println!(
            "{function:<16} {bytes:>12} {seen:>12}  {}",
            if seen == bytes { "equal" } else { "DIFFERENT" }
        );
        equal &= seen == bytes;
    }
    equal
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = r#"{"sites": [
        {"stack": [{"function": "open_session"}, {"function": "main"}], "live": {"bytes": 96, "count": 1}},
        {"stack": [{"function": "checked"}, {"function": "open_session"}], "live": {"bytes": 4, "count": 1}},
        {"stack": [{"function": null, "module": "libc.so.6"}], "live": {"bytes": 7, "count": 1}},
        {"stack": [], "live": {"bytes": 9, "count": 1}}]}"#;

    #[test]
    fn sites_are_added_up_by_function() {
        let report = serde_json::from_str(REPORT).unwrap();
        assert_eq!(live_bytes(&report, "open_session"), 100);
        assert_eq!(live_bytes(&report, "index_headers"), 0);
    }

    #[test]
    fn one_different_byte_is_a_difference() {
        let report = serde_json::from_str(REPORT).unwrap();
        let truth = |bytes| BTreeMap::from([("open_session".to_owned(), bytes)]);
        assert!(print_comparison(&truth(100), &report));
        assert!(!print_comparison(&truth(101), &report));
    }
}
