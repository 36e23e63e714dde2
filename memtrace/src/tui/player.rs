//! The moments of a recording, and how they are played.

use std::time::Duration;

/// How fast a recording is played at most and at least, as powers of two.
const FASTEST: i8 = 10;
/// See [`FASTEST`].
const SLOWEST: i8 = -3;

/// Moments that a page is.
const PAGE: usize = 10;

/// Where in a recording one is.
#[derive(Clone, Debug)]
pub struct Player {
    /// Times of the moments since the start, in their order; never none.
    moments: Vec<Duration>,
    /// Number of the moment that is wanted.
    at: usize,
    /// Number of the moment whose numbers are shown: keys and time may be ahead of what is read.
    shown: Option<usize>,
    /// Time since the start that has been played to.
    time: Duration,
    playing: bool,
    /// Binary logarithm of the speed.
    speed: i8,
    /// Whether the moment that is wanted is still being read.
    waiting: bool,
}

/// Where to step.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Step {
    Back,
    On,
    PageBack,
    PageOn,
    First,
    Last,
}

impl Player {
    /// At the first of `moments`, which are in order of time; `None` when there is none.
    pub fn new(moments: Vec<Duration>) -> Option<Self> {
        let time = *moments.first()?;
        Some(Self {
            moments,
            at: 0,
            shown: None,
            time,
            playing: false,
            speed: 0,
            waiting: true,
        })
    }

    /// Number of the moment that is wanted, from 0 on.
    pub const fn at(&self) -> usize {
        self.at
    }

    /// How many moments there are.
    pub const fn count(&self) -> usize {
        self.moments.len()
    }

    /// Number of the moment that is shown, from 0 on, and its time since the start; `None` before the first.
    pub(super) fn shown(&self) -> Option<(usize, Duration)> {
        let shown = self.shown?;
        Some((shown, *self.moments.get(shown)?))
    }

    /// Time of the moment that is wanted, since the start.
    fn time(&self) -> Duration {
        self.moments[self.at]
    }

    /// Time of the last moment.
    pub fn length(&self) -> Duration {
        self.moments.last().copied().unwrap_or_default()
    }

    pub(super) const fn is_playing(&self) -> bool {
        self.playing
    }

    pub(super) const fn is_waiting(&self) -> bool {
        self.waiting
    }

    /// `x4`, `x1/2`.
    pub(super) fn speed(&self) -> String {
        let times = 1_u32 << self.speed.unsigned_abs();
        if self.speed < 0 {
            format!("x1/{times}")
        } else {
            format!("x{times}")
        }
    }

    /// A moment was read, and is shown. It may be one that is not wanted any more.
    pub(super) const fn arrived(&mut self, number: usize) {
        self.shown = Some(number);
        self.failed(number);
    }

    /// A moment could not be read.
    pub(super) const fn failed(&mut self, number: usize) {
        if number == self.at {
            self.waiting = false;
        }
    }

    /// Plays, or stops. At the end it begins anew; then the first moment is to be read.
    pub(super) fn toggle(&mut self) -> Option<usize> {
        self.playing = !self.playing;
        if self.playing && self.at + 1 == self.count() {
            return self.go(0);
        }
        self.time = self.time();
        None
    }

    pub(super) fn faster(&mut self) {
        self.speed = (self.speed + 1).min(FASTEST);
    }

    pub(super) fn slower(&mut self) {
        self.speed = (self.speed - 1).max(SLOWEST);
    }

    /// Steps; the moment that is to be read, when it is another one. It no longer plays.
    pub(super) fn step(&mut self, step: Step) -> Option<usize> {
        self.playing = false;
        let last = self.count() - 1;
        self.go(match step {
            Step::Back => self.at.saturating_sub(1),
            Step::On => (self.at + 1).min(last),
            Step::PageBack => self.at.saturating_sub(PAGE),
            Step::PageOn => (self.at + PAGE).min(last),
            Step::First => 0,
            Step::Last => last,
        })
    }

    /// Time has passed; the moment that is to be read, when it is another one. Where reading is slow moments are passed over, and the
    /// time stays right.
    pub(super) fn passed(&mut self, time: Duration) -> Option<usize> {
        if !self.playing {
            return None;
        }
        self.time = self
            .time
            .saturating_add(time.mul_f64(f64::from(self.speed).exp2()))
            .min(self.length());
        if self.waiting {
            return None;
        }
        let reached = self.moments.partition_point(|&moment| moment <= self.time);
        let next = self.go_on(reached.saturating_sub(1));
        self.playing &= self.at + 1 < self.count();
        next
    }

    fn go(&mut self, at: usize) -> Option<usize> {
        let moved = self.go_on(at);
        self.time = self.time();
        moved
    }

    fn go_on(&mut self, at: usize) -> Option<usize> {
        if at == self.at {
            return None;
        }
        self.at = at;
        self.waiting = true;
        Some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn player() -> Player {
        let mut player = Player::new((0..30).map(Duration::from_secs).collect()).unwrap();
        player.arrived(0);
        player
    }

    #[test]
    fn steps_stay_inside() {
        let mut player = player();
        assert_eq!(player.step(Step::Back), None);
        assert_eq!(player.step(Step::On), Some(1));
        assert_eq!(player.step(Step::PageOn), Some(11));
        assert_eq!(player.step(Step::Last), Some(29));
        assert_eq!(player.step(Step::On), None);
        assert_eq!(player.step(Step::PageBack), Some(19));
        assert_eq!(player.step(Step::First), Some(0));
        assert!(Player::new(Vec::new()).is_none());
    }

    #[test]
    fn it_plays_in_time_and_stops_at_the_end() {
        let mut player = player();
        assert_eq!(player.passed(Duration::from_secs(5)), None, "it does not play yet");
        player.toggle();
        player.faster();
        assert_eq!(player.speed(), "x2");
        assert_eq!(player.passed(Duration::from_secs(2)), Some(4));
        assert_eq!(
            player.passed(Duration::from_secs(2)),
            None,
            "the one before is being read"
        );
        player.arrived(4);
        assert_eq!(player.passed(Duration::ZERO), Some(8));
        player.arrived(4);
        assert!(player.is_waiting(), "it is an earlier one");
        player.failed(8);
        assert_eq!(player.passed(Duration::from_mins(1)), Some(29));
        assert!(!player.is_playing());
        assert_eq!(player.toggle(), Some(0), "it begins anew");
        assert!(player.is_playing());
    }

    #[test]
    fn speeds_have_ends() {
        let mut player = player();
        for _ in 0..40 {
            player.faster();
        }
        assert_eq!(player.speed(), "x1024");
        for _ in 0..40 {
            player.slower();
        }
        assert_eq!(player.speed(), "x1/8");
    }
}
