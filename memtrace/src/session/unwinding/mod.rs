//! Keeps what stacks are unwound by as new as the targets' mappings: a thread of its own, because reading a file's unwind
//! information takes up to a second, and so does the kernel when it lets go of what was loaded before.

mod epoch;
mod files;
mod layout;
mod shared;
mod worker;

use std::{
    sync::mpsc::{Sender, channel},
    thread::JoinHandle,
    time::Duration,
};

use self::{
    layout::{Code, Layout},
    worker::Worker,
};
use crate::{
    plan::pymalloc::Followed,
    probe::{ProbeError, Probes, Tables},
    process::AddressSpace,
};

/// What the worker is told.
enum Message {
    /// Where tables go. Until then they are only made: that goes on while the kernel verifies the programs.
    Kernel(Box<Tables>),
    /// A process's code lies so by now.
    Layout(Layout),
    /// Code that some process has mapped, which is not traced yet: when it will be, or another that has the same files, their tables
    /// are there.
    Ahead(Layout),
    /// A stack went through this module before its table was there.
    Wanted(u32),
    /// A process was forked: incarnations.
    Forked { parent: u32, child: u32 },
    /// A program is gone.
    Ended(u32),
    /// Somebody waits until all that was told of has its tables.
    Wait(Sender<()>),
}

/// The worker, seen from the loop's thread. It ends when this is dropped. Does nothing when stacks go by frame pointer alone.
pub(super) struct Unwinding {
    sender: Option<Sender<Message>>,
    worker: Option<JoinHandle<Worker>>,
}

/// What the reader of a report should know of the tables.
#[derive(Clone, Debug, Default)]
pub(super) struct Loaded {
    /// Sentences, such as a file whose unwind information is damaged.
    pub(super) notes: Vec<String>,
    /// Bytes of kernel memory that tables take.
    pub(super) bytes: u64,
}

impl Unwinding {
    /// Starts the worker, `by_tables` or not at all, for stacks that begin where these interpreters' objects are followed too.
    pub(super) fn start(by_tables: bool, python: &[Followed]) -> std::io::Result<Self> {
        if !by_tables {
            return Ok(Self {
                sender: None,
                worker: None,
            });
        }
        let (sender, receiver) = channel();
        let python = python.to_vec();
        let worker = std::thread::Builder::new()
            .name("unwind-tables".to_owned())
            .spawn(move || Worker::new(python).run(&receiver))?;
        Ok(Self {
            sender: Some(sender),
            worker: Some(worker),
        })
    }

    /// Whether tables are made.
    pub(super) const fn is_on(&self) -> bool {
        self.worker.is_some()
    }

    fn tell(&self, message: impl FnOnce() -> Message) {
        // A worker that is gone has said why; stacks then go by frame pointer.
        if let Some(sender) = &self.sender
            && sender.send(message()).is_err()
        {
            log::debug!("nobody makes unwind tables any more");
        }
    }

    /// Hands over the loaded programs' maps.
    pub(super) fn connect(&self, probes: &mut Probes) -> Result<(), ProbeError> {
        if self.is_on() {
            let tables = probes.tables()?;
            self.tell(|| Message::Kernel(Box::new(tables)));
        }
        Ok(())
    }

    /// Tells how a process's code lies now.
    pub(super) fn laid_out(&self, space: &AddressSpace, incarnation: u32) {
        self.tell(|| Message::Layout(Layout::of(space, incarnation)));
    }

    /// Has tables made of what a process has mapped that may be traced later.
    pub(super) fn make_ahead(&self, space: &AddressSpace) {
        self.tell(|| Message::Ahead(Layout::of(space, 0)));
    }

    /// Tells that a stack needed the table of a module.
    pub(super) fn wanted(&self, module: u32) {
        self.tell(|| Message::Wanted(module));
    }

    /// Tells that a process was forked: it has its parent's code.
    pub(super) fn forked(&self, parent: u32, child: u32) {
        self.tell(|| Message::Forked { parent, child });
    }

    /// Tells that a program is gone.
    pub(super) fn ended(&self, incarnation: u32) {
        self.tell(|| Message::Ended(incarnation));
    }

    /// Waits until all that was told of has its tables in the kernel, but not for ever.
    pub(super) fn settle(&self, patience: Duration) {
        let (sender, receiver) = channel();
        self.tell(|| Message::Wait(sender));
        if receiver.recv_timeout(patience).is_err() {
            log::debug!("some unwind tables are not there yet");
        }
    }

    /// Ends the worker, after the file it is at, and takes what it has to say.
    pub(super) fn finish(&mut self) -> Loaded {
        self.sender = None;
        match self.worker.take().map(JoinHandle::join) {
            Some(Ok(worker)) => worker.loaded(),
            Some(Err(_)) => Loaded {
                notes: vec!["unwind tables were no longer made after an internal error".to_owned()],
                bytes: 0,
            },
            None => Loaded::default(),
        }
    }
}
