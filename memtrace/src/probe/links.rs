//! What keeps programs attached.

use std::{io, os::fd::OwnedFd, thread};

use aya::programs::{trace_point::TracePointLink, uprobe::UProbeLink};

use rustix::io::Errno;

use super::{
    On,
    counted::Counted,
    multi::{Multi, Shared},
};

/// Threads that close links at most.
const CLOSERS: usize = 64;

/// A link to many places.
#[derive(Debug)]
pub(super) struct Many {
    /// None while it is off.
    link: Option<OwnedFd>,
    places: usize,
    /// How to make it anew, where that may be wanted.
    shared: Option<Shared>,
}

/// What keeps programs attached. Dropping it detaches them, one after the other.
#[derive(Default)]
pub struct Links {
    pub(super) uprobes: Vec<UProbeLink>,
    pub(super) tracepoints: Vec<TracePointLink>,
    pub(super) counted: Vec<Counted>,
    many: Vec<Many>,
}

impl Links {
    /// To how many places programs are attached.
    pub fn len(&self) -> usize {
        let many: usize = self.many.iter().map(|many| many.places).sum();
        self.uprobes.len() + self.tracepoints.len() + self.counted.len() + many
    }

    /// Whether nothing is attached.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Keeps a link to many places; `again` if it may be taken off and put on again.
    pub(super) fn keep_many(&mut self, link: OwnedFd, shared: Shared, again: bool) {
        self.many.push(Many {
            link: Some(link),
            places: shared.places.len(),
            shared: again.then_some(shared),
        });
    }

    /// Takes out what is not to be on, to be closed.
    #[must_use]
    pub fn pause(&mut self, on: On) -> Self {
        let mut off = Self::default();
        for many in &mut self.many {
            let goes = many.shared.as_ref().is_some_and(|shared| !on.has(shared.only_takes));
            if goes && let Some(link) = many.link.take() {
                off.many.push(Many {
                    link: Some(link),
                    places: 0,
                    shared: None,
                });
            }
        }
        off
    }

    /// Puts on again what was taken off, of functions that only take memory or of the others.
    pub(super) fn resume(&mut self, multi: &Multi, only_takes: bool) -> io::Result<()> {
        for many in &mut self.many {
            let Some(shared) = many.shared.as_ref().filter(|shared| shared.only_takes == only_takes) else {
                continue;
            };
            if many.link.is_none() {
                match multi.attach(shared) {
                    Ok(link) => many.link = Some(link),
                    // The process is gone.
                    Err(error) if error.raw_os_error() == Some(Errno::SRCH.raw_os_error()) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    /// Keeps others' links too.
    pub fn append(&mut self, mut others: Self) {
        self.uprobes.append(&mut others.uprobes);
        self.tracepoints.append(&mut others.tracepoints);
        self.counted.append(&mut others.counted);
        self.many.append(&mut others.many);
    }

    /// Each link waits in the kernel for all processors to leave the program, so they are closed side by side: that wait is
    /// then shared.
    pub fn close(self) {
        drop(self.counted);
        thread::scope(|scope| {
            for some in shares(self.many) {
                scope.spawn(move || drop(some.into_iter().filter_map(|many| many.link).collect::<Vec<_>>()));
            }
            for some in shares(self.uprobes) {
                scope.spawn(move || drop(some));
            }
            for some in shares(self.tracepoints) {
                scope.spawn(move || drop(some));
            }
        });
    }

    /// Closes them aside, because each waits in the kernel.
    pub fn close_aside(self) {
        // Where no thread can be had they are dropped with the closure.
        if let Err(error) = thread::Builder::new().spawn(move || self.close()) {
            log::debug!("probes were taken off without help: {error}");
        }
    }

    /// Closes links whose thread has ended, before others take their place. Those to single places are dead, and are closed aside;
    /// one to many places still fires for the other threads of the process, in files that its probes are put into anew, and is
    /// gone when this returns.
    pub fn make_way(mut self) {
        let many = std::mem::take(&mut self.many);
        self.close_aside();
        Self {
            many,
            ..Self::default()
        }
        .close();
    }
}

/// Divides what is to be closed among the threads.
fn shares<Link>(mut links: Vec<Link>) -> Vec<Vec<Link>> {
    let each = links.len().div_ceil(CLOSERS).max(1);
    let mut shares = Vec::new();
    while !links.is_empty() {
        shares.push(links.split_off(links.len().saturating_sub(each)));
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_link_is_in_one_share() {
        for count in [0, 1, 63, 64, 65, 1000] {
            let shares = shares((0..count).collect());
            assert!(shares.len() <= CLOSERS, "{count}: {} shares", shares.len());
            let mut all: Vec<_> = shares.concat();
            all.sort_unstable();
            assert_eq!(all, (0..count).collect::<Vec<_>>());
        }
    }
}
