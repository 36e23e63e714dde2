//! The terminal: taken over, and given back as it was however this ends.

use std::{
    env,
    io::{self, IsTerminal as _, Stdout},
    panic,
    sync::{
        Once,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context as _, bail};
use ratatui_core::terminal;
use ratatui_crossterm::{
    CrosstermBackend,
    crossterm::{
        cursor::Show,
        event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers},
        execute,
        terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode},
    },
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};

use super::{Key, Palette, State, view};
use crate::message;

/// Whether the screen is shown: then nothing else may be written to the terminal.
static SHOWN: AtomicBool = AtomicBool::new(false);

/// Whether the screen is shown.
pub fn is_shown() -> bool {
    SHOWN.load(Ordering::Acquire)
}

/// Whether there is a terminal to show something on.
///
/// # Errors
/// Standard input or output that is none, with what does without.
pub fn check() -> anyhow::Result<()> {
    let missing = match (io::stdin().is_terminal(), io::stdout().is_terminal()) {
        (true, true) => return Ok(()),
        (false, false) => "standard input and output are none",
        (false, true) => "standard input is none",
        (true, false) => "standard output is none",
    };
    bail!(
        "top needs a terminal, and {missing}: use `memtrace attach` to observe without one, `memtrace report` to read a recording"
    )
}

/// The terminal while it is taken over.
pub(super) struct Terminal {
    inner: terminal::Terminal<CrosstermBackend<Stdout>>,
    palette: Palette,
}

impl Terminal {
    /// Takes it over. A panic gives it back too, before it says anything.
    pub(super) fn open() -> anyhow::Result<Self> {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let before = panic::take_hook();
            panic::set_hook(Box::new(move |info| {
                restore();
                before(info);
            }));
        });
        let failed = "failed to take over the terminal";
        enable_raw_mode().context(failed)?;
        SHOWN.store(true, Ordering::Release);
        message::hold();
        let opened = execute!(io::stdout(), EnterAlternateScreen)
            .and_then(|()| terminal::Terminal::new(CrosstermBackend::new(io::stdout())))
            .and_then(|mut inner| inner.hide_cursor().map(|()| inner));
        match opened {
            Ok(inner) => Ok(Self {
                inner,
                palette: palette(),
            }),
            Err(error) => {
                restore();
                Err(error).context(failed)
            }
        }
    }

    /// Its columns and lines.
    pub(super) fn size(&self) -> io::Result<(u16, u16)> {
        let size = self.inner.size()?;
        Ok((size.width, size.height))
    }

    pub(super) fn draw(&mut self, state: &State) -> io::Result<()> {
        self.inner
            .draw(|frame| view(state, self.palette, frame))
            .map(|_drawn| ())
    }

    /// Everything is drawn anew the next time, whatever is there.
    pub(super) fn clear(&mut self) -> io::Result<()> {
        self.inner.clear()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        restore();
    }
}

/// Waits for something to be read, or for so long.
///
/// # Errors
/// A terminal that has hung up.
pub(super) fn wait(time: Duration) -> anyhow::Result<()> {
    let stdin = io::stdin();
    let mut ready = [PollFd::new(&stdin, PollFlags::IN)];
    let time = Timespec::try_from(time).context("the time is too long")?;
    match poll(&mut ready, Some(&time)) {
        // A signal: of a change of the size, for example.
        Err(Errno::INTR) => return Ok(()),
        result => result.context("failed to wait for the terminal")?,
    };
    if ready[0]
        .revents()
        .intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL)
    {
        bail!("the terminal is gone");
    }
    Ok(())
}

/// Gives it back, once. Waits for a terminal that takes no output.
pub(super) fn restore() {
    if SHOWN.swap(false, Ordering::AcqRel) {
        give_back();
    }
}

/// Gives back a terminal that takes no output, as far as that needs none; the rest is left to a thread that nobody waits for. Until it is
/// done messages are held back: whoever wrote one would wait as well.
pub(super) fn abandon(screen: JoinHandle<anyhow::Result<()>>) {
    let _gone = disable_raw_mode();
    if SHOWN.swap(false, Ordering::AcqRel) {
        let last = move || {
            // It is in the middle of drawing, and what it still draws belongs before the end.
            let _failed = screen.join();
            give_back();
        };
        // Without it the terminal is left as it is, and what was held back is not said.
        let _left = thread::Builder::new().name("given back".into()).spawn(last);
    }
}

fn give_back() {
    // First what cannot wait. A terminal that is gone cannot be given back.
    let _gone = disable_raw_mode();
    let _gone = execute!(io::stdout(), LeaveAlternateScreen, Show);
    message::release();
}

/// By what the environment says.
fn palette() -> Palette {
    let of = |name| {
        env::var_os(name)
            .map(|value| value.to_string_lossy().into_owned())
            .unwrap_or_default()
    };
    Palette::new(&of("TERM"), &of("COLORTERM"), !of("NO_COLOR").is_empty())
}

/// The key of an event; `None` for what is no key here.
pub(super) fn key(event: KeyEvent) -> Option<Key> {
    if event.kind == KeyEventKind::Release {
        return None;
    }
    let control = event.modifiers.contains(KeyModifiers::CONTROL);
    Some(match event.code {
        KeyCode::Char(letter) if control => Key::Ctrl(letter.to_ascii_lowercase()),
        KeyCode::Char(character) => Key::Char(character),
        KeyCode::Enter => Key::Enter,
        KeyCode::Esc => Key::Escape,
        KeyCode::Backspace => Key::Backspace,
        KeyCode::Tab => Key::Tab,
        KeyCode::BackTab => Key::BackTab,
        KeyCode::Up => Key::Up,
        KeyCode::Down => Key::Down,
        KeyCode::Left => Key::Left,
        KeyCode::Right => Key::Right,
        KeyCode::PageUp => Key::PageUp,
        KeyCode::PageDown => Key::PageDown,
        KeyCode::Home => Key::Home,
        KeyCode::End => Key::End,
        _ => return None,
    })
}
