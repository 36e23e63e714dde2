//! Attaching goes on aside: it takes milliseconds for a process, and looking into a large file takes longer than the ring can
//! wait.

use std::{
    io,
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    thread::JoinHandle,
    time::Duration,
};

use super::{super::collector::Notice, Hooks, Mapped};
use crate::probe::On;

/// How long after the end of a main thread it is looked whether others go on: a program that ends loses them one by one.
const PATIENCE: Duration = Duration::from_millis(250);

/// What the worker is told.
enum Message {
    Mapped(Mapped),
    Notice(Notice),
    /// Which probes are to be on; answered when it is done.
    Set(On, Sender<io::Result<()>>),
}

/// The thread that attaches, seen from the loop.
pub(in crate::session) struct Hooker {
    sender: Sender<Message>,
    worker: JoinHandle<Hooks>,
}

impl Hooker {
    /// Starts the thread.
    pub(in crate::session) fn start(mut hooks: Hooks) -> io::Result<Self> {
        let (sender, receiver) = channel();
        let worker = std::thread::Builder::new().name("hooks".to_owned()).spawn(move || {
            work(&mut hooks, &receiver);
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

    /// Something has happened to a process.
    pub(in crate::session) fn notice(&self, notice: Notice) {
        match notice {
            Notice::MainThreadEnded(incarnation) => self.tell_later(notice, incarnation),
            // Of unwind tables, and there are many.
            Notice::Wanted(_) => {}
            _ => self.tell(Message::Notice(notice)),
        }
    }

    /// Sets which probes on functions are on. What is received is how that went, once it is done.
    pub(in crate::session) fn set(&self, on: On) -> Receiver<io::Result<()>> {
        let (sender, receiver) = channel();
        self.tell(Message::Set(on, sender));
        receiver
    }

    fn tell_later(&self, notice: Notice, incarnation: u32) {
        let sender = self.sender.clone();
        let spawned = std::thread::Builder::new().spawn(move || {
            std::thread::sleep(PATIENCE);
            sender.send(Message::Notice(notice))
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

/// Does what it is told until there is nobody left to tell it, and looks after checks meanwhile.
fn work(hooks: &mut Hooks, receiver: &Receiver<Message>) {
    loop {
        let message = match hooks.next_look() {
            Some(pause) => receiver.recv_timeout(pause),
            None => receiver.recv().map_err(RecvTimeoutError::from),
        };
        match message {
            Ok(message) => take(hooks, message),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        hooks.look_at_checks();
    }
}

fn take(hooks: &mut Hooks, message: Message) {
    let notice = match message {
        Message::Mapped(mapped) => return hooks.follow(mapped),
        Message::Notice(notice) => notice,
        Message::Set(on, done) => {
            // Nobody waits any more when the observation is over.
            let _over = done.send(hooks.set(on));
            return;
        }
    };
    match notice {
        Notice::Forked {
            parent,
            child,
            pid,
            time_ns,
        } => hooks.forked(parent, child, pid, time_ns),
        Notice::Executed {
            old: Some(old),
            new,
            pid,
            time_ns,
            by_other_thread,
        } => hooks.executed(old, new, pid, time_ns, by_other_thread),
        Notice::Ended(incarnation) => hooks.ended(incarnation),
        Notice::MainThreadEnded(incarnation) => hooks.main_thread_ended(incarnation),
        // A program that was not traced has no probes to be kept.
        Notice::Executed { old: None, .. } | Notice::Wanted(_) => {}
    }
}
