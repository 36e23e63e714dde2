//! Why the inspector of a program cannot be had, or what went wrong with it.

use std::{io, net::SocketAddr};

use thiserror::Error;

/// What went wrong. Nothing was sent to the program where it is refused.
#[derive(Debug, Error)]
pub enum Error {
    /// It is another program.
    #[error(
        "process {pid} is not node: neither its executable nor a library that it has mapped defines node_module_register, so no signal \
         was sent, which would end it"
    )]
    NotNode {
        /// Process id.
        pid: u32,
    },
    /// Its mappings cannot be read.
    #[error("failed to look at process {pid}: {source}")]
    Look {
        /// Process id.
        pid: u32,
        /// The system's answer.
        source: io::Error,
    },
    /// It is stopped.
    #[error(
        "process {0} is stopped (by a signal or a debugger) and cannot answer: let it go on (kill -CONT {0}) and try again"
    )]
    Stopped(u32),
    /// The signal would end it or have no effect.
    #[error(
        "node opens its inspector on SIGUSR1, but process {pid} {how}: was it started with --disable-sigusr1? An inspector that is open \
         already is used with --inspector-port"
    )]
    Signal {
        /// Process id.
        pid: u32,
        /// What it does with the signal.
        how: &'static str,
    },
    /// It must not be sent.
    #[error("failed to send SIGUSR1 to process {pid}: {source}")]
    Send {
        /// Process id.
        pid: u32,
        /// The system's answer.
        source: io::Error,
    },
    /// It would be open to others.
    #[error("the inspector of process {pid} would listen on {address}, which others can reach: not opened")]
    Exposed {
        /// Process id.
        pid: u32,
        /// As the program was started with.
        address: String,
    },
    /// It was opened, and others can reach it.
    #[error("the inspector of process {pid} opened on {address}, which others can reach: it is closed again")]
    OpenedExposed {
        /// Process id.
        pid: u32,
        /// Where it listens.
        address: SocketAddr,
    },
    /// Somebody has its port.
    #[error(
        "the inspector of process {pid} would listen on port {port}, which is taken by {owner}: end that, and try again"
    )]
    Taken {
        /// Process id.
        pid: u32,
        /// The port.
        port: u16,
        /// Who has it, in words.
        owner: String,
    },
    /// The port that was given is none of its.
    #[error(
        "process {pid} does not listen on port {port} (of its network namespace): without --inspector-port the inspector is opened"
    )]
    NotListening {
        /// Process id.
        pid: u32,
        /// The port.
        port: u16,
    },
    /// Something listens there that is no inspector.
    #[error("what listens on {address} in process {pid} is no inspector: {why}")]
    NoInspector {
        /// Process id.
        pid: u32,
        /// Where it listens.
        address: SocketAddr,
        /// What it answers.
        why: String,
    },
    /// It does not come.
    #[error(
        "process {pid} was sent SIGUSR1, and no inspector opened within {seconds} s: the program has a handler of its own for that signal \
         (process.on('SIGUSR1')), its inspector is open on another port (--inspector-port), it runs with --permission, or its main thread \
         waits in native code; in the last case it opens later and stays open"
    )]
    NotOpened {
        /// Process id.
        pid: u32,
        /// How long it was waited.
        seconds: u64,
    },
    /// No connection.
    #[error("failed to connect to the inspector of process {pid} at {address}: {why}")]
    Connect {
        /// Process id.
        pid: u32,
        /// Where it listens.
        address: SocketAddr,
        /// What failed.
        why: String,
    },
    /// The program has ended.
    #[error("process {0} has ended")]
    Ended(u32),
    /// The program or something else has closed it.
    #[error("the inspector of process {0} closed the connection")]
    Disconnected(u32),
    /// It says what is not understood.
    #[error("the inspector of process {pid} answered {what}")]
    Protocol {
        /// Process id.
        pid: u32,
        /// What, in words.
        what: String,
    },
    /// It does not answer.
    #[error(
        "process {pid} did not answer {method} within {seconds} s: its main thread is in native code or waits for something"
    )]
    Silent {
        /// Process id.
        pid: u32,
        /// What was asked for.
        method: &'static str,
        /// How long it was waited.
        seconds: u64,
    },
    /// The user does not want it any more.
    #[error("stopped by a signal before it was done")]
    Interrupted,
    /// What it sends cannot be kept.
    #[error("failed to write what process {pid} sent: {source}")]
    Output {
        /// Process id.
        pid: u32,
        /// The system's answer.
        source: io::Error,
    },
    /// It could not be closed.
    #[error(
        "the inspector of process {pid} is still open at {address}: whoever can reach that can do with the program what they want. \
         process._debugEnd() in a debugger (chrome://inspect) closes it, and so does the end of the program"
    )]
    StillOpen {
        /// Process id.
        pid: u32,
        /// Where it listens.
        address: SocketAddr,
    },
}
