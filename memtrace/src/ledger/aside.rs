//! What calls in flight have set aside until they end.

use memtrace_common::{event::Header, limits::MAX_THREADS};
use rustc_hash::FxHashMap;

/// One thing per thread of a program.
///
/// Not every call is seen to end: a `munmap` that succeeds sends nothing, an end may find the ring full, and a thread may
/// die. So what is here is taken for gone when the thread's next call begins or ends, which is why an end must name
/// the address that its begin did; and when more threads than the BPF side follows at once have set something aside,
/// the older half is.
#[derive(Debug)]
pub(super) struct Aside<T> {
    by_thread: FxHashMap<u32, Entry<T>>,
}

#[derive(Debug)]
struct Entry<T> {
    address: u64,
    began_ns: u64,
    content: T,
}

/// Entries at which the older half goes.
const LIMIT: usize = 2 * MAX_THREADS as usize;

/// Entries of all programs together at which each should keep only a few.
pub(super) const ALL: usize = LIMIT;

/// How many those are: more threads than are inside such calls at once in most programs.
pub(super) const FEW: usize = 1024;

impl<T> Default for Aside<T> {
    fn default() -> Self {
        Self {
            by_thread: FxHashMap::default(),
        }
    }
}

impl<T> Aside<T> {
    /// A call began that may give `address` back.
    pub(super) fn begin(&mut self, header: &Header, address: u64, content: T) {
        if self.by_thread.len() >= LIMIT {
            self.keep(LIMIT / 2);
        }
        let entry = Entry {
            address,
            began_ns: header.time_ns,
            content,
        };
        self.by_thread.insert(header.tid, entry);
    }

    /// The thread's call ended: what it had set aside, if that was for `address`.
    pub(super) fn end(&mut self, header: &Header, address: u64) -> Option<T> {
        let entry = self.by_thread.remove(&header.tid)?;
        (entry.address == address).then_some(entry.content)
    }

    /// What all threads have set aside.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.by_thread.values().map(|entry| &entry.content)
    }

    /// The same, to be changed.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.by_thread.values_mut().map(|entry| &mut entry.content)
    }

    /// Drops all but the newest, of which at most so many stay.
    pub(super) fn keep(&mut self, count: usize) {
        let Some(older) = self.by_thread.len().checked_sub(count + 1) else {
            return;
        };
        let mut begins: Vec<u64> = self.by_thread.values().map(|entry| entry.began_ns).collect();
        let (_, &mut middle, _) = begins.select_nth_unstable(older);
        self.by_thread.retain(|_, entry| entry.began_ns > middle);
        self.by_thread.shrink_to_fit();
    }

    /// How many threads have set something aside.
    pub(super) fn len(&self) -> usize {
        self.by_thread.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_bounded_and_the_newest_stay() {
        let header = |tid: u32| Header {
            kind: 0,
            op: 0,
            flags: 0,
            pid: 1,
            tid,
            incarnation: 1,
            time_ns: u64::from(tid),
        };
        let mut aside = Aside::default();
        let threads = 5 * MAX_THREADS;
        for tid in 0..threads {
            aside.begin(&header(tid), u64::from(tid), tid);
            assert!(aside.by_thread.len() <= LIMIT);
        }
        for tid in threads - MAX_THREADS..threads {
            assert_eq!(aside.end(&header(tid), u64::from(tid)), Some(tid));
        }
        assert_eq!(aside.end(&header(0), 0), None);
    }

    #[test]
    fn an_end_of_another_call_gets_nothing() {
        let header = Header {
            kind: 0,
            op: 0,
            flags: 0,
            pid: 1,
            tid: 1,
            incarnation: 1,
            time_ns: 1,
        };
        let mut aside = Aside::default();
        aside.begin(&header, 0x10, ());
        assert_eq!(aside.end(&header, 0x20), None);
        // And the call that began is over.
        assert_eq!(aside.end(&header, 0x10), None);
        aside.begin(&header, 0x10, ());
        assert_eq!(aside.end(&Header { tid: 2, ..header }, 0x10), None);
        assert_eq!(aside.end(&header, 0x10), Some(()));
    }
}
