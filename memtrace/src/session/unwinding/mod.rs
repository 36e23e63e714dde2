//! Keeps what stacks are unwound by as new as the target's mappings: a thread of its own, because reading a file's unwind
//! information takes up to a second, and so does the kernel when it lets go of what was loaded before.

mod epoch;
mod files;
mod follower;
mod layout;
mod worker;

use std::{
    sync::mpsc::{Sender, channel},
    thread::JoinHandle,
};

pub(super) use self::follower::Follower;
use self::{
    layout::{Code, Layout},
    worker::Worker,
};
use crate::probe::Tables;

/// What the worker is told.
enum Message {
    /// Where tables go. Until then they are only made: that goes on while the kernel verifies the programs.
    Kernel(Box<Tables>),
    /// The target's code lies so by now.
    Layout(Layout),
    /// A stack went through this module before its table was there.
    Wanted(u32),
}

/// The worker, seen from the loop's thread. It ends when this is dropped.
struct Unwinding {
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
    /// Starts the worker.
    pub(super) fn start() -> std::io::Result<Self> {
        let (sender, receiver) = channel();
        let worker = std::thread::Builder::new()
            .name("unwind-tables".to_owned())
            .spawn(move || Worker::default().run(&receiver))?;
        Ok(Self {
            sender: Some(sender),
            worker: Some(worker),
        })
    }

    fn tell(&self, message: Message) {
        // A worker that is gone has said why; stacks then go by frame pointer.
        if let Some(sender) = &self.sender
            && sender.send(message).is_err()
        {
            log::debug!("nobody makes unwind tables any more");
        }
    }

    /// Hands over where tables go.
    pub(super) fn connect(&self, tables: Tables) {
        self.tell(Message::Kernel(Box::new(tables)));
    }

    /// Tells how the target's code lies now.
    pub(super) fn layout(&self, layout: Layout) {
        self.tell(Message::Layout(layout));
    }

    /// Tells that a stack needed the table of a module.
    pub(super) fn wanted(&self, module: u32) {
        self.tell(Message::Wanted(module));
    }

    /// Ends the worker, after the file it is at, and takes what it has to say.
    pub(super) fn finish(mut self) -> Loaded {
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
