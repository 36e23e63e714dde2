//! Signals to memtrace: what ends an observation, what is passed on.

use std::{fs::File, process::Child};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use rustix::{process::getpgrp, termios::tcgetpgrp};
use tokio::signal::unix::{self, SignalKind};

/// The signals that are listened to.
pub(super) struct Signals {
    streams: Vec<(Signal, unix::Signal)>,
}

const WATCHED: [Signal; 6] = [
    Signal::SIGINT,
    Signal::SIGTERM,
    Signal::SIGHUP,
    Signal::SIGQUIT,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
];

impl Signals {
    /// Starts to listen.
    pub(super) fn new() -> std::io::Result<Self> {
        crate::progress::leave_signals();
        let streams = WATCHED
            .into_iter()
            .map(|signal| Ok((signal, unix::signal(SignalKind::from_raw(signal as i32))?)))
            .collect::<std::io::Result<_>>()?;
        Ok(Self { streams })
    }

    /// The next signal.
    pub(super) async fn next(&mut self) -> Signal {
        std::future::poll_fn(|context| {
            for (signal, stream) in &mut self.streams {
                if stream.poll_recv(context).is_ready() {
                    return std::task::Poll::Ready(*signal);
                }
            }
            std::task::Poll::Pending
        })
        .await
    }
}

/// Whether a signal ends the observation of a program that memtrace did not start.
pub(super) const fn ends(signal: Signal) -> bool {
    matches!(
        signal,
        Signal::SIGINT | Signal::SIGTERM | Signal::SIGHUP | Signal::SIGQUIT
    )
}

/// Passes a signal on to the program that was started. Ctrl-C and Ctrl-\ come from the terminal to all of its
/// foreground, the program included: those it has already.
pub(super) fn pass_on(signal: Signal, child: &Child) {
    let from_terminal = matches!(signal, Signal::SIGINT | Signal::SIGQUIT) && in_foreground();
    if from_terminal {
        return;
    }
    if let Err(error) = kill(Pid::from_raw(child.id().cast_signed()), signal) {
        log::debug!("{signal} was not passed on: {error}");
    }
}

/// Whether the keys of the controlling terminal reach this process and, as it is in the same group, the program. Standard
/// input may be something else.
fn in_foreground() -> bool {
    File::open("/dev/tty").is_ok_and(|terminal| tcgetpgrp(&terminal).is_ok_and(|group| group == getpgrp()))
}
