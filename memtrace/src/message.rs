//! What memtrace says to people while it works: lines on standard error.

use std::io::{self, Write as _};

use crate::render::escape;

/// Says something, on one line. Whoever read it may be gone, and that must not end an observation, as it would with
/// `eprintln`.
pub fn say(text: &str) {
    // Names in it are the target's.
    let mut line = escape::text(text).into_owned();
    line.push('\n');
    let _nobody_listens = io::stderr().lock().write_all(line.as_bytes());
}

/// An error with its causes. Many say theirs already.
pub fn chain(error: &anyhow::Error) -> String {
    error
        .chain()
        .map(ToString::to_string)
        .fold(String::new(), |said, cause| match said.as_str() {
            "" => cause,
            _ if said.contains(&cause) => said,
            _ => format!("{said}: {cause}"),
        })
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn a_cause_is_said_once() {
        let error = anyhow!("file is gone")
            .context("failed to read: file is gone")
            .context("no report");
        assert_eq!(chain(&error), "no report: failed to read: file is gone");
        assert_eq!(chain(&anyhow!("alone")), "alone");
    }
}
