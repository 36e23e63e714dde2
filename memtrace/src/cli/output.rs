//! Where the verbs write: standard output, which may be closed early, or a file.

use std::{
    io::{self, Write},
    path::Path,
};

use anyhow::Context as _;

use crate::{exit::Exit, progress, session::replace};

/// Whoever reads our output may stop reading (`| head`): that is not an error.
pub(super) fn ignore_closed_pipe(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// Writes a text to standard output.
pub(super) fn to_stdout(text: &[u8]) -> anyhow::Result<Exit> {
    ignore_closed_pipe(progress::aside(|| io::stdout().lock().write_all(text)))
        .context("failed to write to standard output")?;
    Ok(Exit::Success)
}

/// Writes into a file, which is whole or not there, or to standard output.
pub(super) fn to_file_or_stdout(
    path: Option<&Path>,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> anyhow::Result<Exit> {
    if let Some(path) = path {
        replace(path, write).with_context(|| format!("failed to write {}", path.display()))?;
    } else {
        let mut out = io::BufWriter::new(io::stdout().lock());
        let written = write(&mut out).and_then(|()| out.flush());
        ignore_closed_pipe(written).context("failed to write to standard output")?;
    }
    Ok(Exit::Success)
}
