//! Standard output that may be closed early.

use std::io;

/// Whoever reads our output may stop reading (`| head`): that is not an error.
pub(super) fn ignore_closed_pipe(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}
