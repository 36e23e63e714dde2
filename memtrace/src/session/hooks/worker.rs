//! Attaching goes on aside: it takes milliseconds for a process, and looking into a large file takes longer than the ring can
//! wait.

use std::{
    sync::mpsc::{Sender, channel},
    thread::JoinHandle,
    time::Duration,
};

use super::{Hooks, Mapped};

/// How long after the end of a main thread it is looked whether others go on: a program that ends loses them one by one.
const PATIENCE: Duration = Duration::from_millis(250);

/// What the worker is told. Programs by incarnation.
enum Message {
    Mapped(Mapped),
    Forked {
        parent: u32,
        child: u32,
        pid: u32,
        time_ns: u64,
    },
    Executed {
        old: u32,
        new: u32,
        pid: u32,
        time_ns: u64,
        by_other_thread: bool,
    },
    Ended(u32),
    MainThreadEnded(u32),
}

/// The thread that attaches, seen from the loop.
pub(in crate::session) struct Hooker {
    sender: Sender<Message>,
    worker: JoinHandle<Hooks>,
}

impl Hooker {
    /// Starts the thread.
    pub(in crate::session) fn start(mut hooks: Hooks) -> std::io::Result<Self> {
        let (sender, receiver) = channel();
        let worker = std::thread::Builder::new().name("hooks".to_owned()).spawn(move || {
            for message in receiver {
                take(&mut hooks, message);
            }
            hooks
        })?;
        Ok(Self { sender, worker })
    }

    fn tell(&self, message: Message) {
        if self.sender.send(message).is_err() {
            log::debug!("nobody attaches probes any more");
        }
    }

    /// A program has these files mapped by now.
    pub(in crate::session) fn mapped(&self, mapped: Mapped) {
        self.tell(Message::Mapped(mapped));
    }

    /// A process was forked.
    pub(in crate::session) fn forked(&self, parent: u32, child: u32, pid: u32, time_ns: u64) {
        self.tell(Message::Forked {
            parent,
            child,
            pid,
            time_ns,
        });
    }

    /// A process replaced its program.
    pub(in crate::session) fn executed(&self, old: u32, new: u32, pid: u32, time_ns: u64, by_other_thread: bool) {
        self.tell(Message::Executed {
            old,
            new,
            pid,
            time_ns,
            by_other_thread,
        });
    }

    /// A program is gone.
    pub(in crate::session) fn ended(&self, incarnation: u32) {
        self.tell(Message::Ended(incarnation));
    }

    /// The main thread of a process has ended, not the process.
    pub(in crate::session) fn main_thread_ended(&self, incarnation: u32) {
        let sender = self.sender.clone();
        let spawned = std::thread::Builder::new().spawn(move || {
            std::thread::sleep(PATIENCE);
            sender.send(Message::MainThreadEnded(incarnation))
        });
        if let Err(error) = spawned {
            log::debug!("nobody looks after process with incarnation {incarnation}: {error}");
        }
    }

    /// Ends the thread, after what it is at.
    pub(in crate::session) fn finish(self) -> Option<Hooks> {
        drop(self.sender);
        self.worker.join().ok()
    }
}

fn take(hooks: &mut Hooks, message: Message) {
    match message {
        Message::Mapped(mapped) => hooks.follow(mapped),
        Message::Forked {
            parent,
            child,
            pid,
            time_ns,
        } => hooks.forked(parent, child, pid, time_ns),
        Message::Executed {
            old,
            new,
            pid,
            time_ns,
            by_other_thread,
        } => hooks.executed(old, new, pid, time_ns, by_other_thread),
        Message::Ended(incarnation) => hooks.ended(incarnation),
        Message::MainThreadEnded(incarnation) => hooks.main_thread_ended(incarnation),
    }
}
