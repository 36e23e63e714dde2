//! What memtrace says to people while it works: lines on standard error.

use std::{
    io::{self, IsTerminal as _, Write},
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use crate::{progress, render::escape};

/// Lines that are held at most.
const MOST_HELD: usize = 1000;

/// How long it is waited before it is looked again whether the terminal is given back.
const PAUSE: Duration = Duration::from_millis(10);

/// Lines that wait until the terminal may be written to again.
struct Held {
    lines: Vec<String>,
    left_out: u64,
    /// Whether they can be written at once, because they go elsewhere.
    passed_on: bool,
    newest: Option<String>,
}

static HELD: Mutex<Option<Held>> = Mutex::new(None);

fn held() -> MutexGuard<'static, Option<Held>> {
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Holds back what would be written to the terminal, because a screen is on it.
pub fn hold() {
    *held() = Some(Held {
        lines: Vec::new(),
        left_out: 0,
        passed_on: !io::stderr().is_terminal(),
        newest: None,
    });
    // What shows progress goes away, and does not come back before the screen is gone.
    progress::aside(|| ());
}

/// Whether the terminal belongs to a screen.
pub fn is_held() -> bool {
    held().is_some()
}

/// Writes what was held back; from then on lines are written at once.
pub fn release() {
    let Some(held) = held().take() else { return };
    for line in held.lines {
        write(&line);
    }
    if held.left_out > 0 {
        write(&format!("memtrace: {} more messages were not kept\n", held.left_out));
    }
}

/// Waits at most so long until the terminal belongs to no screen; whether it does not.
pub fn wait_released(patience: Duration) -> bool {
    let begun = Instant::now();
    while is_held() {
        if begun.elapsed() >= patience {
            return false;
        }
        thread::sleep(PAUSE);
    }
    true
}

/// The newest line since it was last asked for, while lines are held back.
pub fn news() -> Option<String> {
    held().as_mut()?.newest.take()
}

/// Writes a line with its end, or holds it back.
fn line(line: &str) {
    let mut held = held();
    let Some(held) = held.as_mut() else {
        drop(held);
        return write(line);
    };
    held.newest = Some(line.trim_end().to_owned());
    if held.passed_on {
        write(line);
    } else if held.lines.len() < MOST_HELD {
        held.lines.push(line.to_owned());
    } else {
        held.left_out += 1;
    }
}

fn write(line: &str) {
    let _nobody_listens = progress::aside(|| io::stderr().lock().write_all(line.as_bytes()));
}

/// Standard error for what writes whole lines at once, as loggers do.
#[derive(Debug)]
pub struct Stream;

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        line(&String::from_utf8_lossy(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Says something, on one line. Whoever read it may be gone, and that must not end an observation, as it would with
/// `eprintln`.
pub fn say(text: &str) {
    // Names in it are the target's.
    let mut words = escape::text(text).into_owned();
    words.push('\n');
    line(&words);
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
    fn a_terminal_that_is_not_given_back_is_not_waited_for() {
        assert!(wait_released(Duration::ZERO), "nobody has it");
        hold();
        assert!(!wait_released(PAUSE));
        let released = thread::scope(|scope| {
            let waits = scope.spawn(|| wait_released(Duration::from_mins(1)));
            release();
            waits.join()
        });
        assert!(released.unwrap());
    }

    #[test]
    fn a_cause_is_said_once() {
        let error = anyhow!("file is gone")
            .context("failed to read: file is gone")
            .context("no report");
        assert_eq!(chain(&error), "no report: failed to read: file is gone");
        assert_eq!(chain(&anyhow!("alone")), "alone");
    }
}
