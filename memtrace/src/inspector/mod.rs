//! The inspector of a running node program: opened by a signal, spoken to in the Chrome `DevTools` Protocol, and closed again.
//!
//! While it is open, whoever reaches its port can do with the program what they want. So it is opened only after everything that can
//! be known before speaks for it, on an address of the machine itself only, and closed by whoever opened it, whatever happens between
//! (`docs/inspector.md`).

mod arguments;
mod connection;
mod error;
mod heap;
mod listeners;
mod node;
mod protocol;
mod sampling;
mod stop;

use std::{
    net::SocketAddr,
    os::fd::OwnedFd,
    thread,
    time::{Duration, Instant},
};

use rustix::{
    io::Errno,
    process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal},
};
use serde::Deserialize;
use serde_json::json;

use self::{arguments::Planned, listeners::Listener, protocol::Session};
pub use self::{
    error::Error,
    heap::{HeapUsage, Sampling},
    sampling::{ParseError, parse as parse_sampling},
    stop::Stop,
};

/// How long it may take until the inspector is open: a hundred times what it takes in a program that is not busy.
const OPENS_WITHIN: Duration = Duration::from_secs(10);

/// How long it may take until it is closed.
const CLOSES_WITHIN: Duration = Duration::from_secs(5);

/// How long a program may take to finish a snapshot that nobody waits for any more.
const SENDS_WITHIN: Duration = Duration::from_mins(30);

/// How often it is looked whether it is open or closed.
const PAUSE: Duration = Duration::from_millis(20);

/// Ends it from inside. Not at once: the answer is to come first.
const CLOSE: &str = "setTimeout(() => process._debugEnd(), 50); 1";

/// The same at once, for a program that has put something else in place of its timers.
const CLOSE_NOW: &str = "process._debugEnd()";

/// An inspector that is open, and a connection to it.
pub struct Inspector {
    pid: u32,
    process: OwnedFd,
    listener: Listener,
    /// Whether it was opened by us.
    is_ours: bool,
    /// Major version of node.
    version: u32,
    /// `None` once the connection has ended.
    session: Option<Session>,
    /// Whether the program may be busy with a snapshot.
    is_snapshotting: bool,
    stop: Stop,
}

/// `/json/version`.
#[derive(Deserialize)]
struct About {
    #[serde(rename = "Browser")]
    browser: String,
}

/// A row of `/json/list`.
#[derive(Deserialize)]
struct Debuggable {
    #[serde(rename = "webSocketDebuggerUrl")]
    url: Option<String>,
}

impl Inspector {
    /// Opens the inspector of a process, or uses the one that is open already: at `port`, or where it would be opened.
    ///
    /// # Errors
    /// Why there is none to be had.
    pub fn open(pid: u32, port: Option<u16>, stop: &Stop) -> Result<Self, Error> {
        let look = |source| Error::Look { pid, source };
        node::check_node(pid)?;
        node::check_runs(pid)?;
        let number = Pid::from_raw(pid.cast_signed()).ok_or(Error::Ended(pid))?;
        let process = pidfd_open(number, PidfdFlags::empty()).map_err(|error| match error {
            Errno::SRCH => Error::Ended(pid),
            other => look(other.into()),
        })?;
        let planned = Planned::of(pid);
        let own = listeners::of_process(pid).map_err(look)?;
        let wanted = port.unwrap_or(planned.port);
        if let Some(&listener) = own.iter().find(|own| own.address.port() == wanted && wanted != 0) {
            let mut inspector = Self::found(pid, process, listener, false, stop)?;
            inspector.connect()?;
            return Ok(inspector);
        }
        if let Some(port) = port {
            return Err(Error::NotListening { pid, port });
        }
        node::check_signal(pid)?;
        if !planned.is_loopback() {
            return Err(Error::Exposed {
                pid,
                address: format!("{}:{}", planned.host, planned.port),
            });
        }
        if let Some(taken) = taken(pid, planned.port).map_err(look)? {
            return Err(Error::Taken {
                pid,
                port: planned.port,
                owner: listeners::owner(taken),
            });
        }
        pidfd_send_signal(&process, Signal::USR1).map_err(|error| match error {
            Errno::SRCH => Error::Ended(pid),
            other => Error::Send {
                pid,
                source: other.into(),
            },
        })?;
        let mut inspector = Self::opened(pid, process, &own, planned.port, stop)?;
        let address = inspector.listener.address;
        let connected = inspector.connect();
        if !address.ip().is_loopback() {
            inspector.close()?;
            return Err(Error::OpenedExposed { pid, address });
        }
        if let Err(error) = connected {
            inspector.close()?;
            return Err(error);
        }
        Ok(inspector)
    }

    /// Waits for the inspector after the signal. Also when the user wants to stop: once it has been sent, it is to be closed.
    fn opened(pid: u32, process: OwnedFd, before: &[Listener], port: u16, stop: &Stop) -> Result<Self, Error> {
        let begun = Instant::now();
        let mut process = Some(process);
        while begun.elapsed() < OPENS_WITHIN {
            if process
                .as_ref()
                .is_some_and(|process| protocol::has_ended(process, Duration::ZERO))
            {
                return Err(Error::Ended(pid));
            }
            let now = listeners::of_process(pid).map_err(|source| Error::Look { pid, source })?;
            let mut new: Vec<_> = now.into_iter().filter(|listener| !before.contains(listener)).collect();
            // The program may begin to listen at the same time.
            new.sort_by_key(|listener| listener.address.port() != port);
            for listener in new {
                let Some(held) = process.take() else { break };
                let again = held.try_clone();
                match Self::found(pid, held, listener, true, stop) {
                    Ok(inspector) => return Ok(inspector),
                    Err(error) => {
                        log::debug!("{error}");
                        process = again.ok();
                    }
                }
            }
            thread::sleep(PAUSE);
        }
        Err(Error::NotOpened {
            pid,
            seconds: OPENS_WITHIN.as_secs(),
        })
    }

    /// Looks whether what listens is an inspector.
    fn found(pid: u32, process: OwnedFd, listener: Listener, is_ours: bool, stop: &Stop) -> Result<Self, Error> {
        let no_inspector = |why| Error::NoInspector {
            pid,
            address: listener.address,
            why,
        };
        let page = page(pid, listener, "/json/version").map_err(no_inspector)?;
        let about: About = serde_json::from_slice(&page)
            .map_err(|error| no_inspector(format!("it does not say what it is: {error}")))?;
        let version = about
            .browser
            .strip_prefix("node.js/v")
            .and_then(|version| version.split('.').next()?.parse().ok());
        let Some(version) = version else {
            return Err(no_inspector(format!("it is of {}, not of node", about.browser)));
        };
        Ok(Self {
            pid,
            process,
            listener,
            is_ours,
            version,
            session: None,
            is_snapshotting: false,
            stop: stop.clone(),
        })
    }

    /// Begins to speak with it.
    fn connect(&mut self) -> Result<(), Error> {
        let (pid, address) = (self.pid, connection::reachable(self.listener.address));
        let failed = |why| Error::Connect { pid, address, why };
        let page = page(pid, self.listener, "/json/list").map_err(failed)?;
        let list: Vec<Debuggable> =
            serde_json::from_slice(&page).map_err(|error| failed(format!("its list is none: {error}")))?;
        // `ws://127.0.0.1:9229/0f2c...`: the address is known better here.
        let path = list
            .iter()
            .find_map(|row| row.url.as_deref()?.strip_prefix("ws://")?.split_once('/'))
            .map(|(_, path)| format!("/{path}"));
        let path = path.ok_or_else(|| failed("it lists nothing that can be connected to".to_owned()))?;
        let stream = connection::connect(pid, address).map_err(|error| failed(error.to_string()))?;
        let process = self.process.try_clone().map_err(|error| failed(error.to_string()))?;
        self.session = Some(Session::begin(pid, process, stream, address, &path, self.stop.clone())?);
        Ok(())
    }

    /// Process id of the program.
    pub const fn pid(&self) -> u32 {
        self.pid
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.listener.address
    }

    /// Whether it was opened by us, and will be closed.
    pub const fn is_ours(&self) -> bool {
        self.is_ours
    }

    /// Whether the program may be busy with a snapshot.
    pub const fn is_snapshotting(&self) -> bool {
        self.is_snapshotting
    }

    /// Major version of node.
    pub const fn version(&self) -> u32 {
        self.version
    }

    fn session(&mut self) -> Result<&mut Session, Error> {
        self.session.as_mut().ok_or(Error::Disconnected(self.pid))
    }

    /// Waits, until the time is over, the user wants to stop, or the program comes to its end.
    ///
    /// # Errors
    /// When the program ends without waiting for us, or the connection ends.
    pub fn wait(&mut self, time: Duration) -> Result<(), Error> {
        self.session()?.wait(time)
    }

    /// Whether the program has come to its end, and waits only until we leave.
    pub fn is_ending(&self) -> bool {
        self.session.as_ref().is_some_and(Session::is_ending)
    }

    /// Whether the user wants to stop.
    pub fn is_stopped(&self) -> bool {
        self.session.as_ref().is_none_or(Session::is_stopped)
    }

    /// From now on only a further wish to stop is obeyed.
    pub fn ignore_stop(&mut self) {
        if let Some(session) = &mut self.session {
            session.ignore_stop();
        }
    }

    /// Closes what was opened, and sees that it is closed; an inspector that was open before stays open. What the program still sends
    /// is read first.
    ///
    /// # Errors
    /// When it is still open.
    pub fn close(mut self) -> Result<(), Error> {
        self.end()
    }

    fn end(&mut self) -> Result<(), Error> {
        let session = self.session.take();
        if !std::mem::take(&mut self.is_ours) {
            if let Some(session) = session {
                session.leave();
            }
            return Ok(());
        }
        let patience = if self.is_snapshotting {
            SENDS_WITHIN
        } else {
            CLOSES_WITHIN
        };
        let mut answered = match session {
            Some(session) => evaluate(session, CLOSE, patience),
            None => Ok(()),
        };
        for _ in 0..2 {
            let begun = Instant::now();
            while !matches!(answered, Err(Error::Interrupted)) && begun.elapsed() < CLOSES_WITHIN {
                if !listeners::is_there(self.pid, self.listener) {
                    return Ok(());
                }
                thread::sleep(PAUSE);
            }
            answered = answered.and_then(|()| self.connect()).and_then(|()| {
                let session = self.session.take();
                session.map_or(Ok(()), |session| evaluate(session, CLOSE_NOW, CLOSES_WITHIN))
            });
        }
        if let Err(error) = answered {
            log::debug!("{error}");
        }
        if protocol::has_ended(&self.process, Duration::ZERO) || !listeners::is_there(self.pid, self.listener) {
            return Ok(());
        }
        Err(Error::StillOpen {
            pid: self.pid,
            address: self.listener.address,
        })
    }
}

impl Drop for Inspector {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            log::error!("{error}");
        }
    }
}

/// Has the program do something, and leaves. Whether it is done shows from outside; an error is told where waiting longer is of no use.
fn evaluate(mut session: Session, expression: &str, patience: Duration) -> Result<(), Error> {
    session.ignore_stop();
    let mut answered = Ok(String::new());
    if !session.is_ending() {
        let params = json!({ "expression": expression, "silent": true });
        // A program that is sending a snapshot comes to this when all of it is sent.
        answered = session.call("Runtime.evaluate", &params, Some(patience), &mut |_, _| Ok(()));
    }
    session.leave();
    match answered.map(drop) {
        // It closes the connection when it is done at once.
        Err(Error::Disconnected(_) | Error::Ended(_)) => Ok(()),
        other => other,
    }
}

/// A page of what listens.
fn page(pid: u32, listener: Listener, path: &str) -> Result<Vec<u8>, String> {
    let address = connection::reachable(listener.address);
    let stream = connection::connect(pid, address).map_err(|error| format!("no connection: {error}"))?;
    connection::get(stream, path)
}

/// Who listens on a port that node would listen on, on an address that is in its way.
fn taken(pid: u32, port: u16) -> std::io::Result<Option<Listener>> {
    let all = listeners::in_namespace(pid)?;
    let is_in_the_way = |listener: &&Listener| {
        let ip = listener.address.ip();
        port != 0 && listener.address.port() == port && (ip.is_loopback() || ip.is_unspecified())
    };
    Ok(all.iter().find(is_in_the_way).copied())
}
