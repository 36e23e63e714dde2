//! What the screen of `memtrace top` needs of a session: numbers at a pace that can be afforded, snapshots, and moments of a recording.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, channel},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;

use super::{
    listen,
    reading::{Lookup, Moment, Part, Reading, When},
    runtime,
    saving::Saving,
    signals::{self, Signals},
};
use crate::{
    exit::Exit,
    message,
    options::Options,
    profile::{End, Profile, Settings},
    tui::{Input, Inputs, Player, Request, Screen},
};

/// How many times as long as a look at all live blocks took there is none again: it keeps events waiting, so it gets 2 % of the time.
const REST: u32 = 49;

/// The same for making a profile of it, which is done aside: a fifth of one processor.
const REST_OF_MAKING: u32 = 4;

/// When the next numbers are due.
#[derive(Default)]
pub(super) struct LivePace {
    next: Option<Instant>,
    made: Making,
}

/// How long the last profile took, in nanoseconds.
#[derive(Clone, Default)]
pub(super) struct Making(Arc<AtomicU64>);

impl LivePace {
    /// Whether it is too early.
    pub(super) fn rests(&mut self) -> bool {
        let now = Instant::now();
        let making = Duration::from_nanos(self.made.0.swap(0, Ordering::Relaxed));
        if !making.is_zero() {
            let rested = now + making.saturating_mul(REST_OF_MAKING);
            self.next = self.next.max(Some(rested));
        }
        self.next.is_some_and(|next| now < next)
    }

    /// A look has taken so long.
    pub(super) fn after(&mut self, taken: Duration) -> Making {
        self.next = Instant::now().checked_add(taken.saturating_mul(REST));
        self.made.clone()
    }
}

impl Making {
    /// The profile of a look has taken so long.
    pub(super) fn made_in(&self, taken: Duration) {
        let nanoseconds = u64::try_from(taken.as_nanos()).unwrap_or(u64::MAX);
        self.0.store(nanoseconds, Ordering::Relaxed);
    }
}

/// What the screen asks for next; never anything without one.
pub(super) async fn asked(screen: &mut Option<Screen>) -> Request {
    match screen {
        Some(screen) => screen.next().await,
        None => std::future::pending().await,
    }
}

/// Whether the end is shown until the user leaves: who has said how long it should be, or that it should end, is not kept.
pub(super) const fn stays(end: &End) -> bool {
    matches!(end, End::Exited(_))
}

/// Gives the terminal back; says so when the screen has failed.
pub(super) fn close(screen: Option<Screen>) {
    if let Some(Err(error)) = screen.map(Screen::close) {
        message::say(&format!(
            "memtrace: the screen has failed, and so the observation ends: {error:#}"
        ));
    }
}

/// Shows the end until the user leaves.
pub(super) async fn stay(
    mut screen: Screen,
    profile: &Arc<Profile>,
    options: &Options,
    saving: &mut Saving,
    signals: &mut Signals,
) {
    let inputs = screen.inputs().clone();
    // A screen that has failed leaves.
    let _failed = inputs.send(Input::Ended(Arc::clone(profile)));
    loop {
        tokio::select! {
            signal = signals.next() => if signals::ends(signal) {
                break;
            },
            request = screen.next() => match request {
                Request::Save(profile) => saving.begin(profile, options, inputs.clone()),
                Request::Leave | Request::Seek(_) => break,
            },
        }
    }
    close(Some(screen));
}

/// `memtrace top --replay`: plays a recording until the user leaves.
///
/// # Errors
/// A recording without a moment, and a terminal that cannot be taken over.
pub fn replay(reading: Reading, min_age: Option<Duration>, lookup: Lookup, options: &Options) -> anyhow::Result<Exit> {
    let moments = moments(&reading);
    let player = Player::new(moments.clone()).context("the recording was cut off before anything was known")?;
    let runtime = runtime()?;
    let signals = listen(&runtime)?;
    let reader = Reader {
        reading,
        moments,
        min_age,
        settings: options.settings.clone(),
        lookup,
    };
    let result = runtime.block_on(play(reader, player, signals, options));
    // A moment that is still being read is not waited for.
    runtime.shutdown_background();
    result.map(|()| Exit::Success)
}

async fn play(reader: Reader, player: Player, mut signals: Signals, options: &Options) -> anyhow::Result<()> {
    let (wanted, receiver) = channel();
    wanted.send(player.at()).context("the reader is gone")?;
    let mut screen = Screen::open(Some(player))?;
    let inputs = screen.inputs().clone();
    let its_inputs = inputs.clone();
    let mut saving = Saving::default();
    thread::Builder::new()
        .name("reader".into())
        .spawn(move || reader.serve(&receiver, &its_inputs))
        .context("failed to start the thread that reads")?;
    loop {
        tokio::select! {
            signal = signals.next() => if signals::ends(signal) {
                break;
            },
            request = screen.next() => match request {
                Request::Leave => break,
                Request::Save(profile) => saving.begin(profile, options, inputs.clone()),
                Request::Seek(moment) => wanted.send(moment).context("the thread that reads has panicked")?,
            },
        }
    }
    let closed = screen.close();
    saving.finish(&mut signals).await;
    closed
}

/// Times of the moments since the start, each once.
fn moments(reading: &Reading) -> Vec<Duration> {
    let outline = reading.outline();
    let since = |time_ns: u64| Duration::from_nanos(time_ns.saturating_sub(outline.start.started_ns));
    let mut moments: Vec<_> = outline.moments.iter().map(|moment| since(moment.time_ns)).collect();
    moments.dedup();
    moments
}

/// Makes profiles of moments.
struct Reader {
    reading: Reading,
    moments: Vec<Duration>,
    min_age: Option<Duration>,
    settings: Settings,
    lookup: Lookup,
}

impl Reader {
    /// Reads what is wanted until nobody wants anything; of several moments the last that was asked for.
    fn serve(mut self, wanted: &Receiver<usize>, inputs: &Inputs) {
        while let Ok(first) = wanted.recv() {
            let number = wanted.try_iter().last().unwrap_or(first);
            let input = match self.read(number) {
                Ok(profile) => Input::Moment(number, Arc::new(profile)),
                Err(error) => Input::Unread(number, message::chain(&error)),
            };
            if !inputs.send(input) {
                return;
            }
        }
    }

    fn read(&mut self, number: usize) -> anyhow::Result<Profile> {
        let to = match self.moments.get(number) {
            // The end has more to tell than its moment.
            Some(&at) if number + 1 < self.moments.len() => Moment::At(When::After(at)),
            _ => Moment::End,
        };
        let part = Part {
            to,
            min_age: self.min_age,
            ..Part::default()
        };
        self.reading.profile(&part, self.settings.clone(), &self.lookup)
    }
}
