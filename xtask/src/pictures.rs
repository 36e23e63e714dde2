//! `cargo xtask pictures`: the pictures of the README, made from a real run.
//!
//! A small server that leaks is recorded; the page is opened in Chromium, the screen in a terminal of tmux's.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use crate::{
    command::Cmd,
    packages,
    privilege::Root,
    workload::{Binary, Tracer, build_release},
    workspace,
};

/// Requests in which the server leaks: about six seconds of them.
const LEAKING_REQUESTS: u32 = 2600;

/// How long it is recorded: the leaking, and enough before and after it for a line to be seen.
const RECORDED: Duration = Duration::from_secs(14);

/// Columns and lines of the terminal: the smallest that everybody has.
const TERMINAL: (&str, &str) = ("80", "24");

/// What is on the screen when it is drawn.
const DRAWN: &str = "q quit";

/// How long the screen is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// Make the pictures of the README anew: record a small server, show it as a page and on a screen
#[derive(clap::Args)]
pub(crate) struct Options {}

/// Runs the verb.
pub(crate) fn run(_: &Options) -> Result<()> {
    packages::ensure(packages::PICTURES)?;
    let memtrace = build_release()?;
    let folder = workspace::target().join("pictures");
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("failed to remove {}", folder.display()))?;
    }
    fs::create_dir_all(&folder).with_context(|| format!("failed to make {}", folder.display()))?;
    let recording = folder.join("leaky.memtrace");
    record(&recording)?;
    page(&memtrace, &recording, &folder)?;
    screen(&memtrace, &recording, &folder)
}

/// Where a picture of the README is.
fn picture(name: &str) -> PathBuf {
    workspace::root().join("docs").join(name)
}

/// Records a server that leaks for a while.
fn record(recording: &Path) -> Result<()> {
    let root = Root::find("record a running program")?;
    // The picture shows where the program is, and that is not to be the folder of whoever made it.
    let place = tempfile::Builder::new().prefix("server-").tempdir();
    let place = place.context("failed to make a folder for the server")?;
    let mut server = Binary::compile("leaky", &[])?.copied_to(place.path())?.start(&[])?;
    sleep(Duration::from_secs(1));
    let (pid, path) = (server.pid().to_string(), recording.display().to_string());
    let duration = format!("{}s", RECORDED.as_secs());
    let arguments = [
        "record",
        "--pid",
        &pid,
        "--duration",
        &duration,
        "--min-age",
        "2s",
        "-o",
        &path,
    ];
    let tracer = Tracer::start(root, &arguments, Stdio::inherit())?;
    server.ask(&format!("leak {LEAKING_REQUESTS}"))?;
    tracer.finish()?;
    server.finish().context("the server did not survive being traced")
}

/// The page, as Chromium shows it.
fn page(memtrace: &Path, recording: &Path, folder: &Path) -> Result<()> {
    let (html, shown) = (folder.join("report.html"), picture("report.png"));
    Cmd::new(memtrace)
        .arg("html")
        .arg(recording)
        .arg("-o")
        .arg(&html)
        .run()?;
    let profile = tempfile::tempdir().context("failed to make a folder for Chromium")?;
    Cmd::new("chromium")
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            "--no-first-run",
        ])
        .args([
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
        ])
        // The page unpacks its data before it draws.
        .args([
            "--virtual-time-budget=5000",
            "--window-size=1280,900",
            "--force-color-profile=srgb",
        ])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!("--screenshot={}", shown.display()))
        .arg(format!("file://{}", html.display()))
        .run()?;
    println!("made {}", shown.display());
    Ok(())
}

/// The screen, as a terminal shows it.
fn screen(memtrace: &Path, recording: &Path, folder: &Path) -> Result<()> {
    let socket = folder.join("tmux");
    let tmux = || {
        Cmd::new("tmux")
            .arg("-S")
            .arg(&socket)
            .args(["-f", "/dev/null"])
            .env("LC_ALL", "C.UTF-8")
            .env("COLORTERM", "truecolor")
            .without_env("TMUX")
    };
    let command = format!("{} top --replay {}", memtrace.display(), recording.display());
    let (columns, lines) = TERMINAL;
    tmux()
        .args(["new-session", "-d", "-x", columns, "-y", lines, &command])
        .run()?;
    let drawn = wait_for_screen(&tmux);
    // The end of the recording, with the stack of its first site.
    let shown = drawn.and_then(|()| {
        tmux().args(["send-keys", "End", "Enter"]).run()?;
        sleep(Duration::from_secs(2));
        tmux().args(["capture-pane", "-e", "-p"]).read()
    });
    tmux().arg("kill-server").run()?;
    let picture = picture("top.svg");
    let drawing = anstyle_svg::Term::new().min_width_px(720).render_svg(shown?.trim_end());
    fs::write(&picture, drawing).with_context(|| format!("failed to write {}", picture.display()))?;
    println!("made {}", picture.display());
    Ok(())
}

fn wait_for_screen(tmux: &dyn Fn() -> Cmd) -> Result<()> {
    let end = Instant::now() + PATIENCE;
    while !tmux().args(["capture-pane", "-p"]).read()?.contains(DRAWN) {
        if Instant::now() > end {
            bail!("memtrace top did not draw its screen within {} s", PATIENCE.as_secs());
        }
        sleep(Duration::from_millis(200));
    }
    Ok(())
}
