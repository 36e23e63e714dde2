//! What is going on, since when and how far: what a line of it says at a moment. Reads no clock.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::units;

/// What takes less than this is not told of.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);

/// Of how much something is done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Total {
    /// That is not known.
    Unknown,
    /// Bytes.
    Bytes(u64),
    /// Things, with a word for them.
    Of(u64, &'static str),
}

/// Something that is going on.
#[derive(Debug)]
struct Running {
    number: u64,
    what: String,
    total: Total,
    done: Arc<AtomicU64>,
    since: Duration,
}

/// All that is going on; what began last is part of what began before.
#[derive(Debug, Default)]
pub(super) struct Model {
    running: Vec<Running>,
    begun: u64,
}

impl Model {
    /// Notes that something begins at `now`; its number.
    pub(super) fn begin(&mut self, what: String, total: Total, done: Arc<AtomicU64>, now: Duration) -> u64 {
        self.begun += 1;
        self.running.push(Running {
            number: self.begun,
            what,
            total,
            done,
            since: now,
        });
        self.begun
    }

    /// Notes that it is over.
    pub(super) fn end(&mut self, number: u64) {
        self.running.retain(|running| running.number != number);
    }

    /// Whether nothing is going on.
    pub(super) const fn is_idle(&self) -> bool {
        self.running.is_empty()
    }

    /// What is to be said at `now`: the last that has taken long, if anything has.
    pub(super) fn line(&self, now: Duration) -> Option<String> {
        let slow = |running: &&Running| now.saturating_sub(running.since) >= PATIENCE;
        let running = self.running.iter().rev().find(slow)?;
        let done = running.done.load(Ordering::Relaxed);
        let far = match running.total {
            Total::Unknown => String::new(),
            Total::Bytes(total) => format!(": {} of {}", units::bytes(done.min(total)), units::bytes(total)),
            Total::Of(total, things) => format!(": {} of {total} {things}", done.min(total)),
        };
        let seconds = now.saturating_sub(running.since).as_secs();
        Some(format!("{}{far}, {seconds} s", running.what))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_takes_long_is_told_the_innermost_first() {
        let at = Duration::from_millis;
        let mut model = Model::default();
        assert!(model.is_idle() && model.line(at(0)).is_none());
        let done = Arc::new(AtomicU64::new(0));
        let outer = model.begin("reading".into(), Total::Bytes(4096), Arc::clone(&done), at(0));
        assert_eq!(model.line(at(999)), None);
        done.store(1024, Ordering::Relaxed);
        assert_eq!(
            model.line(at(1000)).as_deref(),
            Some("reading: 1.0 KiB of 4.0 KiB, 1 s")
        );
        let inner = model.begin("naming".into(), Total::Of(3, "modules"), Arc::default(), at(1500));
        // Not long enough yet: what it is part of is told.
        assert_eq!(
            model.line(at(2400)).as_deref(),
            Some("reading: 1.0 KiB of 4.0 KiB, 2 s")
        );
        assert_eq!(model.line(at(4500)).as_deref(), Some("naming: 0 of 3 modules, 3 s"));
        model.end(inner);
        done.store(9999, Ordering::Relaxed);
        assert_eq!(
            model.line(at(5000)).as_deref(),
            Some("reading: 4.0 KiB of 4.0 KiB, 5 s")
        );
        model.end(outer);
        model.end(outer);
        assert!(model.is_idle() && model.line(at(9000)).is_none());
        // A new one has its own second.
        model.begin("again".into(), Total::Unknown, Arc::default(), at(9500));
        assert_eq!(model.line(at(10_000)), None);
        assert_eq!(model.line(at(10_500)).as_deref(), Some("again, 1 s"));
    }
}
