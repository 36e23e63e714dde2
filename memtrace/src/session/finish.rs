//! The end of an observation: no event is lost, the target is left alone, the reports are written.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::Path,
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use tokio::task::JoinHandle;

use super::{
    censuses::Censuses,
    collector::Collector,
    recorder::Recorder,
    report::{Raw, Reporter},
    residency::Residency,
    saving::Saving,
    signals::{self, Signals},
    top,
    tracer::Tracer,
};
use crate::{
    message,
    options::Options,
    profile::{End, Profile},
    progress::{self, Total},
    render::{
        self, File as Rendered, Measure,
        export::{self, Format},
    },
    tui::{Request, Screen},
};

/// How long the summary waits for a screen to give the terminal back, which may take no output any more.
const GIVEN_BACK: Duration = Duration::from_secs(1);

/// What becomes of a report that is given up while it is made.
const NOTHING: &str = "nothing was written";

/// Who makes something of an observation.
pub(super) struct Outputs {
    pub(super) reporter: Reporter,
    pub(super) recorder: Option<Recorder>,
    pub(super) residency: Residency,
    pub(super) censuses: Censuses,
    /// The live table under construction.
    pub(super) live: Option<JoinHandle<()>>,
    /// The screen, when it stays until the user has seen the end.
    pub(super) screen: Option<Screen>,
    /// Snapshots that are being written.
    pub(super) saving: Saving,
}

/// Stops listening, takes what is left, detaches, and reports. `true` when a check was asked for and failed.
pub(super) async fn finish(
    mut tracer: Tracer,
    mut collector: Collector,
    outputs: Outputs,
    end: End,
    options: &Options,
    signals: &mut Signals,
) -> anyhow::Result<bool> {
    let Outputs {
        reporter,
        mut recorder,
        mut residency,
        censuses,
        live,
        mut screen,
        mut saving,
    } = outputs;
    tracer.ignore();
    if !top::stays(&end) {
        // Who wants to leave is not kept. It may take a moment, in which nothing is sent any more that nobody would take.
        top::close(screen.take());
    }
    collector.finish()?;
    residency.finish(&collector, &tracer).await;
    if let Some(budget) = &mut tracer.budget {
        budget.end_look(&mut collector)?;
    }
    tracer.end_unwinding();
    let mut raw = Raw::take(&mut collector, &tracer, &residency, options, Some(end));
    let (grown, notes) = tokio::task::spawn_blocking(|| censuses.end())
        .await
        .context("the last census failed")?;
    raw.censuses = grown;
    raw.notes.extend(notes);
    if let Some(recorder) = &mut recorder {
        recorder.last(&collector, &raw, &residency.fresh())?;
    }
    // Its blocks are many, and naming frames takes memory too.
    drop(collector);
    // Taking the probes off frees the target from its cost, and waits in the kernel; naming frames needs the processor.
    let detached = tokio::task::spawn_blocking(move || {
        let _stage = progress::stage("taking the probes off", Total::Unknown);
        tracer.detach();
    });
    let settings = options.clone();
    let report = move || -> anyhow::Result<_> {
        let profile = reporter.finish(raw, recorder)?;
        let failed = settings.output.as_deref().map_or_else(Vec::new, |directory| {
            write_files(&profile, directory, &settings.exports, settings.measure)
        });
        Ok((Arc::new(profile), failed))
    };
    let reported = tokio::spawn(async move {
        // A live table that is being made, or waits for a terminal that is stopped, comes first. It is waited for here, where
        // the target is left alone already and the user can give up.
        if let Some(live) = live {
            live.await.context("the live table failed")?;
        }
        tokio::task::spawn_blocking(report)
            .await
            .context("making the report failed")?
    });
    let result = beside(reported, &mut screen, &mut saving, options, signals).await;
    let result = match result {
        Ok((profile, failed)) => {
            if let Some(screen) = screen {
                top::stay(screen, &profile, options, &mut saving, signals).await;
            }
            let output = options.output.clone();
            let check_failed = profile.check_failed();
            let printed = tokio::task::spawn_blocking(move || summarize(&profile, output.as_deref(), &failed));
            let rest = "the summary was not printed to its end";
            with_progress(printed, rest, signals).await.map(|()| check_failed)
        }
        Err(error) => Err(error),
    };
    saving.finish(signals).await;
    detached.await.context("taking the probes off failed")?;
    result
}

/// As [`with_progress`], and does meanwhile what the screen asks for. Where the user leaves it is closed, and the progress is shown.
async fn beside<T>(
    mut reported: JoinHandle<anyhow::Result<T>>,
    screen: &mut Option<Screen>,
    saving: &mut Saving,
    options: &Options,
    signals: &mut Signals,
) -> anyhow::Result<T> {
    while let Some(shown) = screen {
        let inputs = shown.inputs().clone();
        tokio::select! {
            result = &mut reported => return result.context("making the report failed")?,
            signal = signals.next() => if signals::ends(signal) {
                return Err(given_up(NOTHING));
            },
            request = shown.next() => match request {
                Request::Save(profile) => saving.begin(profile, options, inputs),
                Request::Leave | Request::Seek(_) => top::close(screen.take()),
            },
        }
    }
    with_progress(reported, NOTHING, signals).await
}

fn given_up(otherwise: &str) -> anyhow::Error {
    anyhow::anyhow!("stopped while the report was being made; {otherwise}")
}

/// Waits for the reports; shows that something is going on when it takes long, and gives up when asked to.
async fn with_progress<T>(
    mut reported: JoinHandle<anyhow::Result<T>>,
    otherwise: &str,
    signals: &mut Signals,
) -> anyhow::Result<T> {
    let _stage = progress::stage("making the report (Ctrl-C gives up)", Total::Unknown);
    loop {
        tokio::select! {
            result = &mut reported => return result.context("making the report failed")?,
            signal = signals.next() => if signals::ends(signal) {
                return Err(given_up(otherwise));
            },
        }
    }
}

/// The summary on standard output, everything else into the directory.
///
/// # Errors
/// What could not be written.
pub fn write_reports(
    profile: &Profile,
    output: Option<&Path>,
    exports: &[Format],
    measure: Measure,
) -> anyhow::Result<()> {
    let failed = output.map_or_else(Vec::new, |directory| write_files(profile, directory, exports, measure));
    summarize(profile, output, &failed)
}

/// Every file of a directory, those of other tools too; what could not be written and why, each.
pub(super) fn write_files(profile: &Profile, directory: &Path, exports: &[Format], measure: Measure) -> Vec<String> {
    let mut failed = Vec::new();
    let form = render::Options { measure };
    let files = (render::FILES.len() + exports.len()) as u64;
    let stage = progress::stage("writing reports", Total::Of(files, "files"));
    for (done, rendered) in (0..).zip(render::FILES) {
        stage.at(done);
        let path = directory.join(rendered.name);
        if !rendered.is_of(profile) {
            // One of an earlier report would be taken for a part of this one.
            let _none = fs::remove_file(path);
            continue;
        }
        if let Err(error) = write_file(&path, profile, *rendered, form) {
            failed.push(format!("{}: {error}", path.display()));
        }
    }
    for format in exports {
        let path = directory.join(format.file);
        if let Err(error) = replace(&path, |file| export::write(profile, *format, measure, file)) {
            failed.push(format!("{}: {error}", path.display()));
        }
    }
    failed
}

/// Prints the summary, and says which files could not be written.
fn summarize(profile: &Profile, output: Option<&Path>, failed: &[String]) -> anyhow::Result<()> {
    let mut text = Vec::new();
    render::text::write(profile, &mut text).context("failed to make the summary")?;
    if output.is_none() && profile.sites.iter().any(|site| site.suspicion.is_some()) {
        writeln!(text)?;
        render::leaks::write(profile, &mut text).context("failed to make the leak report")?;
    }
    if let Some(directory) = output {
        writeln!(text, "\nreports are in {}", directory.display())?;
    }
    anyhow::ensure!(
        message::wait_released(GIVEN_BACK),
        "failed to write the summary: the terminal takes no output (with -o DIR the reports are in a directory)"
    );
    match progress::aside(|| io::stdout().lock().write_all(&text)) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            return Err(error).context("failed to write the summary to standard output");
        }
        _ => {}
    }
    if failed.is_empty() {
        return Ok(());
    }
    anyhow::bail!(
        "failed to write {} of the reports (the summary above is complete): {}",
        failed.len(),
        failed.join("; ")
    )
}

fn write_file(path: &Path, profile: &Profile, rendered: Rendered, form: render::Options) -> io::Result<()> {
    replace(path, |file| rendered.render(profile, form, file))
}

/// Writes a file under another name and renames it when it is whole: an earlier report is not lost to a full disk, none is cut
/// off, and a link that somebody has put in its place is replaced rather than followed.
///
/// # Errors
/// Those of writing.
pub fn replace<T, E: From<io::Error>>(path: &Path, write: impl FnOnce(&mut dyn Write) -> Result<T, E>) -> Result<T, E> {
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let part = Path::new(&part);
    // Of a memtrace that was killed; or a link, which must not be followed either.
    let _none = fs::remove_file(part);
    let written = File::create_new(part).map_err(E::from).and_then(|file| {
        let mut file = BufWriter::new(file);
        let value = write(&mut file)?;
        file.flush()?;
        fs::rename(part, path)?;
        Ok(value)
    });
    if written.is_err() {
        // It may not even have been made.
        let _none = fs::remove_file(part);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_whole_or_not_there() {
        let here = tempfile::tempdir().unwrap();
        let path = here.path().join("report");
        let failing = |file: &mut dyn Write| {
            file.write_all(b"half")?;
            Err::<(), _>(io::Error::from(io::ErrorKind::StorageFull))
        };
        assert!(replace(&path, failing).is_err());
        assert_eq!(fs::read_dir(here.path()).unwrap().count(), 0);
        replace(&path, |file| file.write_all(b"first")).unwrap();
        assert!(replace(&path, failing).is_err());
        assert_eq!(fs::read(&path).unwrap(), b"first");
        replace(&path, |file| file.write_all(b"second")).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"second");
        assert_eq!(fs::read_dir(here.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_link_in_the_place_of_a_report_is_not_followed() {
        let here = tempfile::tempdir().unwrap();
        let (precious, path) = (here.path().join("precious"), here.path().join("report"));
        fs::write(&precious, "content").unwrap();
        for link in [&path, &here.path().join("report.part")] {
            std::os::unix::fs::symlink(&precious, link).unwrap();
        }
        replace(&path, |file| file.write_all(b"report")).unwrap();
        assert_eq!(fs::read(&precious).unwrap(), b"content");
        assert!(fs::symlink_metadata(&path).unwrap().is_file());
    }
}
