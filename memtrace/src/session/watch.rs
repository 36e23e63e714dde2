//! Waits for the ends of processes.

use std::{
    os::fd::OwnedFd,
    process::{Child, ExitStatus},
};

use anyhow::Context as _;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tokio::{
    io::{Interest, unix::AsyncFd},
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
};

use super::signals::{self, Signals};

/// A process that is waited for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waited {
    /// Its number.
    pub(super) pid: u32,
    /// Incarnation of its program then.
    pub(super) incarnation: u32,
}

/// Tells which of some processes have ended.
pub(super) struct Ends {
    sender: UnboundedSender<Waited>,
    receiver: UnboundedReceiver<Waited>,
    /// How many have not.
    pending: usize,
}

impl Ends {
    pub(super) fn new() -> Self {
        let (sender, receiver) = unbounded_channel();
        Self {
            sender,
            receiver,
            pending: 0,
        }
    }

    /// Waits for the end of a process too.
    ///
    /// # Errors
    /// When it is gone, or there are no descriptors left.
    pub(super) fn add(&mut self, process: Waited) -> anyhow::Result<()> {
        let fd = Pid::from_raw(process.pid.cast_signed())
            .context("process 0 cannot be observed")
            .and_then(|pid| {
                pidfd_open(pid, PidfdFlags::NONBLOCK).context("failed to watch the target (has it ended?)")
            })?;
        let end = readable(fd).context("failed to wait for the target")?;
        let sender = self.sender.clone();
        self.pending += 1;
        tokio::spawn(async move {
            // A wait that fails will not succeed later: the process is taken for gone, as far as waiting goes.
            let _ready = end.readable().await.map(|mut ready| ready.retain_ready());
            // Nobody listens any more once the observation is over.
            let _over = sender.send(process);
        });
        Ok(())
    }

    /// The next that has ended.
    pub(super) async fn next(&mut self) -> Waited {
        match self.receiver.recv().await {
            Some(process) => {
                self.pending -= 1;
                process
            }
            // There is always a sender: this one.
            None => std::future::pending().await,
        }
    }

    /// How many are waited for.
    pub(super) const fn pending(&self) -> usize {
        self.pending
    }
}

/// Registers a descriptor with the runtime.
///
/// # Errors
/// What the system says.
#[expect(
    deprecated,
    reason = "the replacement is unsafe because of types that lend a descriptor; this one owns it"
)]
pub(super) fn readable(fd: OwnedFd) -> std::io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(fd, Interest::READABLE)
}

/// Waits for the program after the report, as its parent must.
pub(super) async fn wait_for(mut child: Child, signals: &mut Signals) -> anyhow::Result<Option<ExitStatus>> {
    let mut ends = Ends::new();
    if let Some(status) = child.try_wait().context("failed to learn the program's exit status")? {
        return Ok(Some(status));
    }
    ends.add(Waited {
        pid: child.id(),
        incarnation: 0,
    })?;
    let mut asked = false;
    loop {
        tokio::select! {
            signal = signals.next() => {
                if asked && signals::ends(signal) {
                    return Ok(None);
                }
                asked |= signals::ends(signal);
                signals::pass_on(signal, &child);
            }
            _ = ends.next() => {
                return child.try_wait().context("failed to learn the program's exit status");
            }
        }
    }
}
