//! The thread that has the terminal.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context as _, anyhow, bail};
use ratatui_crossterm::crossterm::event::{self, Event};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::{
    Input, Inputs, Key, Player, Request, State,
    inputs::Inbox,
    terminal::{self, Terminal},
};
use crate::message;

/// How long keys are waited for before it is looked at what else there is: short enough that nobody sees it.
const PAUSE: Duration = Duration::from_millis(50);

/// How long the thread is waited for, which may hang in a terminal that is gone or takes nothing.
const PATIENCE: Duration = Duration::from_secs(2);

/// A screen that is shown. Dropped, it gives the terminal back.
pub struct Screen {
    inputs: Inputs,
    requests: UnboundedReceiver<Request>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<anyhow::Result<()>>>,
}

impl Screen {
    /// Takes over the terminal; what is shown comes from [`Screen::inputs`]. With a player it is of a recording.
    ///
    /// # Errors
    /// A terminal that cannot be taken over.
    pub fn open(player: Option<Player>) -> anyhow::Result<Self> {
        let terminal = Terminal::open()?;
        let state = State::new(
            terminal.size().context("failed to learn the size of the terminal")?,
            player,
        );
        let inbox = Inbox::default();
        let inputs = inbox.inputs();
        let (sender, requests) = unbounded_channel();
        let over = Arc::new(AtomicBool::new(false));
        let its_over = Arc::clone(&over);
        let thread = thread::Builder::new()
            .name("screen".into())
            .spawn(move || run(terminal, state, &inbox, &sender, &its_over))
            .context("failed to start the thread of the screen")?;
        Ok(Self {
            inputs,
            requests,
            over,
            thread: Some(thread),
        })
    }

    /// Where inputs are sent to. Once the screen is closed they go nowhere.
    pub const fn inputs(&self) -> &Inputs {
        &self.inputs
    }

    /// What is asked for next. When the screen has failed that is to leave; [`Screen::close`] says why.
    pub async fn next(&mut self) -> Request {
        self.requests.recv().await.unwrap_or(Request::Leave)
    }

    /// Gives the terminal back.
    ///
    /// # Errors
    /// What the screen failed of before.
    pub fn close(mut self) -> anyhow::Result<()> {
        self.end()
    }

    fn end(&mut self) -> anyhow::Result<()> {
        self.over.store(true, Ordering::Release);
        let Some(thread) = self.thread.take() else {
            return Ok(());
        };
        let begun = Instant::now();
        while !thread.is_finished() {
            if begun.elapsed() > PATIENCE {
                terminal::abandon(thread);
                bail!("the terminal takes no output any more");
            }
            thread::sleep(PAUSE / 10);
        }
        match thread.join() {
            Err(_panic) => Err(anyhow!("the thread of the screen panicked")),
            Ok(result) => result,
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            log::debug!("the screen failed: {error:#}");
        }
    }
}

fn run(
    mut terminal: Terminal,
    mut state: State,
    inbox: &Inbox,
    requests: &UnboundedSender<Request>,
    over: &AtomicBool,
) -> anyhow::Result<()> {
    let mut changed = true;
    let mut last = Instant::now();
    while !over.load(Ordering::Acquire) {
        if !terminal::is_shown() {
            bail!("the screen is gone: another thread has panicked");
        }
        let size = terminal.size().context("failed to learn the size of the terminal")?;
        changed |= size != state.size();
        if changed {
            state.update(Input::Resize(size.0, size.1));
            terminal.draw(&state).context("failed to write to the terminal")?;
        }
        changed = false;
        let mut arrived = Vec::new();
        // crossterm never returns from a terminal that has hung up, so it is not asked before something is there to be read.
        terminal::wait(PAUSE).context("failed to wait for keys")?;
        while event::poll(Duration::ZERO).context("failed to wait for keys")? {
            match event::read().context("failed to read keys")? {
                Event::Key(key) => arrived.extend(terminal::key(key).map(Input::Key)),
                Event::Resize(..) => changed = true,
                _ => {}
            }
        }
        if arrived.iter().any(|input| matches!(input, Input::Key(Key::Ctrl('l')))) {
            terminal.clear().context("failed to write to the terminal")?;
        }
        arrived.extend(inbox.take());
        arrived.extend(message::news().map(Input::Said));
        let passed = last.elapsed();
        last += passed;
        if state.is_moving() {
            arrived.push(Input::Passed(passed));
        }
        for input in arrived {
            changed = true;
            if let Some(request) = state.update(input)
                && requests.send(request).is_err()
            {
                // Nobody is there any more: it is closed soon.
                return Ok(());
            }
        }
    }
    Ok(())
}
