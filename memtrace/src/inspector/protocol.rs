//! The Chrome `DevTools` Protocol: calls that are answered, and events in between.

use std::{
    borrow::Cow,
    io,
    net::{SocketAddr, TcpStream},
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};
use tungstenite::{Message, Utf8Bytes, WebSocket, client::client_with_config, protocol::WebSocketConfig};

use super::{error::Error, stop::Stop};

/// How often it is looked whether the user wants to stop.
const TICK: Duration = Duration::from_millis(100);

/// Largest message that is taken, in bytes. A piece of a snapshot has one megabyte at most, a sampling profile some.
const MOST_BYTES: usize = 256 << 20;

/// How long a program whose connection ends has to end itself.
const LAST_BREATH: Duration = Duration::from_secs(1);

/// What comes in: an answer, which has a number, or an event.
#[derive(Deserialize)]
struct Incoming<'a> {
    id: Option<u64>,
    #[serde(borrow)]
    method: Option<Cow<'a, str>>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    error: Option<Refusal>,
}

#[derive(Deserialize)]
struct Refusal {
    message: String,
}

/// What is done with events: name and parameters.
pub(super) type OnEvent<'a> = &'a mut dyn FnMut(&str, &RawValue) -> Result<(), Error>;

/// A connection over which it is spoken.
pub(super) struct Session {
    pid: u32,
    process: OwnedFd,
    socket: WebSocket<TcpStream>,
    last_id: u64,
    /// Whether the program has come to its end, and waits for us to leave.
    is_ending: bool,
    stop: Stop,
    /// How often the user may have asked to stop without that being obeyed.
    obeyed: u32,
}

impl Session {
    /// Begins to speak it over a connection. `path` is what the inspector has said it is to be found at.
    pub(super) fn begin(
        pid: u32,
        process: OwnedFd,
        stream: TcpStream,
        address: SocketAddr,
        path: &str,
        stop: Stop,
    ) -> Result<Self, Error> {
        let failed = |why: String| Error::Connect { pid, address, why };
        let config = WebSocketConfig::default()
            .max_message_size(Some(MOST_BYTES))
            .max_frame_size(Some(MOST_BYTES));
        let (socket, _response) = client_with_config(format!("ws://{address}{path}"), stream, Some(config))
            .map_err(|error| failed(error.to_string()))?;
        let timed = socket.get_ref().set_read_timeout(Some(TICK));
        timed.map_err(|error| failed(error.to_string()))?;
        let mut session = Self {
            pid,
            process,
            socket,
            last_id: 0,
            is_ending: false,
            obeyed: stop.asked(),
            stop,
        };
        // Otherwise a program that ends would wait for us, and we would not know.
        let patience = Duration::from_secs(10);
        session.call(
            "NodeRuntime.notifyWhenWaitingForDisconnect",
            &json!({ "enabled": true }),
            Some(patience),
            &mut |_, _| Ok(()),
        )?;
        Ok(session)
    }

    /// Whether the program has come to its end, and waits only for us.
    pub(super) const fn is_ending(&self) -> bool {
        self.is_ending
    }

    /// From now on only a further wish to stop is obeyed.
    pub(super) fn ignore_stop(&mut self) {
        self.obeyed = self.stop.asked();
    }

    /// Whether the user wants to stop.
    pub(super) fn is_stopped(&self) -> bool {
        self.stop.asked() > self.obeyed
    }

    /// Asks for something, and gives the answer as it is. Without patience it is waited until the user does not want it any more.
    pub(super) fn call(
        &mut self,
        method: &'static str,
        params: &Value,
        patience: Option<Duration>,
        on_event: OnEvent<'_>,
    ) -> Result<String, Error> {
        self.last_id += 1;
        let id = self.last_id;
        let text = json!({ "id": id, "method": method, "params": params }).to_string();
        self.socket
            .send(Message::text(text))
            .map_err(|error| self.failed(error))?;
        let begun = Instant::now();
        loop {
            if let Some(text) = self.receive()?
                && let Some(answer) = self.take(&text, Some(id), method, on_event)?
            {
                return Ok(answer);
            }
            if self.is_stopped() {
                return Err(Error::Interrupted);
            }
            if let Some(patience) = patience.filter(|&patience| begun.elapsed() > patience) {
                return Err(Error::Silent {
                    pid: self.pid,
                    method,
                    seconds: patience.as_secs(),
                });
            }
        }
    }

    /// Waits, until the time is over, the user wants to stop, or the program comes to its end.
    pub(super) fn wait(&mut self, time: Duration) -> Result<(), Error> {
        let begun = Instant::now();
        while begun.elapsed() < time && !self.is_stopped() && !self.is_ending {
            if let Some(text) = self.receive()? {
                self.take(&text, None, "", &mut |_, _| Ok(()))?;
            }
        }
        Ok(())
    }

    /// Says goodbye, so that a program at its end goes on.
    pub(super) fn leave(mut self) {
        // Whether it is heard does not matter: the connection ends.
        let _gone = self.socket.close(None).and_then(|()| self.socket.flush());
    }

    /// What a message is: the answer that is waited for, or something else.
    fn take(
        &mut self,
        text: &str,
        wanted: Option<u64>,
        method: &'static str,
        on_event: OnEvent<'_>,
    ) -> Result<Option<String>, Error> {
        let protocol = |what: String| Error::Protocol { pid: self.pid, what };
        let incoming: Incoming<'_> = serde_json::from_str(text)
            .map_err(|error| protocol(format!("what is no message of its protocol: {error}")))?;
        if let Some(event) = incoming.method {
            if event == "NodeRuntime.waitingForDisconnect" {
                self.is_ending = true;
            } else if let Some(params) = incoming.params {
                on_event(&event, params)?;
            }
            return Ok(None);
        }
        if incoming.id.is_none() || incoming.id != wanted {
            return Ok(None);
        }
        match (incoming.error, incoming.result) {
            (Some(refusal), _) => Err(protocol(format!("to {method}: {}", refusal.message))),
            (None, Some(result)) => Ok(Some(result.get().to_owned())),
            (None, None) => Err(protocol(format!("to {method} without a result"))),
        }
    }

    /// The next message, if there is one within a moment.
    fn receive(&mut self) -> Result<Option<Utf8Bytes>, Error> {
        match self.socket.read() {
            Ok(Message::Text(text)) => Ok(Some(text)),
            Ok(Message::Close(_)) => Err(self.gone()),
            Ok(_) => Ok(None),
            Err(tungstenite::Error::Io(error))
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted
                ) =>
            {
                Ok(None)
            }
            Err(error) => Err(self.failed(error)),
        }
    }

    fn failed(&self, error: tungstenite::Error) -> Error {
        use tungstenite::error::ProtocolError::ResetWithoutClosingHandshake;
        match error {
            tungstenite::Error::ConnectionClosed
            | tungstenite::Error::AlreadyClosed
            | tungstenite::Error::Protocol(ResetWithoutClosingHandshake)
            | tungstenite::Error::Io(_) => self.gone(),
            other => Error::Protocol {
                pid: self.pid,
                what: format!("what cannot be read: {other}"),
            },
        }
    }

    /// The connection has ended: with the program, or without.
    fn gone(&self) -> Error {
        if has_ended(&self.process, LAST_BREATH) {
            Error::Ended(self.pid)
        } else {
            Error::Disconnected(self.pid)
        }
    }
}

/// Whether a process ends within a time.
pub(super) fn has_ended(process: &OwnedFd, within: Duration) -> bool {
    let limit = Timespec::try_from(within).ok();
    let mut files = [PollFd::new(process, PollFlags::IN)];
    poll(&mut files, limit.as_ref()).is_ok_and(|ready| ready > 0)
}
