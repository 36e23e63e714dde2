//! What takes long says so: a line on standard error, where that is a terminal, after a second, which goes away without rest.
//!
//! Stages that do no I/O know nothing of it: who wires them begins a [`Stage`] and tells how far it is, or gives them a function to call.
//! Whoever writes to the terminal meanwhile does it [`aside`].

mod model;
mod watched;

use std::{
    io::{self, IsTerminal as _},
    sync::{
        Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::{
    runtime::Runtime,
    signal::unix::{self, SignalKind},
};

use self::model::Model;
pub use self::{model::Total, watched::Watched};
use crate::{message, render::escape};

/// How often the line is drawn anew.
const PACE: Duration = Duration::from_millis(120);

/// The status of a program that Ctrl-C has ended, as a shell gives it: 128 + SIGINT.
const INTERRUPTED: i32 = 130;

/// Whether the one that began the session deals with Ctrl-C.
static SIGNALS_ARE_TAKEN: AtomicBool = AtomicBool::new(false);

static BOARD: LazyLock<Board> = LazyLock::new(|| Board {
    begun: Instant::now(),
    model: Mutex::default(),
    changed: Condvar::new(),
    screen: Mutex::default(),
    aside: AtomicUsize::new(0),
});

struct Board {
    /// Times are since then.
    begun: Instant,
    /// Never held while something is written: a terminal may be stopped, and work must go on.
    model: Mutex<Model>,
    changed: Condvar,
    screen: Mutex<Screen>,
    /// How many write to the terminal themselves just now.
    aside: AtomicUsize,
}

#[derive(Default)]
struct Screen {
    /// The line, while it is shown.
    bar: Option<ProgressBar>,
    /// Whether Ctrl-C is waited for.
    listens: bool,
}

/// Whether somebody draws.
static IS_DRAWN: AtomicBool = AtomicBool::new(false);

/// How long the line's end waits for one who draws: longer only if the terminal is stopped.
const DRAWING: Duration = Duration::from_millis(200);

/// Something that is going on, until it is dropped.
#[derive(Debug)]
pub struct Stage {
    number: u64,
    done: Arc<AtomicU64>,
}

/// Begins something that may take long.
pub fn stage(what: impl Into<String>, total: Total) -> Stage {
    stage_at(what, total, Arc::default())
}

/// The same, with a number that somebody else keeps: how far it is.
pub fn stage_at(what: impl Into<String>, total: Total, done: Arc<AtomicU64>) -> Stage {
    // Names of files are in it.
    let what = escape::text(&what.into()).into_owned();
    let number = BOARD
        .model()
        .begin(what, total, Arc::clone(&done), BOARD.begun.elapsed());
    if io::stderr().is_terminal() && !IS_DRAWN.swap(true, Ordering::Relaxed) {
        // Without it nothing is shown.
        let _drawn = thread::Builder::new().name("progress".into()).spawn(draw);
    }
    BOARD.changed.notify_all();
    Stage { number, done }
}

/// Writes to the terminal while nothing is shown on it.
pub fn aside<T>(write: impl FnOnce() -> T) -> T {
    BOARD.aside.fetch_add(1, Ordering::SeqCst);
    BOARD.clear();
    let written = write();
    BOARD.aside.fetch_sub(1, Ordering::SeqCst);
    written
}

/// Says that Ctrl-C is somebody else's from now on.
pub fn leave_signals() {
    SIGNALS_ARE_TAKEN.store(true, Ordering::SeqCst);
}

impl Stage {
    /// Says how far it is.
    pub fn at(&self, done: u64) {
        self.done.store(done, Ordering::Relaxed);
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let is_idle = {
            let mut model = BOARD.model();
            model.end(self.number);
            model.is_idle()
        };
        if is_idle {
            // Here and not by who draws: what comes next on the terminal is somebody else's.
            BOARD.clear();
        }
        BOARD.changed.notify_all();
    }
}

impl Board {
    fn model(&self) -> MutexGuard<'_, Model> {
        self.model.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn screen(&self) -> MutexGuard<'_, Screen> {
        self.screen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the line away. Where a terminal that is stopped keeps who draws, that one does it.
    fn clear(&self) {
        if !IS_DRAWN.load(Ordering::Relaxed) {
            return;
        }
        let begun = Instant::now();
        while begun.elapsed() < DRAWING {
            if let Ok(mut screen) = self.screen.try_lock() {
                screen.clear();
                return;
            }
            thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Screen {
    fn clear(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    fn show(&mut self, line: String) {
        if !self.listens && !SIGNALS_ARE_TAKEN.load(Ordering::SeqCst) {
            // Before the line is there: it must not outlive who drew it.
            self.listens = listen().is_ok();
        }
        let bar = self.bar.get_or_insert_with(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            bar.set_style(ProgressStyle::default_spinner());
            bar
        });
        bar.set_message(line);
        bar.tick();
    }
}

/// Draws for as long as memtrace runs; asleep while nothing goes on.
fn draw() {
    loop {
        {
            let mut screen = BOARD.screen();
            // Asked for with the screen held: what is over by now is not drawn again.
            let line = BOARD.model().line(BOARD.begun.elapsed());
            match line.filter(|_| BOARD.aside.load(Ordering::SeqCst) == 0 && !message::is_held()) {
                Some(line) => screen.show(line),
                None => screen.clear(),
            }
        }
        let model = BOARD.model();
        // Notified or not, it is looked at again.
        let _looked = if model.is_idle() {
            BOARD.changed.wait(model).map(drop).is_ok()
        } else {
            BOARD.changed.wait_timeout(model, PACE).map(drop).is_ok()
        };
    }
}

/// Waits for Ctrl-C from now on, in a thread.
fn listen() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let interrupts = {
        let _inside = runtime.enter();
        unix::signal(SignalKind::interrupt())?
    };
    let wait = move || end_when_asked(&runtime, interrupts);
    thread::Builder::new().name("interrupt".into()).spawn(wait)?;
    Ok(())
}

/// Waits for Ctrl-C, takes the line away and ends memtrace, as the signal would have; unless somebody listens by now who ends what has
/// begun.
fn end_when_asked(runtime: &Runtime, mut interrupts: unix::Signal) {
    while runtime.block_on(interrupts.recv()).is_some() {
        if SIGNALS_ARE_TAKEN.load(Ordering::SeqCst) {
            continue;
        }
        BOARD.clear();
        #[expect(
            clippy::exit,
            reason = "the signal would have ended the process right here, had nobody listened to it"
        )]
        std::process::exit(INTERRUPTED);
    }
}
